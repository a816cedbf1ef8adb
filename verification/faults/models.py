"""Faults that only a model shows: its mode, its precision, tied and frozen parameters, and what steps return.

They are written on values, gradients and Hessian-vector products like all others, and on what a model's costs can do
beside (`ModelCosts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from verification.faults.order import right
from verification.faults.place import scaled
from verification.faults.question import AnswerFunction, Outcome, Question, each_task, misread, outcome
from verification.faults.work import Points, Solved, Work, mean, solve
from verification.oracles.view import FlatArray


class ModelCosts(Protocol):
    """What a model's loss on a batch can do beyond its values."""

    def in_mode(self, training: bool) -> Any:
        """Return the loss with the model in training or in evaluation mode."""

    def in_other_mode(self) -> Any:
        """Return the loss with the model in the mode that it is not in."""

    def in_lower_precision(self) -> Any:
        """Return the loss under autocast."""

    def with_copies(self) -> Any:
        """Return the loss as a function of a vector that has tied parameters once for each of their names."""

    @property
    def copies(self) -> NDArray[np.intp]:
        """The coordinates of the flat vector that each coordinate of the vector with all copies comes from."""


def _inner(work: Work) -> ModelCosts:
    """Return S as the loss of a model: these faults are asked of nothing else."""
    return cast(ModelCosts, work.view.inner_costs)


def _outer(work: Work) -> ModelCosts:
    """Return Q as the loss of a model."""
    return cast(ModelCosts, work.view.outer_costs)


outer_in_other_mode = misread(lambda work, _: work.changed(outer_costs=_outer(work).in_other_mode()))
inner_in_other_mode = misread(lambda work, _: work.changed(inner_costs=_inner(work).in_other_mode()))
both_in_other_mode = misread(
    lambda work, _: work.changed(
        inner_costs=_inner(work).in_other_mode(),
        outer_costs=_outer(work).in_other_mode(),
    )
)
under_autocast = misread(
    lambda work, _: work.changed(
        inner_costs=_inner(work).in_lower_precision(),
        outer_costs=_outer(work).in_lower_precision(),
    )
)
everything_adapted = misread(lambda work, _: work.changed(inner_mask=np.ones_like(work.theta)))
all_trained_adapted = misread(lambda work, _: work.changed(inner_mask=work.view.outer_mask))


def _untied(work: Work, question: Question) -> Solved:
    """Adapt each copy of a tied parameter by its own part of the gradient; the outer gradient is their sum."""
    copies = _inner(work).copies
    apart = work.changed(
        theta=work.theta[copies],
        inner_costs=_inner(work).with_copies(),
        outer_costs=_outer(work).with_copies(),
        inner_mask=work.view.inner_mask[copies],
        outer_mask=work.view.outer_mask[copies],
        rate=work.view.rate[copies],
    )
    found = solve(apart, question.order)
    size = work.theta.size
    gathered: FlatArray = np.bincount(copies, weights=found.gradient, minlength=size).astype(np.float64)
    return Solved(found.cost, gathered, found.adapted[:size])


untied = each_task(_untied)

#: What a clip multiplies an inner gradient by: a number, or one for each coordinate.
Factor = Callable[[FlatArray], Any]


def _clipping(factor: Factor, *, differentiated: bool) -> AnswerFunction:
    """Return φ_{k+1} = φ_k − α s_k ∇S(φ_k), with the Jacobian I − α s_k H, or that of a plain step, I − αH."""

    def scale(work: Work, phi: FlatArray) -> Any:
        return factor(work.inner_gradient(phi) * work.view.inner_mask)

    def descending(work: Work) -> Points:
        points = [work.theta]
        for _ in range(work.view.steps):
            phi = points[-1]
            points.append(phi - work.alpha * scale(work, phi) * work.inner_gradient(phi))
        return points

    def pulling_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
        for phi, product in zip(reversed(points), reversed(work.inner_products(points)), strict=True):
            u = u - product(work.alpha * (_slope_of(scale(work, phi)) if differentiated else 1.0) * u)
        return u

    def _slope_of(scale: Any) -> Any:
        # By norm the factor is a number, and a constant to the graph; an entry at the limit has a derivative of 0.
        return scale if np.ndim(scale) == 0 else np.equal(scale, 1.0)

    return each_task(lambda work, question: solve(work, question.order, descend=descending, pull_back=pulling_back))


def with_clipped_norm(limit: float, added: float = 0.0, *, differentiated: bool = True) -> AnswerFunction:
    """M02, A07: inner gradients of a norm of at most c."""
    return _clipping(
        lambda slope: _shrinking(float(np.linalg.norm(slope)) + added, limit), differentiated=differentiated
    )


def _shrinking(size: float, limit: float) -> float:
    return limit / size if size > limit else 1.0


def with_clipped_entries(limit: float, *, differentiated: bool = True) -> AnswerFunction:
    """M02, A07: inner gradients with entries within ±c."""

    def factor(slope: FlatArray) -> Any:
        sizes = np.abs(slope)
        return np.where(sizes > limit, limit / np.where(sizes > 0, sizes, 1.0), 1.0)

    return _clipping(factor, differentiated=differentiated)


def _with_adam(work: Work, question: Question) -> Solved:
    """M05: Adam (Kingma and Ba, 2015, Algorithm 1) with β = 0.9, 0.999 and ε = 1e-8, from zero for each task."""
    points = [work.theta]
    first, second = np.zeros_like(work.theta), np.zeros_like(work.theta)
    for k in range(1, work.view.steps + 1):
        slope = work.inner_gradient(points[-1])
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        direction = first / (1 - 0.9**k) / (np.sqrt(second / (1 - 0.999**k)) + 1e-8)
        points.append(points[-1] - work.alpha * direction)
    return solve(work, question.order, descend=lambda _: points)


adam = each_task(_with_adam)


# What a subject that returns parameters does to them, read back as (θ − θ_new)/β


def from_adapted(question: Question) -> Outcome:
    """B10: θ_new = φ_K − β g, with φ_K of the last task."""
    found, rate = right(question), question.problem.outer_learning_rate
    if rate is None:
        return found
    moved = question.problem.split((question.works[0].theta - found.adapted[-1]) / rate)
    gradients = {chain: None if leaf is None else leaf + moved[chain] for chain, leaf in found.gradients.items()}
    return replace(found, gradients=gradients)


def _task_by_task(*, divided: bool) -> AnswerFunction:
    """D10: θ^{t+1} = θ^t − β g_t(θ^t) after each task, or with β/T."""

    def answer(question: Question) -> Outcome:
        rate = question.problem.outer_learning_rate
        if rate is None:
            return right(question)
        share = 1 / question.tasks if divided else 1.0
        theta, solved = question.works[0].theta, []
        for work in question.works:
            solved.append(solve(work.changed(theta=theta), question.order))
            theta = theta - rate * share * solved[-1].gradient
        total = share * np.sum([found.gradient for found in solved], axis=0)
        return outcome(question, mean([found.cost for found in solved]), total, [found.adapted for found in solved])

    return answer


task_by_task = _task_by_task(divided=False)
task_by_task_divided = _task_by_task(divided=True)


def without_change(question: Question) -> Outcome:
    """M06: the outer optimizer holds parameters that the model has no more."""
    found = right(question)
    return found if question.problem.outer_learning_rate is None else scaled(found, 0.0)
