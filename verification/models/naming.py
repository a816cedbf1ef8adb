"""From a wrong meta-gradient of a model to the name of the mistake.

The faults are those of the catalogue, written on gradients and Hessian-vector products, and those that only a model
shows. Comparing takes as long as the step itself, so that cheap comparisons come first: one task before all of them,
usual numbers (a momentum of 0.9, a clip at 1) before a search, and a search that does not come closer is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from verification.faults import CATALOGUE, ENTRIES, MODEL_CATALOGUE, AnswerFunction, models, parameters, scales, tasks
from verification.faults.order import right
from verification.judging.conventions import Declared
from verification.judging.tolerances import norm
from verification.naming.candidates import Candidate
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import Evidence, Observation
from verification.naming.fits import clips_read_off
from verification.naming.scaling import under_a_scale
from verification.naming.vectors import first_wrong, returned, vector, wrong_ones
from verification.naming.wording import Diagnosis, several
from verification.orders import Order

#: Faults of options that a step on a model has not; of precision, which is read off the operations; of returned None.
_NOT_HERE = frozenset({"B11", "C02", "D09", "G11", "F04", "B05"})
#: Variants that give on a model what another of the same fault gives, or what needs batched mode.
_SAME = frozenset({"N of the first array", "and the gradient times T", "α over T", "α and the gradient over T"})
_DECAYS = (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 0.1)
_STEPS = 8  # of a search
_CLOSER = 0.8  # what a step of a search leaves of the distance, at most


def name(observations: list[Observation], smaller: list[Observation], order: Order, precision: str) -> list[Diagnosis]:
    """Return the names of a mistake, best first.

    Args:
        observations: what was answered to the problem.
        smaller: what was answered to one of its tasks alone, where the step takes tasks: cheap to compare with.
        order: what the step claims to be.
        precision: the lower precision that some operations came in, or "".
    """
    kinds = (_single, _fitted, _scaled)
    found = diagnose([*observations, *smaller], order, Declared(), kinds)
    if smaller and not any(diagnosis.convincing for diagnosis in found):
        found = diagnose(observations, order, Declared(), kinds)  # a step may be made for its number of tasks
    if not any(diagnosis.convincing for diagnosis in found) and precision:
        return name_precision(observations, order, precision)
    return found or [several("")]


def name_precision(observations: list[Observation], order: Order, precision: str) -> list[Diagnosis]:
    """Return the name of a lower precision that the operations of a step came in, where it is all that is wrong."""
    return diagnose(observations, order, Declared(), (lambda *_: _lower(precision),))


def _lower(precision: str) -> Iterator[Candidate]:
    answer = models.under_autocast if precision == "bfloat16" else ENTRIES["G11"].variants[""]
    yield Candidate(("G11",), precision, answer)


def _candidates(order: Order) -> Iterator[Candidate]:
    # Parameters that come back unchanged point to an optimizer of others rather than to a gradient of 0.
    for id_, fault in {"M06": ENTRIES["M06"], **CATALOGUE, **MODEL_CATALOGUE}.items():
        if order in fault.orders and id_ not in _NOT_HERE:
            for variant, answer in fault.variants.items():
                if variant not in _SAME:
                    yield Candidate((id_,), variant, answer)


def _single(_: Evidence, order: Order) -> Iterator[Candidate]:
    yield from _candidates(order)


def _fitted(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield faults with a number: read off, among the usual ones, or searched for on the cheapest wrong answer."""
    first = first_wrong(evidence)
    if first is None:
        return
    yield from (
        Candidate(*product) for product in under_a_scale(evidence, wrong_ones(evidence), ((), "", right), order)
    )
    for id_, detail, answer in clips_read_off(evidence):
        yield Candidate((id_,), detail, answer)
    for strength in _DECAYS:
        yield Candidate(("G06",), f"a weight decay of {strength:g}", scales.with_weight_decay(strength))
    yield from _never_adapted(evidence, first)
    for id_, words, make, starts in _searches(evidence, first, order):
        for start in starts:
            value = _search(evidence, first, make, start)
            if value is not None:
                yield Candidate((id_,), f"{words} {value:.6g}", make(value))
                break


Search = tuple[str, str, Callable[[float], AnswerFunction], tuple[float, ...]]


def _searches(evidence: Evidence, first: Observation, order: Order) -> Iterator[Search]:
    yield "G10", "an effective learning rate of α times", scales.with_scaled_loss, (0.5, 2.0, 8.0)
    yield "G06", "a weight decay of", scales.with_weight_decay, (0.01,)
    yield "G06", "γ =", scales.with_decay, (0.99,)
    yield "M04", "μ =", tasks.with_momentum, (0.7,)
    work = evidence.question(first).works[0]
    slope = work.inner_gradient(work.theta) * work.view.inner_mask
    limits = (0.9 * norm(slope), 0.3 * norm(slope), 0.09 * norm(slope))
    largest = (0.5 * float(np.max(np.abs(slope))),)
    for id_, differentiated in (("M02", True), ("A07", False))[: 2 if order == 2 else 1]:
        by_norm = partial(models.with_clipped_norm, differentiated=differentiated)
        yield id_, "by norm as in PyTorch, at", partial(by_norm, added=scales.PYTORCH_CLIP), limits
        yield id_, "by norm, at", by_norm, limits
        yield id_, "by value, at", partial(models.with_clipped_entries, differentiated=differentiated), largest


def _search(
    evidence: Evidence, observation: Observation, make: Callable[[float], AnswerFunction], value: float
) -> float | None:
    """Return the value at which a fault gives this answer, by Gauss-Newton while that comes closer, or None."""
    got = returned(observation)
    if got is None:
        return None
    question, last = evidence.question(observation), float("inf")
    for _ in range(_STEPS):
        with np.errstate(all="ignore"):
            residual = vector(make(value)(question)) - got
            distance = norm(residual)
            if evidence.matches(observation, make(value)(question)):
                return value
            if not distance <= _CLOSER * last:
                return None
            step = 1e-6 * max(abs(value), 1e-3)
            slope = (vector(make(value + step)(question)) - got - residual) / step
            square = float(slope @ slope)
        if not np.isfinite(square) or square == 0:
            return None
        move = float(residual @ slope) / square
        value, last = value - float(np.clip(move, -abs(value), abs(value))), distance
    return None


def _never_adapted(evidence: Evidence, first: Observation) -> Iterator[Candidate]:
    """Yield the groups of parameters that code leaves out: a module, all others, a kind (bias), single ones."""
    names = parameters.adapting(evidence.question(first))
    groups: dict[tuple[str, ...], None] = {}
    for part in names:
        module, _, kind = part.rpartition(".")
        ends = part.split(".")[0]
        for belongs in (
            lambda name, module=module: name.rpartition(".")[0] == module,
            lambda name, module=module: name.rpartition(".")[0] != module,
            lambda name, ends=ends: name.split(".")[0] == ends,
            lambda name, ends=ends: name.split(".")[0] != ends,
            lambda name, kind=kind: name.rpartition(".")[2] == kind,
            lambda name, part=part: name == part,
        ):
            groups[tuple(filter(belongs, names))] = None
    one_dimensional = tuple(name for name in names if len(first.problem.shape(name)) == 1)
    for group in (one_dimensional, *groups):
        if group and len(group) < len(names):
            yield Candidate(("F03",), f"never adapted: {', '.join(group)}", parameters.never_adapted(*group))


def _scaled(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield a factor on top of another fault."""
    telling = wrong_ones(evidence)
    for candidate in _candidates(order) if telling else ():
        if ENTRIES[candidate.faults[0]].structural and candidate.faults[0] not in ("M06", "D10", "B10"):
            base = (candidate.faults, candidate.detail, candidate.answer)
            yield from (Candidate(*product) for product in under_a_scale(evidence, telling, base, order))
