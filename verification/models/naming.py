"""From a wrong meta-gradient of a model to the name of the mistake.

The faults are those of the catalogue, written on gradients and Hessian-vector products, and those that only a model
shows. Comparing takes as long as the step itself, so that cheap comparisons come first: one task before all of them,
few inner steps before many, usual numbers (a momentum of 0.9, a clip at 1) before a search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np

from verification.faults import (
    CATALOGUE,
    ENTRIES,
    MODEL_CATALOGUE,
    AnswerFunction,
    data,
    models,
    optimizers,
    parameters,
    place,
    scales,
    tasks,
)
from verification.faults.jacobians import BY_HAND
from verification.faults.model_catalogue import WITH_STATISTICS
from verification.faults.order import first_for_second, right
from verification.faults.question import after, together
from verification.judging.conventions import Declared
from verification.judging.tolerances import norm
from verification.models.searches import decays, rarely_searched, searched
from verification.naming.candidates import Candidate
from verification.naming.combinations import combined
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import NEAR, Evidence, Observation
from verification.naming.fits import clips_read_off
from verification.naming.precisions import is_left_by
from verification.naming.scaling import AS_ASKED, Product, is_same_choice, joined, under_a_scale
from verification.naming.vectors import first_wrong, ratio, returned, vector, wrong_ones
from verification.naming.wording import Diagnosis, several
from verification.oracles.updates import Adam
from verification.oracles.view import FlatArray
from verification.orders import Order

#: Faults of options that a step on a model has not; of precision, which is read off the operations; of returned None.
_NOT_HERE = frozenset({"B11", "C02", "D09", "G11", "F04", "B05"})
#: Variants that give on a model what another of the same fault gives, or what needs batched mode; those by hand would
#: take as many products with Hessians again as all others.
_SAME = frozenset({"N of the first array", "and the gradient times T", "α over T", "α and the gradient over T"})
_ANY = 2  # numbers that a decay may meet by chance, whatever they are off by


def name(
    observations: list[Observation], smaller: list[Observation], order: Order, precision_of: Callable[[], str]
) -> list[Diagnosis]:
    """Return the names of a mistake, best first.

    Args:
        observations: what was answered to the problem.
        smaller: what was answered to parts of it, where the step takes tasks: cheap to compare with.
        order: what the step claims to be.
        precision_of: tells the lower precision that some operations come in, or "".
    """
    usual = (_single, _counted, _read_off, searched)
    # A second call of a small question shows what a step keeps as well as one of the whole.
    whole = [one for one in observations if not one.call or not any(other.call for other in smaller)]
    rarer = (rarely_searched, _scaled, _between, _of_first_order)
    found = diagnose([*whole, *smaller], order, Declared(), (*usual, *rarer))
    if smaller and not any(diagnosis.convincing for diagnosis in found):
        found = diagnose(
            observations, order, Declared(), (*usual, _scaled)
        )  # a step may be made for its number of tasks
    if not any(diagnosis.convincing for diagnosis in found) and (precision := precision_of()):
        found = name_precision(observations, order, precision) or found
    answered = any(one.reply.returned for one in observations)
    return found or ([several("")] if answered else [])  # what raises is no mistake of a formula


def name_precision(observations: list[Observation], order: Order, precision: str) -> list[Diagnosis]:
    """Return the name of a lower precision that the operations of a step came in, where it is all that is wrong."""
    return diagnose(observations, order, Declared(), (partial(_lower, precision),))


def name_small(observations: list[Observation], order: Order) -> list[Diagnosis]:
    """Return the name of a mistake that may be as small as roundings of float32: a decay is as small as its λ."""
    return [found for found in diagnose(observations, order, Declared(), (_decays,)) if found.convincing]


def _decays(evidence: Evidence, _: Order) -> Iterator[Candidate]:
    first = first_wrong(evidence)
    got = None if first is None else returned(first)
    if first is not None and got is not None and got.size > _ANY:
        yield from decays(evidence, first)
        yield from _outer_decay(evidence, first)


def _lower(precision: str, evidence: Evidence, _: Order) -> Iterator[Candidate]:
    """Yield a lower precision where no error is larger than it can leave: operations in it may be beside a mistake."""
    if all(is_left_by(precision, evidence, one) for one in evidence.deciding):
        answer = models.under_autocast if precision == "bfloat16" else ENTRIES["G11"].variants[""]
        yield Candidate(("G11",), precision, answer, by_size=True)


def _always(count: int, _: int) -> int:
    return count


#: The inner loss summed over examples, or over all entries of the targets.
_SUMMED = {
    "": data.not_reduced,
    "and over the entries of the targets": data.not_reduced_by_entries,
}

#: Forms of the catalogue's own faults that code on models has.
_FORMS: dict[str, dict[str, AnswerFunction]] = {
    "A01": {"for the parameters that do not adapt": models.first_order_of_held},
    "C05": {**_SUMMED},
    "D04": {"not divided by T": tasks.first_alone},
    "D11": {
        "each task's times its N_q": data.outer_not_reduced,
        "each task's times the number of its targets' entries": data.outer_not_reduced_by_entries,
    },
    "D06": {
        "in the inner steps too, of all tasks": models.never_cleared,
        "in the inner steps too, of all tasks, divided by T": models.never_cleared_mean,
        "in the inner steps too, of all tasks, the query losses divided by T": models.never_cleared_mean_of_query,
    },
    "G10": {"the two rates of parameters exchanged": scales.with_rates_exchanged},
    "E04": {
        "of Adam": optimizers.kept(Adam(), across_calls=True),
        "of Adam, within a call": optimizers.kept(Adam(), across_calls=False),
    },
}


#: Sums for means in the outer loss and in the inner one.
_SUMS = [(outer, inner) for outer in _FORMS["D11"].items() for inner in _SUMMED.items()]


def _candidates(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    works = [evidence.question(one).works[0] for one in evidence.deciding[:1]]
    known = _SAME if any(map(models.moves_statistics, works)) else _SAME.union(WITH_STATISTICS)
    # Parameters that come back unchanged point to an optimizer of others rather than to a gradient of 0.
    for id_, fault in {"M06": ENTRIES["M06"], **CATALOGUE, **MODEL_CATALOGUE}.items():
        if order in fault.orders and id_ not in _NOT_HERE:
            for variant, answer in {**fault.variants, **_FORMS.get(id_, {})}.items():
                if variant not in known and variant not in BY_HAND:
                    yield Candidate((id_,), variant, answer)


def _single(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    yield from _candidates(evidence, order)


def _counted(evidence: Evidence, _: Order) -> Iterator[Candidate]:
    """Yield numbers of steps that never change, where no two answers in different numbers of steps differ.

    They take the longest of all candidates that have no number to fit.
    """
    asked: dict[tuple[int, int], list[FlatArray]] = {}
    for one in evidence.deciding:
        found = returned(one)
        if found is not None:
            asked.setdefault((one.problem.num_tasks, one.problem.rows), []).append(found)
    pairs = (pair for answers in asked.values() for pair in pairwise(answers))
    if any(norm(one - other) > NEAR * norm(other) for one, other in pairs):
        return
    for count in range(2, 11):
        yield Candidate(("B12",), f"inner steps: always {count}", place.with_steps(partial(_always, count)))


def _read_off(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield faults with a number that is read off, and choices of what never adapts."""
    first = first_wrong(evidence)
    if first is None:
        return
    yield from (
        Candidate(*product) for product in under_a_scale(evidence, wrong_ones(evidence), ((), "", right), order)
    )
    for id_, detail, answer in clips_read_off(evidence):
        yield Candidate((id_,), detail, answer)
    for id_, detail, answer in clips_read_off(_of_one_task(evidence)):
        yield Candidate((id_,), f"of each task, {detail}", tasks.each_alone(answer))
    beta = first.problem.outer_learning_rate
    if beta is not None:
        yield Candidate(("G01",), f"an inner learning rate of {beta:g}", scales.with_rate(beta))
    yield from _outer_decay(evidence, first)
    yield from _never_adapted(evidence, first)


def _outer_decay(evidence: Evidence, first: Observation) -> Iterator[Candidate]:
    """Yield the weight decay λ of an outer step, for which the answer is g + λθ."""
    got, question = returned(first), evidence.question(first)
    if got is None or question.problem.outer_learning_rate is None:
        return
    theta = question.problem.split(question.works[0].theta)
    along = np.concatenate([np.ravel(theta[chain]) for chain in evidence.right(first).gradients])
    strength = ratio(got - vector(evidence.right(first)), along)
    if strength:
        yield Candidate(("M08",), f"a weight decay of {strength:.6g}", models.with_outer_decay(strength))


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


def _of_one_task(evidence: Evidence) -> Evidence:
    return evidence.of(one for one in evidence.observations if one.problem.num_tasks == 1)


def _between(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield what is wrong between tasks, or weights of them and of steps, beside what answers to one task show."""
    alone, telling = _of_one_task(evidence), wrong_ones(evidence)
    probe = next((one for one in telling if one.problem.num_tasks > 1), None)
    if probe is None or any(map(_has_few_numbers, evidence.deciding)):
        return
    inside: list[Product] = [AS_ASKED]
    if wrong_ones(alone):
        kinds = (_single, _counted, _read_off, searched)
        shown = ([one for one in kind(alone, order) if alone.matched_by(one.answer)] for kind in kinds)
        inside += [(one.faults, one.detail, one.answer) for one in next(filter(None, shown), [])]
    found = False
    for base in inside:
        for candidate in (
            *(Candidate(*product) for product in under_a_scale(evidence, telling, base, order)),
            *(_beside(evidence, base, order)),
        ):
            if evidence.is_given_by(candidate.answer, probe):
                yield candidate
                found = True
    if not found:
        yield from (Candidate(*product) for product in combined(evidence, order, inside))


def _beside(evidence: Evidence, base: Product, order: Order) -> Iterator[Candidate]:
    """Yield all faults of other choices beside one."""
    ids, detail, answer = base
    for other in _candidates(evidence, order) if ids else ():
        both = None if is_same_choice(other.faults[0], ids[0]) else together(other.answer, answer)
        if both is not None:
            yield Candidate(tuple(sorted((*ids, *other.faults))), joined(detail, other.detail), both)


def _has_few_numbers(observation: Observation) -> bool:
    """Return whether weights of tasks and of steps could be met by chance: those of a tiny model."""
    got, terms = (
        returned(observation, none_is_zero=True),
        observation.problem.num_tasks + observation.problem.inner_grad_steps,
    )
    return got is None or got.size < 2 * terms + 2


def _of_first_order(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield faults of first order where second order is meant: the two mistakes that come together most often."""
    first = first_wrong(evidence)
    if order != 2 or first is None:
        return
    for other in (*_candidates(evidence, 1), *_never_adapted(evidence, first)):
        if not is_same_choice(other.faults[0], "A01"):
            yield Candidate(("A01", *other.faults), other.detail, after(other.answer, first_for_second))


def _scaled(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield a factor on top of another fault, and sums for means in both losses."""
    telling = wrong_ones(evidence)
    for (words, outer), (more, inner) in _SUMS if telling else ():
        yield Candidate(("D11", "C05"), joined(words, more), after(outer, inner))
    for candidate in (*_candidates(evidence, order), *_counted(evidence, order)) if telling else ():
        if ENTRIES[candidate.faults[0]].structural and candidate.faults[0] not in ("M06", "M08", "D10", "B10"):
            base = (candidate.faults, candidate.detail, candidate.answer)
            yield from (Candidate(*product) for product in under_a_scale(evidence, telling, base, order))
