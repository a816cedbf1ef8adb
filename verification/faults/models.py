"""Faults that only a model shows: its mode, its precision, tied and frozen parameters, and what steps return.

They are written on values, gradients and Hessian-vector products like all others, and on what a model's costs can do
beside (`ModelCosts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from verification.faults.order import first_for_second, right, second_for_first
from verification.faults.place import scaled
from verification.faults.question import AnswerFunction, Misreading, Outcome, Question, each_task, misread, outcome
from verification.faults.state import carried_over
from verification.faults.work import Solved, Work, descend, mean, solve
from verification.oracles.view import FlatArray


class ModelCosts(Protocol):
    """What a model's loss on a batch can do beyond its values."""

    def in_other_mode(self) -> Any:
        """Return the loss with the model in the mode that it is not in."""

    def after(self, passes: Sequence[tuple[Any, FlatArray]]) -> Any:
        """Return the loss with the running statistics that passes of other losses leave, each at a point."""

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


def moves_statistics(work: Work) -> bool:
    """Return whether a pass of the inner loss, in either mode, leaves other running statistics than those before it."""
    both = (_inner(work), _inner(work).in_other_mode())
    return any(costs.after([(costs, work.theta)]) is not costs for costs in both)


def in_modes(*, inner: bool, outer: bool, carried: bool, stays: bool = False) -> Misreading:
    """M01: the inner or the outer loss in the other mode, with the running statistics that all passes before left.

    `carried` goes on with those of the task and of the call before, and `stays` with the mode of its outer loss.
    """

    def change(question: Question) -> Question:
        passes: list[tuple[Any, FlatArray]] = []
        works: list[Work] = []
        for work in question.works * (question.call + 1 if carried else 1):
            passes = passes if carried else []
            switched = inner or (stays and bool(works))
            support = (_inner(work).in_other_mode() if switched else _inner(work)).after(passes)
            here = work.changed(inner_costs=support)
            points = descend(here)
            passes = [*passes, *((support, phi) for phi in points[:-1])]
            query = (_outer(work).in_other_mode() if outer else _outer(work)).after(passes)
            passes.append((query, points[-1]))
            works.append(here.changed(outer_costs=query))
        return replace(question, works=works[-question.tasks :])

    return Misreading(change)


under_autocast = misread(
    lambda work, _: work.changed(
        inner_costs=_inner(work).in_lower_precision(),
        outer_costs=_outer(work).in_lower_precision(),
    )
)
everything_adapted = misread(lambda work, _: work.changed(inner_mask=np.ones_like(work.theta)))
all_trained_adapted = misread(lambda work, _: work.changed(inner_mask=work.view.outer_mask))


def _first_order_of_held(work: Work, question: Question) -> Solved:
    found = solve(work, question.order)
    gradient = np.where(work.view.inner_mask == 0, work.outer_gradient(found.adapted), found.gradient)
    return replace(found, gradient=gradient)


#: A01: the features that the inner loop reads are detached, so that second order reaches what adapts alone.
first_order_of_held = each_task(_first_order_of_held)


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


def _never_cleared(*, divided: bool = False, of_query: bool = False) -> AnswerFunction:
    """D06: one accumulator for both loops and all tasks; the inner steps go along it, and the answer is its end.

    By T may be divided what comes out, or each query loss.
    """

    def answer(question: Question) -> Outcome:
        total, solved = np.zeros_like(question.works[0].theta), []
        for work in question.works:
            phi = work.theta
            for _ in range(work.view.steps):
                total = total + work.inner_gradient(phi)
                phi = phi - work.alpha * total
            total = total + work.full_outer_gradient(phi) / (question.tasks if of_query else 1)
            solved.append(Solved(work.outer_cost(phi), total, phi))
        gradient = total * question.works[0].view.outer_mask / (question.tasks if divided else 1)
        return outcome(question, mean([found.cost for found in solved]), gradient, [found.adapted for found in solved])

    return answer


never_cleared = _never_cleared()
never_cleared_mean = _never_cleared(divided=True)
never_cleared_mean_of_query = _never_cleared(of_query=True)


# Data of one loop, or of one task, where those of another belong


def _with_support_loss(divisor: float, *, inner: bool = False) -> AnswerFunction:
    """C07: the support loss at φ_K, of the outer or the inner cost, beside the query loss: added, or both averaged."""

    def one_task(work: Work, question: Question) -> Solved:
        costs = work.view.inner_costs if inner else work.view.outer_costs_on_support
        on_support = work.changed(outer_costs=costs)
        parts = [solve(part, question.order) for part in (work, on_support)]
        gradient = np.sum([part.gradient for part in parts], axis=0) / divisor
        return Solved(sum(part.cost for part in parts) / divisor, gradient, parts[0].adapted)

    return each_task(one_task)


support_loss_added = _with_support_loss(1.0)
support_loss_averaged = _with_support_loss(2.0)
inner_cost_added = _with_support_loss(1.0, inner=True)
inner_cost_averaged = _with_support_loss(2.0, inner=True)


def _of_one_task(task: int, loop: str) -> AnswerFunction:
    """D13: every task gets the support, or the query data, of one of them."""

    def change(work: Work, question: Question) -> Work:
        view = question.works[task].view
        if loop == "inner":
            return work.changed(inner_costs=view.inner_costs)
        return work.changed(outer_costs=view.outer_costs)

    return misread(change)


support_of_first, support_of_last = _of_one_task(0, "inner"), _of_one_task(-1, "inner")
query_of_first, query_of_last = _of_one_task(0, "outer"), _of_one_task(-1, "outer")


# Another algorithm than the one that is meant


def _displaced(*, divided: bool) -> AnswerFunction:
    """M09: Reptile's θ − φ_K, or that over α, where MAML's gradient is meant."""

    def one_task(work: Work, question: Question) -> Solved:
        if question.order == "reptile":
            return solve(work, question.order)
        end = descend(work)[-1]
        moved = (work.theta - end) / (work.view.rate if divided else 1.0)
        return Solved(work.outer_cost(end), moved * work.view.outer_mask, end)

    return each_task(one_task)


displacement = _displaced(divided=False)
displacement_over_rate = _displaced(divided=True)


def _where_reptile_is_meant(other: AnswerFunction) -> AnswerFunction:
    return lambda question: (other if question.order == "reptile" else right)(question)


first_order_for_reptile = _where_reptile_is_meant(first_for_second)
second_order_for_reptile = _where_reptile_is_meant(second_for_first)


# What a subject that returns parameters does to them, read back as (θ − θ_new)/β


def _from_adapted(before: AnswerFunction) -> AnswerFunction:
    """B10: θ_new = φ_K − β g, with φ_K of the last task."""

    def answer(question: Question) -> Outcome:
        found, rate = before(question), question.problem.outer_learning_rate
        if rate is None:
            return right(question)
        moved = question.problem.split((question.works[0].theta - found.adapted[-1]) / rate)
        gradients = {chain: None if leaf is None else leaf + moved[chain] for chain, leaf in found.gradients.items()}
        return replace(found, gradients=gradients)

    return answer


from_adapted = _from_adapted(right)
from_adapted_of_all = _from_adapted(carried_over)


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


def _stepping(direction: Callable[[FlatArray, FlatArray, int], FlatArray]) -> AnswerFunction:
    """M08: an outer step along another direction than −g: of g [n], θ [n] and the calls that came before."""

    def answer(question: Question) -> Outcome:
        found = right(question)
        if question.problem.outer_learning_rate is None:
            return found
        theta = question.problem.split(question.works[0].theta)
        gradients = {
            chain: None if leaf is None else direction(leaf, theta[chain], question.call)
            for chain, leaf in found.gradients.items()
        }
        return replace(found, gradients=gradients)

    return answer


def with_outer_decay(strength: float) -> AnswerFunction:
    """M08: θ_new = θ − β(g + λθ)."""
    return _stepping(lambda slope, theta, _: slope + strength * theta)


def with_outer_momentum(mu: float) -> AnswerFunction:
    """M08: m ← μm + g, θ_new = θ − βm, with m = 0 before the first call and the same g in each."""
    return _stepping(lambda slope, _, call: slope * sum(mu**k for k in range(call + 1)))


# The same gradient in every call has m̂ = g and v̂ = g² from the first one on (Kingma and Ba, 2015, section 3).
outer_adam = _stepping(lambda slope, *_: slope / (np.abs(slope) + 1e-8))
