"""What could have given a subject's answers: single faults, fitted ones, faults in one mode alone, and products.

A step is described by a few independent choices: what its question is (data, costs, order, inner steps, rates: a
misreading of what was asked), how it goes through the inner loop and differentiates it, how it sums over tasks, steps
and leaves, and by which factor. The search goes outward from the right one: one choice wrong, then a factor beside it,
then two and a factor. A product is held against the cheapest wrong answer first, with its factor left open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations, permutations

import numpy as np

from verification.faults import (
    ALGORITHM_CATALOGUE,
    CATALOGUE,
    ENTRIES,
    MODEL_CATALOGUE,
    AnswerFunction,
    pairing,
    scales,
)
from verification.faults.algorithms import (
    count_kept,
    count_kept_within,
    state_kept,
    state_kept_whole,
    state_kept_within,
)
from verification.faults.order import right
from verification.faults.question import Method, Misreading, after, together
from verification.naming.combinations import combined
from verification.naming.evidence import Evidence, Observation
from verification.naming.fits import clips_beside, fitted, under_a_free_scale, with_a_number
from verification.naming.precisions import SINGLE, precision_of
from verification.naming.scaling import (
    SCALES,
    Product,
    Reading,
    factor_of,
    is_same_choice,
    joined,
    nearest_factor,
    under_a_scale,
)
from verification.naming.vectors import wrong_ones
from verification.naming.where import CONDITIONS, MODES
from verification.orders import Order

_ALONE = (("F05",), ("G11",))  # pairings are combined where they tell something, a lower precision with nothing
_WEIGHTS = ("O08", "O11")  # a factor beside them is looked for when no weights explain all
_TRIED = 3  # answers on which a fault in what is declared is to show, if it is to stand beside others
_ON_EACH_SIDE = 2  # problems that show a mistake to be in one part alone, and as many that show it not elsewhere


@dataclass(frozen=True)
class Candidate:
    """A fault, or several at once, with the answers they give; `detail` names the variants or the fitted values.

    `by_size` is a lower precision, which the size of the errors tells, and no formula.
    """

    faults: tuple[str, ...]
    detail: str
    answer: AnswerFunction
    by_size: bool = False

    @property
    def most_steps(self) -> float:
        """The inner steps up to which the answers take a reasonable time."""
        return min(ENTRIES[id_].most_steps for id_ in self.faults)


def candidates(order: Order) -> Iterator[Candidate]:
    """Yield every variant of every fault that a step of this order can have.

    No formula gives a lower precision, but for that of φ_K alone.
    """
    for fault in CATALOGUE.values():
        if order in fault.orders:
            for variant, answer in fault.variants.items():
                if fault.id != "G11" or variant in scales.ENDS_IN_LOWER_PRECISION:
                    yield Candidate((fault.id,), variant, answer)


_KEPT = {
    "the state of the declared update": state_kept,
    "within a call, the state of the declared update": state_kept_within,
    "within a call, the state of the declared update with its graph": state_kept_whole,
    "the count of steps of the declared update": count_kept,
    "within a call, the count of steps of the declared update": count_kept_within,
}


def declares(evidence: Evidence) -> bool:
    """Return whether something is declared: another update, weights, differences, or variables that adapt."""
    views = [work.view for observation in evidence.deciding for work in evidence.question(observation).works]
    return any(view.update or view.weights or view.hessian_free or not np.all(view.inner_mask) for view in views)


def of_declared(order: Order) -> Iterator[Candidate]:
    """Yield every variant of every fault in what can be declared, but for another update as a whole."""
    for fault in ALGORITHM_CATALOGUE.values():
        if order in fault.orders and fault.id != "O01":
            for variant, answer in fault.variants.items():
                yield Candidate((fault.id,), variant, answer)
    for detail, answer in _KEPT.items():
        yield Candidate(("E04",), detail, answer)


def pairings(order: Order) -> Iterator[Candidate]:
    """Yield the ways to pair variables and gradients wrongly that are not among the variants of the catalogue."""
    fault = CATALOGUE["F05"]
    for way in pairing.pairings() if order in fault.orders else ():
        for words, make in ((f"{way}", pairing.in_update), (f"in the answer, {way}", pairing.in_answer)):
            if words not in fault.variants:
                yield Candidate((fault.id,), words, make(way))


def single(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield every fault of the catalogue."""
    if any(observation.problem.outer_learning_rate is not None for observation in evidence.deciding):
        yield from _of_parameters(order)
    yield from candidates(order)


def fitted_ones(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield a factor, faults with one number that nobody knows beforehand, and weights over tasks and steps."""
    yield from (Candidate(*product) for product in under_a_scale(evidence, whole(evidence), ((), "", right), order))
    for id_, detail, answer in fitted(evidence, order):
        if order in CATALOGUE[id_].orders:
            yield Candidate((id_,), detail, answer)
    yield from pairings(order)


def weighted(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield weights over tasks and over steps, and inner gradients left in."""
    yield from (Candidate(*product) for product in combined(evidence, order))


def lower_precision(evidence: Evidence, _: Order) -> Iterator[Candidate]:
    """Yield a lower precision, which no formula gives, where the numbers show one."""
    found = precision_of(evidence)
    if found:
        answer = CATALOGUE["G11"].variants["" if found == SINGLE else "half precision"]
        yield Candidate(("G11",), found, answer, by_size=True)


def _of_parameters(order: Order) -> Iterator[Candidate]:
    """Yield the faults that only a subject that returns parameters shows."""
    # Parameters that come back unchanged point to an optimizer of others rather than to a gradient of 0.
    for id_ in ("M06", "B10", "D10"):
        if order in MODEL_CATALOGUE[id_].orders:
            for variant, answer in MODEL_CATALOGUE[id_].variants.items():
                yield Candidate((id_,), variant, answer)


def in_one_mode(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield single faults where only answers to problems of one condition are wrong: they are in that part alone."""
    wrong = [observation.problem for observation in wrong_ones(evidence)]
    everything = [observation.problem for observation in evidence.deciding]
    for words, has in CONDITIONS.items():
        if not wrong or not all(map(has, wrong)) or all(map(has, everything)):
            continue
        sides = ({p.name for p in wrong}, {p.name for p in everything if not has(p)})
        if words not in MODES and min(map(len, sides)) < _ON_EACH_SIDE:
            continue
        found = False
        for candidate in candidates(order):
            detail = joined(candidate.detail, f"{words} alone")
            confined = Candidate(candidate.faults, detail, _confined(candidate.answer, words))
            found = found or evidence.up_to(candidate.most_steps).matched_by(confined.answer)
            yield confined
        if found:
            return


@cache
def _confined(answer: AnswerFunction, condition: str) -> AnswerFunction:
    """Return a fault that is in the problems of one condition alone."""
    return lambda question: answer(question) if CONDITIONS[condition](question.problem) else right(question)


def scaled(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield a factor beside any fault; beside one with a fitted number where that is no fault of the catalogue."""
    telling = whole(evidence)
    if not telling:
        return
    bases: Iterator[Product] = (
        (candidate.faults, candidate.detail, candidate.answer)
        for candidate in chain(combining(evidence, order), (one for one, _ in _telling_pairings(evidence, order)))
    )
    found = list(_under_scales(evidence, telling, order, (bases, under_a_free_scale(evidence, order))))
    yield from found
    yield from _equal_pairs(evidence, order, {id_ for candidate in found for id_ in candidate.faults} - SCALES)


def _equal_pairs(evidence: Evidence, order: Order, known: Collection[str]) -> Iterator[Candidate]:
    """Yield the faults that give with a known one, without any factor, what it gives under one."""
    able = list(combining(evidence, order))
    for one, other in permutations(able if known else (), 2):
        if one.faults[0] in known and not is_same_choice(one.faults[0], other.faults[0]):
            for both in _both(one.answer, other.answer):
                if evidence.matched_by(both):
                    ids = tuple(sorted((*one.faults, *other.faults)))
                    yield Candidate(ids, joined(one.detail, other.detail), both)


def paired(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield two faults of different choices, with a factor or without."""
    telling = whole(evidence)
    if not telling:
        return
    probe = next((one for one in telling if np.isscalar(one.problem.inner_learning_rate)), telling[0])
    able = [(one, probe) for one in combining(evidence, order, but=()) if one.most_steps == float("inf")]
    weights = [one for one, _ in able if one.faults[0] in _WEIGHTS]
    able += _telling_pairings(evidence, order)
    pairs: Iterator[Product] = (
        (tuple(sorted((*one.faults, *other.faults))), joined(one.detail, other.detail), both)
        for (one, shown), (other, also) in combinations(able, 2)
        if not is_same_choice(one.faults[0], other.faults[0])
        for both in _both(one.answer, other.answer)
        if _may_give(evidence, shown if also is probe else also, both)
    )
    bases = chain(((one.faults, one.detail, one.answer) for one in weights), pairs)
    plain = [c for c, _ in able if c.faults[0] in CATALOGUE and c.answer not in _KEPT.values()]
    readings: list[Reading] = [(c.faults, c.detail, c.answer) for c in plain if isinstance(c.answer, Misreading)]
    others: list[Product] = [(c.faults, c.detail, c.answer) for c in plain if not isinstance(c.answer, Misreading)]
    fitted_products = chain(under_a_free_scale(evidence, order, readings), with_a_number(evidence, others))
    found = False
    for candidate in _under_scales(evidence, telling, order, (bases, fitted_products)):
        yield candidate
        found = True
    if not found:
        yield from (Candidate(*product) for product in clips_beside(evidence, [*readings, *others], order))
        yield from (Candidate(*product) for product in combined(evidence, order, [*readings, *others]))


def _both(one: AnswerFunction, other: AnswerFunction) -> Iterator[AnswerFunction]:
    """Yield the step with two faults; two misreadings in both orders, since what one changes the other may read."""
    if isinstance(one, Misreading) and isinstance(other, Misreading):
        yield after(other, one)
    both = together(one, other)
    if both is not None:
        yield both


def _under_scales(
    evidence: Evidence, telling: Sequence[Observation], order: Order, kinds: Sequence[Iterator[Product]]
) -> Iterator[Candidate]:
    """Yield what explains every wrong answer under a factor, of the first kind of which anything does."""
    for bases in kinds:
        found = [product for base in bases for product in under_a_scale(evidence, telling, base, order)]
        if found:
            yield from (Candidate(*product) for product in found)
            return


def whole(evidence: Evidence) -> list[Observation]:
    """Return the wrong answers; none at all where a leaf of one is no number, which no factor gives."""
    wrong = wrong_ones(evidence)
    leaves = (leaf for observation in wrong for leaf in observation.reply.returned.values() if leaf is not None)
    return wrong if all(np.all(np.isfinite(leaf)) for leaf in leaves) else []


def _may_give(evidence: Evidence, probe: Observation, answer: AnswerFunction) -> bool:
    """Return whether an answer, times anything, is what came to one problem."""
    about = evidence.estimate(probe, answer, is_shared=True)
    is_whole = all(leaf is not None and np.all(np.isfinite(leaf)) for leaf in about.gradients.values())
    if is_whole and nearest_factor(probe, about) is None:
        return False
    predicted = evidence.predict(probe, answer, is_shared=True)
    if is_whole:
        return factor_of(evidence, probe, answer, predicted) is not None
    return evidence.matches(probe, predicted)


def combining(evidence: Evidence, order: Order, but: Collection[str] = _WEIGHTS) -> Iterator[Candidate]:
    """Yield the faults that others stand beside: none that is a scale by itself, and none that is slow where it is."""
    yield from (candidate for candidate in _acting(evidence, order) if candidate.faults[0] not in but)
    longest = max(observation.problem.inner_grad_steps for observation in evidence.deciding)
    for candidate in candidates(order):
        if candidate.faults not in _ALONE and not _is_scale(candidate) and longest <= candidate.most_steps:
            yield candidate


def _acting(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield the faults in what is declared that change anything: none where nothing is."""
    cheapest = evidence.deciding[:_TRIED]
    if not declares(evidence) or any(observation.standard.posed is not None for observation in cheapest):
        return  # of a model every answer takes as long as a training step
    for candidate in of_declared(order):
        if any(evidence.shows(observation, candidate.answer) for observation in cheapest):
            yield candidate


def _is_scale(candidate: Candidate) -> bool:
    """Return whether a fault is a factor on what a right step goes through."""
    answer = candidate.answer
    return candidate.faults[0] in SCALES and not (isinstance(answer, Method) and answer.one_task)


def _telling_pairings(evidence: Evidence, order: Order) -> list[tuple[Candidate, Observation]]:
    """Return the ways to pair wrongly of which a wrong answer tells more than that it is open, with that answer."""
    found = []
    for candidate in chain(candidates(order), pairings(order)):
        if candidate.faults == ("F05",):
            shown = (one for one in whole(evidence) if evidence.shows(one, candidate.answer))
            first = next(shown, None)
            if first is not None:
                found.append((candidate, first))
    return found
