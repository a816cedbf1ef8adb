"""Section D: over tasks and parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from verification.faults.data import at_rate
from verification.faults.order import right
from verification.faults.place import scaled
from verification.faults.question import AnswerFunction, Misreading, Outcome, Question, each_task, misread, outcome
from verification.faults.work import Points, Solved, Work, descend, pull_back, solve
from verification.oracles.view import FlatArray


def summed(question: Question) -> Outcome:
    """D01: T·g, with the cost summed as well."""
    found = scaled(right(question), question.tasks)
    return replace(found, cost=found.cost * question.tasks)


def divided_twice(question: Question) -> Outcome:
    """D02: g/T."""
    return scaled(right(question), 1 / question.tasks)


def multiplied(factor: float) -> AnswerFunction:
    """D11: c·g."""
    return lambda question: scaled(right(question), factor)


by_a_factor = multiplied(0.375)


def _only(question: Question, task: int, divisor: int) -> Outcome:
    found = right(question)
    solved = solve(question.works[task], question.order)
    return outcome(question, found.cost, solved.gradient / solved.gradient.dtype.type(divisor), found.adapted)


def last_only(question: Question) -> Outcome:
    """D03: g_T."""
    return _only(question, -1, 1)


def last_over_count(question: Question) -> Outcome:
    """D03: g_T/T."""
    return _only(question, -1, question.tasks)


def first_only(question: Question) -> Outcome:
    """D04: g_1/T, with the cost of all tasks."""
    return _only(question, 0, question.tasks)


def not_cleared(question: Question) -> Outcome:
    """D05: the n-th call returns the sum of n."""
    return scaled(right(question), question.call + 1)


def _left_in(work: Work, found: Solved, points: Points, weight: float) -> Solved:
    """Add the inner gradients at `points` to what was found, where a variable has both kinds."""
    inner: FlatArray = sum((work.inner_gradient(phi) for phi in points), np.zeros_like(work.theta))
    both = work.view.inner_mask * work.view.outer_mask
    return Solved(found.cost, found.gradient + inner * both * inner.dtype.type(weight), found.adapted)


def _inner_left_in(work: Work, question: Question) -> Solved:
    return _left_in(work, solve(work, question.order), descend(work)[:-1], 1)


def _left_in_through_graph(work: Work, question: Question) -> Solved:
    found, points = solve(work, question.order), descend(work)
    if question.order != 2:
        return _left_in(work, found, points[:-1], 1)
    both = work.view.inner_mask * work.view.outer_mask
    carried = [pull_back(work, points[:k], work.inner_gradient(phi)) for k, phi in enumerate(points[:-1])]
    inner: FlatArray = sum(carried, np.zeros_like(work.theta))
    return Solved(found.cost, found.gradient + inner * both, found.adapted)


def _last_left_in(work: Work, question: Question) -> Solved:
    return _left_in(work, solve(work, question.order), descend(work)[:-1][-1:], 1)


def _undivided_left_in(work: Work, question: Question) -> Solved:
    return _left_in(work, solve(work, question.order), descend(work)[:-1], question.tasks)


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


inner_left_in = each_task(_inner_left_in)
inner_left_in_through_graph = each_task(_left_in_through_graph)
last_left_in = each_task(_last_left_in)
undivided_left_in = each_task(_undivided_left_in)
accumulated = each_task(_accumulated)
never_cleared = each_task(_never_cleared)
never_cleared_undivided = each_task(_never_cleared_undivided)


def own_axis_summed(question: Question) -> Outcome:
    """D07: Σ_j g[j, …], where a variable has an axis of its own."""
    found = right(question)
    gradients = {
        chain: leaf if leaf is None or leaf.ndim == 0 else np.asarray(leaf.sum(axis=0))
        for chain, leaf in found.gradients.items()
    }
    return replace(found, gradients=gradients)


def _in_batched_mode(factor: Callable[[int], float]) -> Misreading:
    return misread(
        lambda work, question: at_rate(work, factor(question.tasks) if question.problem.options.batched else 1)
    )


def own_axis_kept(question: Question) -> Outcome:
    """D07: the same, with the axis kept at length 1."""
    found = right(question)
    gradients = {
        chain: leaf if leaf is None or leaf.ndim == 0 else np.asarray(leaf.sum(axis=0, keepdims=True))
        for chain, leaf in found.gradients.items()
    }
    return replace(found, gradients=gradients)


batched_sum = _in_batched_mode(lambda tasks: tasks)
summed_everywhere = misread(lambda work, question: at_rate(work, question.tasks))
batched_mean = _in_batched_mode(lambda tasks: 1 / tasks)


def batched_sum_of_both(question: Question) -> Outcome:
    """D08: the outer gradient is T times what it should be as well."""
    return scaled(batched_sum(question), question.tasks if question.problem.options.batched else 1)


def batched_mean_of_both(question: Question) -> Outcome:
    """D08: the outer gradient is divided by T as well."""
    return scaled(batched_mean(question), 1 / question.tasks if question.problem.options.batched else 1)


def _path_twice(question: Question, share: float) -> Outcome:
    """Count one of the two paths of a leaf that a three-parameter cost gets in both of its containers again."""
    found = right(question)
    if not question.problem.options.three_parameters:
        return found
    masks = [work.view.inner_mask * work.view.outer_mask for work in question.works]
    twice = 1 + share * np.max(masks, axis=0)
    gradients = {
        chain: None if leaf is None else leaf * twice[question.spots()[chain]].astype(leaf.dtype)
        for chain, leaf in found.gradients.items()
    }
    return replace(found, gradients=gradients)


def outer_path_twice(question: Question) -> Outcome:
    """D09: the path through the outer variables (three quarters of a leaf in the problems) counts twice."""
    return _path_twice(question, 0.75)


def inner_path_twice(question: Question) -> Outcome:
    """D09: the path through the inner variables (a quarter of a leaf in the problems) counts twice."""
    return _path_twice(question, 0.25)
