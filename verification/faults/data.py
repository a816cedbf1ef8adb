"""Section C: data and costs exchanged, and inner costs reduced wrongly."""

from __future__ import annotations

from verification.faults.question import Question, each_task
from verification.faults.work import Solved, Work, descend, mean, solve

outer_on_support = each_task(
    lambda work, asked: solve(work.changed(outer_costs=work.view.outer_costs_on_support), asked.order)
)
inner_on_query = each_task(
    lambda work, asked: solve(work.changed(inner_costs=work.view.inner_costs_on_query), asked.order)
)
exchanged = each_task(
    lambda work, asked: solve(
        work.changed(inner_costs=work.view.inner_costs_on_query, outer_costs=work.view.outer_costs_on_support),
        asked.order,
    )
)


def _support_in_average(work: Work, asked: Question) -> Solved:
    """The first K terms of the average come from the support data, where one cost function serves both loops."""
    if not (work.view.average and asked.problem.options.same_cost):
        return solve(work, asked.order)
    on_support = work.changed(outer_costs=work.view.inner_costs, average=False)
    early = [solve(on_support.changed(steps=k), asked.order) for k in range(work.view.steps)]
    parts = [*early, solve(work.changed(average=False), asked.order)]
    cost, gradient = mean([part.cost for part in parts]), mean([part.gradient for part in parts])
    return Solved(cost, gradient, descend(work)[-1])


support_in_average = each_task(_support_in_average)


def at_rate(work: Work, asked: Question, factor: float) -> Solved:
    """Return the right answer with the inner gradients multiplied: S is scaled, α is not."""
    return solve(work.changed(inner_mask=work.view.inner_mask * work.view.inner_mask.dtype.type(factor)), asked.order)


not_reduced = each_task(lambda work, asked: at_rate(work, asked, asked.examples))
reduced_twice = each_task(lambda work, asked: at_rate(work, asked, 1 / asked.examples))
