"""Section B: where the outer gradient is taken, and how many inner steps come before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verification.faults import order
from verification.faults.question import AnswerFunction, Method, OneTask, Outcome, Question, each_task, misread, rightly
from verification.faults.work import Points, Solved, Work, descend, mean, pull_back, solve
from verification.oracles.view import Costs, FlatArray

graph_lost = order.lost_beyond_first_step


def with_steps(steps: Callable[[int], int]) -> AnswerFunction:
    """B12: another number of inner steps than K, by a rule."""
    return misread(lambda work, _: work.changed(steps=steps(work.view.steps)))


before_adaptation = with_steps(lambda _: 0)
one_step_fewer = with_steps(lambda steps: max(steps - 1, 0))
one_step_fewer_of_several = with_steps(lambda steps: max(steps - 1, min(steps, 1)))
one_step_more = with_steps(lambda steps: steps + 1)
always_five_steps = with_steps(lambda _: 5)
twice_the_steps = with_steps(lambda steps: 2 * steps)
afresh_each_step = with_steps(lambda steps: min(steps, 1))


def _up_to_the_lowest(cost: Callable[[Work, FlatArray], Any], first: int) -> AnswerFunction:
    """B12: the one of φ_first, …, φ_K at which a cost is lowest, in place of φ_K."""

    def change(work: Work, _: Question) -> Work:
        start = min(first, work.view.steps)
        costs = [cost(work, phi) for phi in descend(work)[start:]]
        return work.changed(steps=start + int(np.argmin(costs)))

    return misread(change)


lowest_query_cost = _up_to_the_lowest(Work.outer_cost, 0)
lowest_query_cost_of_adapted = _up_to_the_lowest(Work.outer_cost, 1)
lowest_support_cost = _up_to_the_lowest(Work.inner_cost, 0)
lowest_support_cost_of_adapted = _up_to_the_lowest(Work.inner_cost, 1)


def _from_theta(work: Work) -> Points:
    points = [work.theta]
    for _ in range(work.view.steps):
        points.append(work.theta - work.alpha * work.inner_gradient(points[-1]))
    return points


def _pull_back_from_theta(work: Work, points: Points, u: FlatArray) -> FlatArray:
    """J_{k+1} = I − D H_k J_k: θ enters each step anew."""
    total, moving = np.zeros_like(u), u
    for product in reversed(work.inner_products(points)):
        total = total + moving
        moving = -product(work.alpha * moving)
    return total + moving


every_step_from_theta = each_task(
    lambda work, question: solve(work, question.order, descend=_from_theta, pull_back=_pull_back_from_theta)
)


def _all_from_start(work: Work) -> Points:
    points = [work.theta]
    for _ in range(work.view.steps):
        points.append(points[-1] - work.alpha * work.inner_gradient(work.theta))
    return points


def _pull_back_to_start(work: Work, points: Points, u: FlatArray) -> FlatArray:
    """(I − k D H_0)ᵀ u, with k the number of steps taken."""
    return u - len(points) * work.inner_product(work.theta, work.alpha * u)


all_at_start = each_task(
    lambda work, question: solve(work, question.order, descend=_all_from_start, pull_back=_pull_back_to_start)
)


def _unrolled(work: Work) -> list[Callable[[Any], Any]]:
    """Return φ_0, …, φ_K as functions of θ, where each step differentiates S(φ_k(θ)) by θ."""
    stages: list[Callable[[Any], Any]] = [lambda theta: theta]
    for _ in range(work.view.steps):
        stages.append(_stage(work, stages[-1]))
    return stages


def _stage(work: Work, before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    by_theta = work.differentiate(lambda theta: work.view.inner_costs(before(theta)[None])[0])
    alpha = work.array(work.alpha)
    return lambda theta: before(theta) - alpha * by_theta(theta)


def _outer_gradient(work: Work, stage: Callable[[Any], Any]) -> FlatArray:
    """Return the gradient of Q(φ_k(θ)) by θ."""
    by_theta = work.differentiate(lambda theta: work.view.outer_costs(stage(theta)[None])[0])
    return np.asarray(by_theta(work.array(work.theta)))


def _through_unrolled(work: Work, question: Question) -> Solved:
    stages = _unrolled(work)
    points = [np.asarray(stage(work.array(work.theta))) for stage in stages]
    if question.order == 2:
        ks = range(len(points)) if work.view.average else [len(points) - 1]
        gradients = [_outer_gradient(work, stages[k]) for k in ks]
        cost = mean([work.outer_cost(points[k]) for k in ks])
        return Solved(cost, mean(gradients) * work.view.outer_mask, points[-1])
    return solve(work, question.order, descend=lambda _: points)


through_the_unrolled_loop = each_task(_through_unrolled)


def _averaged(weights: Callable[[int], list[float]]) -> AnswerFunction:
    """Make an answer of the gradients at φ_0, …, φ_K with other weights, where averaging was asked for."""

    def around(solved: OneTask) -> OneTask:
        def one_task(work: Work, question: Question) -> Solved:
            if not work.view.average:
                return solved(work, question)
            steps = range(work.view.steps + 1)
            parts = [solved(work.changed(steps=k, average=False), question) for k in steps]
            shares = weights(work.view.steps)
            cost = sum(share * part.cost for share, part in zip(shares, parts, strict=True))
            gradient = np.sum([share * part.gradient for share, part in zip(shares, parts, strict=True)], axis=0)
            return Solved(cost, gradient, parts[-1].adapted)

        return one_task

    return Method(around=around)


# A misreading may leave no step to divide by, where an implementation would raise; its answer then has one point.
average_without_start = _averaged(lambda steps: [0.0] + [1 / max(steps, 1)] * steps)
sum_over_points = _averaged(lambda steps: [1.0] * (steps + 1))
divided_by_steps = _averaged(lambda steps: [1 / max(steps, 1)] * (steps + 1))
sum_without_start = _averaged(lambda steps: [0.0] + [1.0] * steps)
without_start_over_all = _averaged(lambda steps: [0.0] + [1 / (steps + 1)] * steps)
never_averaged = _averaged(lambda steps: [0.0] * steps + [1.0])
average_without_end = _averaged(lambda steps: [1 / max(steps, 1)] * steps + [0.0 if steps else 1.0])


def at_step(steps: int) -> AnswerFunction:
    """Return what comes of k steps, averaged or not: one term of a sum over the points; for Reptile the k-th step's."""

    def one_task(work: Work, question: Question) -> Solved:
        if question.order != "reptile":
            return solve(work.changed(steps=steps, average=False), question.order)
        phi = descend(work.changed(steps=steps))[-1]
        return Solved(work.inner_cost(phi), work.inner_gradient(phi) * work.view.inner_mask, phi)

    return each_task(one_task)


def over_points(weights: Callable[[int], Sequence[float]]) -> Method:
    """M07: Σ_k w_k ∇Q(φ_k) with the weights of K inner steps, whatever was asked for."""

    def around(solved: OneTask) -> OneTask:
        def one_task(work: Work, question: Question) -> Solved:
            shares = weights(work.view.steps)
            taken = [k for k, share in enumerate(shares) if share] or [0]
            parts = [solved(work.changed(steps=k, average=False), question) for k in taken]
            terms = [part.gradient * part.gradient.dtype.type(shares[k]) for k, part in zip(taken, parts, strict=True)]
            cost = sum(shares[k] * part.cost for k, part in zip(taken, parts, strict=True))
            return Solved(cost, np.sum(terms, axis=0), parts[-1].adapted)

        return one_task

    return Method(around=around)


def _of_points(first: int, *, divided: bool) -> Method:
    """M07: the sum or the mean of the outer gradients at φ_first, …, φ_K."""

    def weights(steps: int) -> list[float]:
        start = min(first, steps)
        return [0.0] * start + [1 / (steps + 1 - start) if divided else 1.0] * (steps + 1 - start)

    return over_points(weights)


sum_of_adapted = _of_points(1, divided=False)
sum_of_all = _of_points(0, divided=False)
mean_of_adapted = _of_points(1, divided=True)
mean_of_all = _of_points(0, divided=True)


def _at_mean(first: int) -> AnswerFunction:
    """M07: ∇Q at the mean of φ_first, …, φ_K; at second order by the mean of their Jacobians."""

    def one_task(work: Work, question: Question) -> Solved:
        points = descend(work)
        ks = range(min(first, work.view.steps), work.view.steps + 1)
        middle = mean([points[k] for k in ks])
        u = work.full_outer_gradient(middle)
        parts = [pull_back(work, points[:k], u) for k in ks] if question.order == 2 else [u]
        return Solved(work.outer_cost(middle), mean(parts) * work.view.outer_mask, points[-1])

    return each_task(one_task)


at_mean_of_all, at_mean_of_adapted = _at_mean(0), _at_mean(1)


def _at_mean_over_tasks(_: OneTask, question: Question) -> list[Solved]:
    paths = [descend(work) for work in question.works]
    middle = mean([points[-1] for points in paths])
    slopes = [work.full_outer_gradient(middle) for work in question.works]
    if question.order == 2:
        slope = mean(slopes)
        slopes = [pull_back(work, points[:-1], slope) for work, points in zip(question.works, paths, strict=True)]
    return [
        Solved(work.outer_cost(middle), slope * work.view.outer_mask, points[-1])
        for work, slope, points in zip(question.works, slopes, paths, strict=True)
    ]


#: M07: ∇Q of every task at the mean of φ_K over tasks; at second order by the mean of their Jacobians.
at_mean_over_tasks = Method(one_task=rightly, between=_at_mean_over_tasks)


def _and_one_more(costs: Callable[[Work], Costs]) -> AnswerFunction:
    """B03: a step on other costs after the right ones."""

    def one_task(work: Work, question: Question) -> Solved:
        def descending(work: Work) -> Points:
            points = descend(work)
            last = work.changed(inner_costs=costs(work))
            return [*points, points[-1] - work.alpha * last.inner_gradient(points[-1])]

        def pulling_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
            if len(points) > work.view.steps:
                u = pull_back(work.changed(inner_costs=costs(work)), points[-1:], u)
                points = points[:-1]
            return pull_back(work, points, u)

        return solve(work, question.order, descend=descending, pull_back=pulling_back)

    return each_task(one_task)


one_step_on_query = _and_one_more(lambda work: work.view.inner_costs_on_query)
one_step_of_outer_cost = _and_one_more(lambda work: work.view.outer_costs)


def scaled(found: Outcome, factor: float) -> Outcome:
    """Return an outcome with its gradients multiplied; leaves without a gradient stay so."""
    gradients = {
        chain: None if leaf is None else leaf * leaf.dtype.type(factor) for chain, leaf in found.gradients.items()
    }
    return replace(found, gradients=gradients)
