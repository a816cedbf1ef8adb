"""Linear combinations: weights over tasks and over steps, and inner gradients left in, by least squares.

A meta-gradient is a sum over tasks, and where several points count, over steps. Which weights a sum has is no search:
it is solved for on all problems with as many tasks, or as many steps, together, and holds where it leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import AnswerFunction, Outcome, Question, data, place, tasks
from verification.faults.order import right
from verification.faults.question import Misreading, after
from verification.judging.tolerances import norm
from verification.naming.evidence import Evidence, Observation, allowed
from verification.naming.rules import number, rules, simple
from verification.naming.scaling import AS_ASKED, Product, Reading, is_same_choice, joined, under
from verification.naming.vectors import returned, vector, wrong_ones
from verification.orders import Order

Weights = dict[int, tuple[float, ...]]
_NOTHING = 1e-7  # a weight below it is 0
_TRIED = 2  # rules of a number, the simplest first
_SPARE = 2  # numbers beyond the unknown ones, at least: fewer are met by chance


def combined(evidence: Evidence, order: Order, readings: Sequence[Reading] = (AS_ASKED,)) -> Iterator[Product]:
    """Yield the weights that give every answer: those of the right question, or of a misread one."""
    telling = [one for one in wrong_ones(evidence) if returned(one, none_is_zero=True) is not None]
    if not telling:
        return
    for ids, detail, change in readings:
        for sum_ in _SUMS if order != "reptile" else _SUMS[:1]:
            found = _weights(evidence, telling, sum_, change)
            if found is not None:
                yield (*ids, sum_.fault), joined(detail, sum_.words(found)), after(_weighted(sum_, found), change)
        for id_, words, other in _ADDED if order != "reptile" else ():
            if not any(is_same_choice(id_, known) for known in ids):
                for scale, share, answer in _added(evidence, telling, other, change, order):
                    numbers = joined(*(word for _, word in scale), detail, share)
                    yield (*(known for known, _ in scale), *ids, id_), joined(numbers, words), answer


@dataclass(frozen=True)
class _Sum:
    """A sum with weights: over what (T or K of a problem), its terms, what weights are right, and its words."""

    fault: str
    count: Callable[[Question], int]
    terms: Callable[[int], tuple[AnswerFunction, ...]]
    right: Callable[[Question], tuple[float, ...]]
    where: str

    def words(self, weights: Weights) -> str:
        """Return the weights in words, of the largest sum first."""
        parts = [
            f"{', '.join(map(number, shares))} {self.where.format(count=count)}"
            for count, shares in sorted(weights.items(), reverse=True)
            if len(shares) > 1
        ]
        return f"weights {'; '.join(parts)}"


@cache
def _task_alone(task: int) -> AnswerFunction:
    return lambda question: right(replace(question, works=question.works[task : task + 1]))


def _tasks_alone(count: int) -> tuple[AnswerFunction, ...]:
    return tuple(_task_alone(task) for task in range(count))


@cache
def _at_step(steps: int) -> AnswerFunction:
    return place.at_step(steps)


def _at_steps(count: int) -> tuple[AnswerFunction, ...]:
    return tuple(_at_step(steps) for steps in range(count + 1))


def _right_of_steps(question: Question) -> tuple[float, ...]:
    steps = question.works[0].view.steps
    return (*[0.0] * steps, 1.0)


_SUMS = (
    _Sum(
        "D12",
        lambda question: question.tasks,
        _tasks_alone,
        lambda question: (1 / question.tasks,) * question.tasks,
        "of {count} tasks",
    ),
    _Sum("M07", lambda question: question.works[0].view.steps, _at_steps, _right_of_steps, "at φ_0, …, φ_{count}"),
)


def _weighted(sum_: _Sum, weights: Weights) -> AnswerFunction:
    def answer(question: Question) -> Outcome:
        count = sum_.count(question)
        shares = weights.get(count, sum_.right(question))
        parts = [term(question) for term in sum_.terms(count)]
        return replace(right(question), gradients=tasks.combination(parts, shares))

    return answer


def _weights(evidence: Evidence, telling: Sequence[Observation], sum_: _Sum, change: Misreading) -> Weights | None:
    """Return the weights with which a sum gives every answer, by the number of its terms, or None."""
    if _solved(evidence, telling[:1], sum_, change) is None:
        return None
    groups: dict[int, list[Observation]] = {}
    for observation in evidence.deciding:
        if returned(observation, none_is_zero=True) is not None:
            groups.setdefault(sum_.count(change.change(evidence.question(observation))), []).append(observation)
    found: Weights = {}
    for count, observations in groups.items():
        weights = _solved(evidence, observations, sum_, change)
        if weights is None or not any(weights):
            return None  # nothing at all is no sum
        found[count] = weights
    names = [{observation.problem.name for observation in observations} for observations in groups.values()]
    if all(np.allclose(weights, weights[0]) for weights in found.values()) and max(map(len, names)) == 1:
        return None  # a factor for each problem by itself, which any problem has
    return found if evidence.matched_by(after(_weighted(sum_, found), change)) else None


def _solved(
    evidence: Evidence, observations: Sequence[Observation], sum_: _Sum, change: Misreading
) -> tuple[float, ...] | None:
    """Return the weights nearest to the right ones with which a sum gives some answers, or None."""
    question = change.change(evidence.question(observations[0]))
    terms = [after(term, change) for term in sum_.terms(sum_.count(question))]
    start = np.asarray(sum_.right(question))
    rows = [_in_bounds(evidence, observation, terms) for observation in observations]
    if any(row is None for row in rows):
        return None
    columns, got = (np.concatenate(parts) for parts in zip(*(row for row in rows if row is not None), strict=True))
    if not np.all(np.isfinite(columns)):
        return None
    moved, _, rank, _ = np.linalg.lstsq(columns, got - columns @ start, rcond=1e-10)
    if len(got) < rank + _SPARE and len(observations) > 1:
        return None
    weights = start + moved
    if not norm(got - columns @ weights) <= len(got):  # where it is no number, too
        return None
    return tuple(0.0 if abs(weight) < _NOTHING else simple(float(weight)) for weight in weights)


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
    if rows is None or not np.all(np.isfinite(rows[0])):
        return None
    solution, _, rank, _ = np.linalg.lstsq(*rows, rcond=1e-10)
    if rank < 2 or norm(rows[1] - rows[0] @ solution) > len(rows[1]):
        return None
    return float(solution[0]), float(solution[1])
