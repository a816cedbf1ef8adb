"""Linear combinations: weights over tasks and over steps, and inner gradients left in, by least squares.

A meta-gradient is a sum over tasks, and where several points count, over steps. Which weights a sum has is no search:
it is solved for on all problems with as many tasks, or as many steps, together, and holds where it leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import AnswerFunction, Question, data, place, tasks, weighting
from verification.faults.order import right
from verification.faults.question import Misreading, after, together
from verification.judging.tolerances import norm
from verification.naming.evidence import Evidence, Observation, allowed
from verification.naming.rules import number, rules, simple
from verification.naming.scaling import AS_ASKED, Product, is_same_choice, joined, under
from verification.naming.vectors import least_squares, returned, vector, wrong_ones
from verification.orders import Order

Weights = dict[int, tuple[float, ...]]
_NOTHING = 1e-7  # a weight below it is 0
_TRIED = 2  # rules of a number, the simplest first
_SPARE = 2  # numbers beyond the unknown ones, at least: fewer are met by chance


def combined(evidence: Evidence, order: Order, faults: Sequence[Product] = (AS_ASKED,)) -> Iterator[Product]:
    """Yield the weights that give every answer: those of the right step, or of one with another fault."""
    telling = [one for one in wrong_ones(evidence) if returned(one, none_is_zero=True) is not None]
    if not telling:
        return
    for ids, detail, base in faults:
        for sum_ in _sums(evidence, order):
            found = None if sum_.fault in ids else _weighted(evidence, telling, sum_, base)
            if found is not None:
                weights, answer = found
                yield (*ids, sum_.fault), joined(detail, sum_.words(weights)), answer
        for id_, words, other in _ADDED if order != "reptile" else ():
            if isinstance(base, Misreading) and not any(is_same_choice(id_, known) for known in ids):
                for scale, share, answer in _added(evidence, telling, other, base, order):
                    numbers = joined(*(word for _, word in scale), detail, share)
                    yield (*(known for known, _ in scale), *ids, id_), joined(numbers, words), answer


#: The weights of a sum with so many terms.
_Weighing = Callable[[int], Sequence[float]]


@dataclass(frozen=True)
class _Sum:
    """A sum with weights: how many there are (by T or K of a problem), which are right, the step with others, words."""

    fault: str
    count: Callable[[Question], int]
    right: _Weighing
    weighted: Callable[[_Weighing], AnswerFunction]
    where: str

    def term(self, place: int) -> AnswerFunction:
        """Return the step that takes one term of the sum alone."""
        return self.weighted(lambda count: [float(place == other) for other in range(len(self.right(count)))])

    def words(self, weights: Weights) -> str:
        """Return the weights in words, of the largest sum first."""
        parts = [
            f"{', '.join(map(number, shares))} {self.where.format(count=count)}"
            for count, shares in sorted(weights.items(), reverse=True)
            if len(shares) > 1
        ]
        return f"weights {'; '.join(parts)}"


_OF_TASKS = _Sum(
    "D12", lambda question: question.tasks, lambda count: (1 / count,) * count, tasks.weighted, "of {count} tasks"
)


def _steps(question: Question) -> int:
    return question.works[0].view.steps


_OF_POINTS = _Sum("M07", _steps, lambda count: (*[0.0] * count, 1.0), place.over_points, "at φ_0, …, φ_{count}")


def _sums(evidence: Evidence, order: Order) -> Iterator[_Sum]:
    """Yield the sums of a step whose weights may be others: over tasks, over points, and of both losses."""
    yield _OF_TASKS
    views = [work.view for one in evidence.deciding for work in evidence.question(one).works]
    declared = next((view for view in views if view.weights is not None), None)
    if order == "reptile":
        return
    if declared is None or declared.weights is None:
        yield _OF_POINTS
    elif declared.support_weight:
        yield _Sum("O11", lambda _: 0, lambda _: (1.0, 1.0), weighting.with_losses_times, "times those of S and Q")
    else:
        yield replace(_OF_POINTS, fault="O08", right=declared.weights, weighted=weighting.with_points)


def _weighted(evidence: Evidence, telling: Sequence[Observation], sum_: _Sum, base: AnswerFunction) -> _Found | None:
    """Return the weights with which a sum gives every answer, by the number of its terms, and the step; or None.

    Where answers have fewer numbers than a sum has terms, other weights give them as well, and are not told.
    """
    if _solved(evidence, telling[:1], sum_, base) is None:
        return None
    groups: dict[int, list[Observation]] = {}
    for observation in evidence.deciding:
        if returned(observation, none_is_zero=True) is not None:
            groups.setdefault(_count(evidence, observation, sum_, base), []).append(observation)
    found: Weights = {}
    told: Weights = {}
    for count, observations in groups.items():
        weights, is_only = _solved(evidence, observations, sum_, base) or (None, False)
        # Nothing at all is no sum, but where the last of the terms is left out, one alone is none.
        if weights is None or not (any(weights) or (count == 1 and len(groups) > 1)):
            return None
        found[count] = weights
        if is_only:
            told[count] = weights
    names = [{observation.problem.name for observation in observations} for observations in groups.values()]
    if all(np.allclose(weights, weights[0]) for weights in found.values()) and max(map(len, names)) == 1:
        return None  # a factor for each problem by itself, which any problem has
    step = together(sum_.weighted(lambda count: found.get(count, sum_.right(count))), base)
    return (told or found, step) if step is not None and evidence.matched_by(step) else None


_Found = tuple[Weights, AnswerFunction]


def _count(evidence: Evidence, observation: Observation, sum_: _Sum, base: AnswerFunction) -> int:
    question = evidence.question(observation)
    return sum_.count(base.change(question) if isinstance(base, Misreading) else question)


def _solved(
    evidence: Evidence, observations: Sequence[Observation], sum_: _Sum, base: AnswerFunction
) -> tuple[tuple[float, ...], bool] | None:
    """Return the weights nearest to the right ones with which a sum gives some answers, and whether no others do."""
    start = np.asarray(sum_.right(_count(evidence, observations[0], sum_, base)))
    terms = [term for place in range(len(start)) if (term := together(sum_.term(place), base)) is not None]
    if len(terms) < len(start):
        return None  # both choices are one
    rows = [_in_bounds(evidence, observation, terms) for observation in observations]
    if any(row is None for row in rows):
        return None
    columns, got = (np.concatenate(parts) for parts in zip(*(row for row in rows if row is not None), strict=True))
    found = least_squares(columns, got - columns @ start)
    if found is None:
        return None
    moved, rank = found
    if len(got) < rank + _SPARE and len(observations) > 1:
        return None
    weights = start + moved
    if not norm(got - columns @ weights) <= len(got):  # where it is no number, too
        return None
    numbers = [float(weight) for weight in weights]
    if rank == len(start):  # where other weights give the same, these do as they are, and not as somebody wrote them
        numbers = [0.0 if abs(weight) < _NOTHING else simple(weight) for weight in numbers]
    return tuple(numbers), rank == len(start)


def _in_bounds(
    evidence: Evidence, observation: Observation, terms: Sequence[AnswerFunction]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the terms as columns and the answer beside them, each entry in units of what is allowed there."""
    got, parts = returned(observation, none_is_zero=True), [evidence.predict(observation, term) for term in terms]
    if got is None or any(leaf is None for part in parts for leaf in part.gradients.values()):
        return None
    columns = np.stack([vector(part) for part in parts], axis=1)
    if len(columns) != len(got):
        return None
    sizes = [
        np.full(leaf.size, allowed(observation, chain, leaf) or 1.0)
        for chain, leaf in evidence.right(observation).gradients.items()
        if leaf is not None
    ]
    unit = np.concatenate(sizes)
    return columns / unit[:, None], got / unit


#: What may have been added to the gradient: a fault, its words, and what it adds.
_ADDED: tuple[tuple[str, str, AnswerFunction], ...] = (
    *(("D06", variant, alone) for variant, alone in tasks.LEFT_IN.items()),
    ("C01", "the support data beside the query data", data.outer_on_support),
    ("C01", "the support data with the inner cost beside the query data", data.outer_is_inner),
)


def _added(
    evidence: Evidence, telling: Sequence[Observation], other: AnswerFunction, change: Misreading, order: Order
) -> Iterator[tuple[tuple[tuple[str, str], ...], str, AnswerFunction]]:
    """Yield a(g + c L), with what was added, L, where one rule gives a and one gives c."""
    shares, scale = [], []
    for observation in telling:
        solved = _two_parts(evidence, observation, after(right, change), after(other, change))
        if solved is None or not all(solved):
            return
        question = evidence.question(observation)
        scale.append((solved[0], question))
        shares.append((solved[1] / solved[0], question))
    for factor, share in product(islice(rules(scale, order), _TRIED), islice(rules(shares, order), _TRIED)):
        answer = under(factor, after(tasks.added(other, share), change))
        if evidence.matched_by(answer):
            yield factor.faults, f"times {share.formula}" if share.formula != "1" else "", answer
            return


def _two_parts(
    evidence: Evidence, observation: Observation, base: AnswerFunction, alone: AnswerFunction
) -> tuple[float, float] | None:
    rows = _in_bounds(evidence, observation, (base, alone))
    found = None if rows is None else least_squares(*rows)
    if rows is None or found is None:
        return None
    solution, rank = found
    if rank < 2 or norm(rows[1] - rows[0] @ solution) > len(rows[1]):
        return None
    return float(solution[0]), float(solution[1])
