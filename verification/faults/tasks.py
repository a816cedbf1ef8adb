"""Section D: over tasks and parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults.data import at_rate
from verification.faults.order import right
from verification.faults.place import scaled
from verification.faults.question import (
    AnswerFunction,
    Method,
    Misreading,
    Outcome,
    Question,
    combined,
    each_task,
    misread,
    outcome,
)
from verification.faults.work import Points, Solved, Work, descend, pull_back, solve
from verification.oracles.view import FlatArray


def _summed(found: Outcome, question: Question) -> Outcome:
    return replace(scaled(found, question.tasks), cost=found.cost * question.tasks)


#: D01: T·g, with the cost summed as well.
summed = Method(scale=_summed)


def _times(factor: Callable[[Question], float]) -> Method:
    return Method(scale=lambda found, question: scaled(found, factor(question)))


def multiplied(factor: float) -> Method:
    """D11: c·g."""
    return _times(lambda _: factor)


by_a_factor = multiplied(0.375)
#: D02: g/T.
divided_twice = _times(lambda question: 1 / question.tasks)
#: D05: the n-th call returns the sum of n.
not_cleared = _times(lambda question: question.call + 1)


def each_alone(answer: AnswerFunction) -> AnswerFunction:
    """Return the mean over tasks of what a fault makes of each alone: what it does at the end comes before the mean."""

    def mean_of(question: Question) -> Outcome:
        parts = [answer(replace(question, works=[work])) for work in question.works]
        gradients = {chain: _mean([part.gradients[chain] for part in parts]) for chain in parts[0].gradients}
        adapted = [phi for part in parts for phi in part.adapted]
        return Outcome(sum(part.cost for part in parts) / len(parts), gradients, adapted)

    return mean_of


def _mean(leaves: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    known = [leaf for leaf in leaves if leaf is not None]
    return sum(known[1:], start=known[0]) / len(leaves) if known else None


def _only(task: int, divisor: Callable[[Question], int]) -> Method:
    def reduction(question: Question, solved: list[Solved]) -> Outcome:
        found, gradient = combined(question, solved), solved[task].gradient
        return outcome(question, found.cost, gradient / gradient.dtype.type(divisor(question)), found.adapted)

    return Method(reduction=reduction)


#: D03: g_T, or g_T/T.
last_only, last_over_count = _only(-1, lambda _: 1), _only(-1, lambda question: question.tasks)
#: D04: g_1/T, or g_1, with the cost of all tasks.
first_only, first_alone = _only(0, lambda question: question.tasks), _only(0, lambda _: 1)


def weighted(weights: Callable[[int], Sequence[float]]) -> Method:
    """D12: Σ_t w_t g_t, with the weights of T tasks."""

    def reduction(question: Question, solved: list[Solved]) -> Outcome:
        parts = [outcome(question, part.cost, part.gradient, [part.adapted]) for part in solved]
        return replace(combined(question, solved), gradients=combination(parts, weights(len(solved))))

    return Method(reduction=reduction)


def weighted_by_losses(weights: Callable[[FlatArray], FlatArray]) -> Method:
    """D12: Σ_t w_t g_t, with weights that follow from the outer costs of the tasks."""

    def reduction(question: Question, solved: list[Solved]) -> Outcome:
        losses = np.array([part.cost for part in solved], np.float64)
        with np.errstate(all="ignore"):  # a loss may be infinite, or all of them 0
            shares = weights(losses).tolist()
            cost = float(losses @ shares)
        return replace(weighted(lambda _: shares).reduction(question, solved), cost=cost)  # type: ignore[misc]

    return Method(reduction=reduction)


def _softmax(losses: FlatArray) -> FlatArray:
    parts = np.exp(losses - losses.max())
    return np.asarray(parts / parts.sum())


def _softmax_differentiated(losses: FlatArray) -> FlatArray:
    """∂/∂Q_t of Σ w Q, where the graph goes through w = softmax Q."""
    shares = _softmax(losses)
    return np.asarray(shares * (1 + losses - shares @ losses))


def _in_proportion(losses: FlatArray) -> FlatArray:
    return np.asarray(losses / losses.sum())


def _in_proportion_differentiated(losses: FlatArray) -> FlatArray:
    """∂/∂Q_t of Σ Q²/Σ Q."""
    total = losses.sum()
    return np.asarray(2 * losses / total - losses @ losses / total**2)


def _highest_alone(losses: FlatArray) -> FlatArray:
    return np.asarray(np.eye(len(losses))[np.argmax(losses)])


#: D12: the weights that code makes of the losses.
BY_LOSSES: dict[str, AnswerFunction] = {
    "by the softmax of their losses": weighted_by_losses(_softmax),
    "by the softmax of their losses, differentiated": weighted_by_losses(_softmax_differentiated),
    "by the softmax of their negative losses": weighted_by_losses(lambda losses: _softmax(-losses)),
    "by loss over the sum of losses": weighted_by_losses(_in_proportion),
    "by loss over the sum of losses, differentiated": weighted_by_losses(_in_proportion_differentiated),
    "the task with the highest loss alone": weighted_by_losses(_highest_alone),
}


def combination(parts: Sequence[Outcome], shares: Sequence[float]) -> dict[str, NDArray[Any] | None]:
    """Return Σ_i c_i g_i of several outcomes, leaf by leaf; None where one of them has no gradient."""
    gradients: dict[str, NDArray[Any] | None] = {}
    for chain in parts[0].gradients:
        leaves = [part.gradients[chain] for part in parts]
        present = [leaf for leaf in leaves if leaf is not None]
        gradients[chain] = (
            sum(leaf * leaf.dtype.type(share) for leaf, share in zip(present, shares, strict=True))
            if len(present) == len(leaves)
            else None
        )
    return gradients


def _means_of_workers(tasks: int) -> list[float]:
    """Weights where worker 1 has tasks 1, 3, …, worker 2 has 2, 4, …, and the mean of their means is taken."""
    counts = [len(range(first, tasks, 2)) for first in range(min(tasks, 2))]
    return [1 / counts[t % 2] / len(counts) for t in range(tasks)]


def _whole_pairs(tasks: int) -> list[float]:
    """Weights where tasks are taken two by two, and one that is left at the end is dropped."""
    size = min(tasks, 2)
    return [1 / tasks if t < tasks // size * size else 0.0 for t in range(tasks)]


mean_of_means = weighted(_means_of_workers)
last_group_left_out = weighted(_whole_pairs)


def _sum_of_inner(work: Work, points: Points) -> FlatArray:
    """Return the sum of the inner gradients at some points, where a variable has both kinds of gradients."""
    inner: FlatArray = sum((work.inner_gradient(phi) for phi in points), np.zeros_like(work.theta))
    return inner * work.view.inner_mask * work.view.outer_mask


def _through_graph(work: Work, points: Points) -> FlatArray:
    carried = [pull_back(work, points[:k], work.inner_gradient(phi)) for k, phi in enumerate(points)]
    inner: FlatArray = sum(carried, np.zeros_like(work.theta))
    return inner * work.view.inner_mask * work.view.outer_mask


def _alone(inner: Callable[[Work, Points, Question], FlatArray]) -> AnswerFunction:
    def one_task(work: Work, question: Question) -> Solved:
        points = descend(work)
        return Solved(work.outer_cost(points[-1]), inner(work, points[:-1], question), points[-1])

    return each_task(one_task)


#: What may be left in the accumulator, by itself.
LEFT_IN: dict[str, AnswerFunction] = {
    "": _alone(lambda work, points, _: _sum_of_inner(work, points)),
    "of the last step": _alone(lambda work, points, _: _sum_of_inner(work, points[-1:])),
    "through the graph": _alone(
        lambda work, points, question: (_through_graph if question.order == 2 else _sum_of_inner)(work, points)
    ),
    "of θ − φ_K": _alone(lambda work, points, _: work.view.rate * _sum_of_inner(work, points)),
}


def added(other: AnswerFunction, weight: Callable[[Question], float]) -> AnswerFunction:
    """G + c L, with the gradients L of another answer."""

    def answer(question: Question) -> Outcome:
        found = right(question)
        return replace(found, gradients=combination([found, other(question)], (1.0, weight(question))))

    return answer


def left_in(variant: str, weight: Callable[[Question], float]) -> AnswerFunction:
    """D06: g + c L, with the inner gradients L of a variant."""
    return added(LEFT_IN[variant], weight)


def _left_in(work: Work, found: Solved, points: Points, weight: float) -> Solved:
    inner = _sum_of_inner(work, points)
    return Solved(found.cost, found.gradient + inner * inner.dtype.type(weight), found.adapted)


def _accumulating(work: Work, mu: float = 1.0) -> Points:
    """Descend by the sum of all gradients so far, or by m ← μ m + ∇S from m = 0."""
    points, total = [work.theta], np.zeros_like(work.theta)
    for _ in range(work.view.steps):
        total = mu * total + work.inner_gradient(points[-1])
        points.append(points[-1] - work.alpha * total)
    return points


def _accumulating_pull_back(work: Work, points: Points, u: FlatArray, mu: float = 1.0) -> FlatArray:
    total = np.zeros_like(u)
    for product in reversed(work.inner_products(points)):
        total = total - work.alpha * u
        u = u + product(total)
        total = mu * total
    return u


def _accumulated(work: Work, question: Question, mu: float = 1.0) -> Solved:
    descending, pulling_back = partial(_accumulating, mu=mu), partial(_accumulating_pull_back, mu=mu)
    return solve(work, question.order, descend=descending, pull_back=pulling_back)


def with_momentum(mu: float) -> AnswerFunction:
    """M04: m ← μ m + ∇S, φ ← φ − α m from m = 0 for each task, differentiated at second order."""
    return each_task(partial(_accumulated, mu=mu))


def _never_cleared(work: Work, question: Question) -> Solved:
    return _left_in(work, _accumulated(work, question), _accumulating(work)[:-1], 1)


def _never_cleared_undivided(work: Work, question: Question) -> Solved:
    return _left_in(work, _accumulated(work, question), _accumulating(work)[:-1], question.tasks)


inner_left_in = left_in("", lambda _: 1.0)
inner_left_in_through_graph = left_in("through the graph", lambda _: 1.0)
last_left_in = left_in("of the last step", lambda _: 1.0)
undivided_left_in = left_in("", lambda question: question.tasks)
accumulated = each_task(_accumulated)
never_cleared = each_task(_never_cleared)
never_cleared_undivided = each_task(_never_cleared_undivided)


def _own_axis(*, kept: bool) -> Method:
    """D07: Σ_j g[j, …], where a variable has an axis of its own; `kept`, the axis has length 1."""

    def finish(found: Outcome, _: Question) -> Outcome:
        gradients = {
            chain: leaf if leaf is None or leaf.ndim == 0 else np.asarray(leaf.sum(axis=0, keepdims=kept))
            for chain, leaf in found.gradients.items()
        }
        return replace(found, gradients=gradients)

    return Method(finish=finish)


own_axis_summed, own_axis_kept = _own_axis(kept=False), _own_axis(kept=True)


def _in_batched_mode(factor: Callable[[int], float]) -> Misreading:
    return misread(
        lambda work, question: at_rate(work, factor(question.tasks) if question.problem.options.batched else 1)
    )


batched_sum = _in_batched_mode(lambda tasks: tasks)
summed_everywhere = misread(lambda work, question: at_rate(work, question.tasks))
batched_mean = _in_batched_mode(lambda tasks: 1 / tasks)


def batched_sum_of_both(question: Question) -> Outcome:
    """D08: the outer gradient is T times what it should be as well."""
    return scaled(batched_sum(question), question.tasks if question.problem.options.batched else 1)


def batched_mean_of_both(question: Question) -> Outcome:
    """D08: the outer gradient is divided by T as well."""
    return scaled(batched_mean(question), 1 / question.tasks if question.problem.options.batched else 1)


def _path_twice(share: float) -> Method:
    """Count one of the two paths of a leaf that a three-parameter cost gets in both of its containers again."""

    def finish(found: Outcome, question: Question) -> Outcome:
        if not question.problem.options.three_parameters:
            return found
        masks = [work.view.inner_mask * work.view.outer_mask for work in question.works]
        twice = 1 + share * np.max(masks, axis=0)
        gradients = {
            chain: None if leaf is None else leaf * twice[question.spots()[chain]].astype(leaf.dtype)
            for chain, leaf in found.gradients.items()
        }
        return replace(found, gradients=gradients)

    return Method(finish=finish)


#: D09: the path through the outer variables (three quarters of a leaf in the problems) counts twice, or that through
#: the inner variables (a quarter).
outer_path_twice, inner_path_twice = _path_twice(0.75), _path_twice(0.25)
