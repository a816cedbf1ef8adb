"""Inner updates that are not what is declared: another optimizer, a part of it wrong, or one that nobody declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from verification.faults import ALGORITHM_CATALOGUE, AnswerFunction
from verification.faults.algorithms import with_update
from verification.faults.clips import Graph, with_clipped_leaves
from verification.faults.decays import with_decay_of_used
from verification.faults.optimizers import (
    CLIPPED_LEAVES,
    DAMPED,
    DAMPENED,
    DAMPENED_BY,
    DAMPENED_BY_ITSELF,
    NOT_DECLARABLE,
    WITHIN,
    within,
)
from verification.faults.parts import DampenedMomentum
from verification.faults.question import Misreading, after, together
from verification.faults.work import Work, descend
from verification.judging.tolerances import norm
from verification.naming.candidates import Candidate, combining, declares, of_declared, whole
from verification.naming.evidence import NEAR, Evidence, Observation
from verification.naming.rules import short_numbers
from verification.naming.scaling import factor_of, joined, under_a_scale
from verification.naming.vectors import beyond, returned, wrong_ones
from verification.oracles.updates import ClipByNorm, ClipByValue, Momentum, Part, RMSProp, WeightDecay
from verification.oracles.view import FlatArray
from verification.orders import Order

#: Plain updates with one number: how they are declared with it, and where a search for it begins.
_MOMENTUMS, _RHOS, _STRENGTHS, _DAMPENINGS = (0.8, 0.3), (0.95, 0.5), (0.02,), (0.4, 0.7)
#: Limits of the weights that people write, and shares of the largest entry of a point where a search for others begins.
_LIMITS = tuple(digit * 10.0**k for k in (0, -1, 1, -2) for digit in (1, 5, 2, 3))
_SHARES = (0.9, 0.7, 0.5, 0.3, 0.1)
_PLAIN = "plain gradient descent"
_STEPS = 12  # of a search
_CLOSER = 0.7  # what a step of a search leaves of the distance, at most


def undeclared(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield other updates than the declared one: usual ones, those with a number, and what nobody can declare.

    What is tried last can equal what is tried first: where no gradient is shorter than 1, a clip at 1 normalises it.
    """
    usual = list(_others(order))
    unusual = [candidate for candidate in usual if candidate.detail.startswith(NOT_DECLARABLE)]
    for kind in ([one for one in usual if one not in unusual], _fitted(evidence), unusual):
        found = list(kind)
        yield from found
        if any(evidence.matched_by(candidate.answer) for candidate in found):
            return


def undeclared_under_a_scale(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield usual updates that were not declared, under a factor: torch.optim in a step that sums over tasks."""
    telling = whole(evidence)
    for candidate in _others(order) if telling else ():
        base = candidate.faults, candidate.detail, candidate.answer
        yield from (Candidate(*product) for product in under_a_scale(evidence, telling, base, order))


def wrong_parts(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield what can be wrong in what is declared; it comes first, for another ε looks like a lower precision."""
    if not declares(evidence):
        return
    yield from of_declared(order)
    # No implicit gradient is taken after plain descent: what is left out there is the pull.
    questions = map(evidence.question, evidence.deciding)
    pulled = any(work.view.implicit for question in questions for work in question.works)
    yield from (other for other in _others(order) if not (pulled and other.detail.startswith(_PLAIN)))


def _others(order: Order) -> Iterator[Candidate]:
    for spelled, answer in ALGORITHM_CATALOGUE["O01"].variants.items():
        if order == 2 or "held" not in spelled:
            yield _other(spelled, answer)


def undeclared_beside(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield usual updates that were not declared beside any fault, under a factor or none."""
    telling = whole(evidence)
    usual = [one for one in _others(order) if not one.detail.startswith(NOT_DECLARABLE) and "held" not in one.detail]
    for fault in combining(evidence, order) if telling else ():
        for other in usual:
            both = together(fault.answer, other.answer)
            if both is not None and factor_of(evidence, telling[0], both) is not None:
                base = (*fault.faults, *other.faults), joined(fault.detail, other.detail), both
                yield from (Candidate(*product) for product in under_a_scale(evidence, telling, base, order))


def undeclared_and_wrong(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield usual updates that were not declared, in which a part is wrong: Adam whose count of steps is stuck."""
    yield from _moving_averages(evidence)
    for candidate in _others(order):
        for id_ in ("O02", "O03", "O04", "O06"):
            fault = ALGORITHM_CATALOGUE[id_]
            for variant, answer in fault.variants.items() if order in fault.orders else ():
                if isinstance(candidate.answer, Misreading) and evidence.deciding:
                    both = after(answer, candidate.answer)
                    yield Candidate((*candidate.faults, id_), joined(candidate.detail, variant), both)


def _moving_averages(evidence: Evidence) -> Iterator[Candidate]:
    """Yield a moving average of the gradients with any μ: the momentum that O02 calls damped."""
    first = _telling(evidence)
    for value, make in _found(evidence, first, _moving_average, _MOMENTUMS) if first else ():
        declared = _other(f"momentum({value})", make)
        yield Candidate(("O01", "O02"), joined(declared.detail, DAMPED), make)


def _moving_average(mu: float) -> AnswerFunction:
    return with_update(Momentum(mu=mu, dampening=mu))


def _other(spelled: str, answer: AnswerFunction) -> Candidate:
    """Return the candidate of another update than the declared one, with what would declare it where anything can."""
    if spelled.startswith(NOT_DECLARABLE):
        return Candidate(("O01",), spelled, answer)
    declaration = "no --algorithm" if spelled == _PLAIN else f'--algorithm "{spelled}"'
    return Candidate(("O01",), f"{spelled}; declare {declaration} if it is meant", answer)


def _fitted(evidence: Evidence) -> Iterator[Candidate]:
    first = _telling(evidence)
    if first is None:
        return
    for spelled, make, starts in _searches(evidence, first):
        for number, answer in _found(evidence, first, make, starts):
            yield _other(spelled.format(number), answer)


def _telling(evidence: Evidence) -> Observation | None:
    """Return the cheapest wrong answer that is not 0: where every weight is clipped, no limit of them shows."""
    answers = ((one, returned(one)) for one in wrong_ones(evidence))
    return next((one for one, got in answers if got is not None and np.any(got)), None)


def _found(
    evidence: Evidence, first: Observation, make: Callable[[float], AnswerFunction], starts: tuple[float, ...]
) -> Iterator[tuple[str, AnswerFunction]]:
    """Yield the number with which an update gives the first wrong answer, where one of the starts leads to it."""
    found = (_value(evidence, first, make, start) for start in starts)
    value = next((value for value in found if value is not None), None)
    # The search ends within the bound of one answer; the number that somebody wrote is right on all.
    for number in () if value is None else dict.fromkeys((*short_numbers(value), value)):
        if evidence.matches(first, evidence.predict(first, make(number))):
            yield f"{number:.6g}", make(number)
            return


def _value(
    evidence: Evidence, first: Observation, make: Callable[[float], AnswerFunction], value: float
) -> float | None:
    """Return the number at which an update gives the first wrong answer, by Gauss-Newton; given up where it strays."""
    got, last, predict = returned(first), float("inf"), evidence.estimate
    if got is None:
        return None
    for _ in range(_STEPS):
        with np.errstate(all="ignore"):  # an update may leave the region where the costs are finite
            predicted = predict(first, make(value))
            if norm(beyond(predicted, got)) <= NEAR * norm(got):
                predict = evidence.predict
                predicted = predict(first, make(value))
            if evidence.matches(first, predicted):
                return value
            residual = beyond(predicted, got)
            distance = norm(residual)
            if not distance <= _CLOSER * last:
                return None
            step = 1e-6 * value
            slope = (beyond(predict(first, make(value + step)), got) - residual) / step
            square = float(slope @ slope)
        if not np.isfinite(square) or square == 0:
            return None
        move = float(residual @ slope) / square
        value, last = value - float(np.clip(move, -value, 0.9 * value)), distance
    return None


Search = tuple[str, Callable[[float], AnswerFunction], tuple[float, ...]]


def _searches(evidence: Evidence, first: Observation) -> Iterator[Search]:
    work = evidence.question(first).works[0]
    slope = work.inner_gradient(work.theta) * work.view.inner_mask
    lengths = tuple(share * float(np.linalg.norm(slope)) for share in (0.9, 0.3, 0.09))
    entries = tuple(share * float(np.max(np.abs(slope), initial=0.0)) for share in (0.9, 0.5, 0.1))
    for held in (False, True) if first.problem.order == 2 else (False,):
        flag = ", held" * held
        yield f"clip-by-norm({{}}{flag})", partial(_with, ClipByNorm, "limit", held=held), lengths
        yield f"clip-by-norm({{}}, eps=0{flag})", partial(_with, ClipByNorm, "limit", held=held, eps=0.0), lengths
        yield f"clip-by-value({{}}{flag})", partial(_with, ClipByValue, "limit", held=held), entries
        yield f"momentum({{}}{flag})", partial(_with, Momentum, "mu", held=held), _MOMENTUMS
        yield f"nesterov({{}}{flag})", partial(_with, Momentum, "mu", held=held, nesterov=True), _MOMENTUMS
        yield f"rmsprop({{}}{flag})", partial(_with, RMSProp, "rho", held=held), _RHOS
    dampened = partial(_with, DampenedMomentum, "dampening", mu=0.9)
    yield DAMPENED, dampened, _DAMPENINGS
    yield DAMPENED_BY_ITSELF, _dampened_by_itself, _MOMENTUMS
    for tau, words in DAMPENED_BY.items():
        yield words, partial(_with, DampenedMomentum, "mu", dampening=tau), _MOMENTUMS
    if work.view.update is None:
        yield from _of_each_leaf(evidence, first, slope)
        largest = float(max(np.max(np.abs(phi), initial=0.0) for phi in descend(work)))
        limits = (*(limit for limit in _LIMITS if limit < largest), *(share * largest for share in _SHARES))
        yield WITHIN, within, limits
    yield from _beside_the_declared(work, first, lengths, entries)


def _of_each_leaf(evidence: Evidence, first: Observation, slope: FlatArray) -> Iterator[Search]:
    """Yield clips of each variable's gradient by its own norm: `clip_grad_norm_` in a loop over the parameters."""
    spots = evidence.question(first).spots().values()
    longest = max(float(np.linalg.norm(slope[where.ravel()])) for where in spots)
    limits = tuple(share * longest for share in (0.9, 0.3, 0.09))
    graphs: dict[Graph, str] = (
        {"the clip": "", "the factor": ", held"} if first.problem.order == 2 else {"the clip": ""}
    )
    for added, epsilon in ((1e-6, " as in PyTorch"), (0.0, "")):
        for graph, held in graphs.items():
            clipped = partial(with_clipped_leaves, added=added, graph=graph)
            yield CLIPPED_LEAVES + epsilon + held, clipped, limits


def _beside_the_declared(
    work: Work, first: Observation, lengths: tuple[float, ...], entries: tuple[float, ...]
) -> Iterator[Search]:
    """Yield what people add to an update and do not declare: a decay, as AdamW has one, and clips of the gradient."""
    if work.view.update is None or work.view.update.learns_rates:
        return
    parts, declared = work.view.update.parts, first.standard.generic.algorithm.spelled
    for decay in (partial(_with, WeightDecay, "strength"), with_decay_of_used):
        yield f"{declared} + weight-decay({{}})", partial(decay, before=parts), _STRENGTHS
        yield f"weight-decay({{}}) + {declared}", partial(decay, after=parts), _STRENGTHS
    yield f"clip-by-norm({{}}) + {declared}", partial(_with, ClipByNorm, "limit", after=parts), lengths
    yield f"clip-by-value({{}}) + {declared}", partial(_with, ClipByValue, "limit", after=parts), entries


def _dampened_by_itself(mu: float) -> AnswerFunction:
    return with_update(DampenedMomentum(mu=mu, dampening=mu))


def _with(
    kind: Callable[..., Part],
    parameter: str,
    value: float,
    before: tuple[Part, ...] = (),
    after: tuple[Part, ...] = (),
    **fixed: Any,
) -> AnswerFunction:
    return with_update(*before, kind(**{parameter: value}, **fixed), *after)
