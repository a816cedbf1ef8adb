"""Section C: data and costs exchanged, and inner costs reduced wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np

from verification.faults.question import Method, OneTask, Question, misread
from verification.faults.work import Solved, Work, mean

outer_on_support = misread(lambda work, _: work.changed(outer_costs=work.view.outer_costs_on_support))
inner_on_query = misread(lambda work, _: work.changed(inner_costs=work.view.inner_costs_on_query))
exchanged = misread(
    lambda work, _: work.changed(
        inner_costs=work.view.inner_costs_on_query, outer_costs=work.view.outer_costs_on_support
    )
)
outer_is_inner = misread(lambda work, _: work.changed(outer_costs=work.view.inner_costs))
inner_is_outer = misread(lambda work, _: work.changed(inner_costs=work.view.outer_costs))
costs_exchanged = misread(
    lambda work, _: work.changed(
        inner_costs=work.view.outer_costs_on_support, outer_costs=work.view.inner_costs_on_query
    )
)
both_exchanged = misread(
    lambda work, _: work.changed(inner_costs=work.view.outer_costs, outer_costs=work.view.inner_costs)
)


def _support_in_average(solved: OneTask) -> OneTask:
    """The first K terms of the average come from the support data, where one cost function serves both loops."""

    def one_task(work: Work, question: Question) -> Solved:
        if not (work.view.average and question.problem.options.same_cost):
            return solved(work, question)
        on_support = work.changed(outer_costs=work.view.inner_costs, average=False)
        early = [solved(on_support.changed(steps=k), question) for k in range(work.view.steps)]
        parts = [*early, solved(work.changed(average=False), question)]
        cost, gradient = mean([part.cost for part in parts]), mean([part.gradient for part in parts])
        return Solved(cost, gradient, parts[-1].adapted)

    return one_task


support_in_average = Method(around=_support_in_average)


def at_rate(work: Work, factor: Any) -> Work:
    """Return the task with its inner gradients multiplied: S is scaled, and α is what it was."""
    mask = work.view.inner_mask
    return work.changed(inner_mask=mask * np.asarray(factor, mask.dtype))


not_reduced = misread(lambda work, _: at_rate(work, work.view.examples))
reduced_twice = misread(lambda work, _: at_rate(work, 1 / work.view.examples))
#: The same of each entry of the targets, where an example has several.
not_reduced_by_entries = misread(lambda work, _: at_rate(work, work.view.entries))


def _with_query_times(work: Work, factor: int) -> Work:
    mask = work.view.outer_mask
    return work.changed(outer_mask=mask * np.asarray(factor, mask.dtype))


#: D11: each task's outer cost is summed; where all tasks have as many examples, that is one factor.
outer_not_reduced = misread(lambda work, _: _with_query_times(work, work.view.query_examples))
outer_not_reduced_by_entries = misread(lambda work, _: _with_query_times(work, work.view.query_entries))
not_reduced_by_rows = misread(lambda work, question: at_rate(work, question.problem.rows))
reduced_twice_by_rows = misread(lambda work, question: at_rate(work, 1 / question.problem.rows))
