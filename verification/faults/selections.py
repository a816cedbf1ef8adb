"""O13: other variables adapt than those that ANIL, BOIL or CAVIA select, or otherwise; right where all of them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from verification.faults.order import right
from verification.faults.question import AnswerFunction, OneTask, Outcome, Question, each_task, misread
from verification.faults.work import Solved, Work, solve


def _where_some_do_not(answer: AnswerFunction) -> AnswerFunction:
    def confined(question: Question) -> Outcome:
        everything = all(np.all(work.view.inner_mask) for work in question.works)
        return (right if everything else answer)(question)

    return confined


def _unlearned(solved: Callable[[Work, Question], Solved]) -> OneTask:
    """Leave what adapts without an outer gradient."""

    def one_task(work: Work, question: Question) -> Solved:
        found = solved(work, question)
        return replace(found, gradient=found.gradient * (work.view.inner_mask == 0))

    return one_task


def _from(value: float) -> OneTask:
    """Begin what adapts at a number in each task, whatever θ has there."""

    def solved(work: Work, question: Question) -> Solved:
        theta = np.where(work.view.inner_mask != 0, work.theta.dtype.type(value), work.theta)
        return solve(work.changed(theta=theta), question.order)

    return _unlearned(solved)


def _others_held(work: Work, question: Question) -> Solved:
    """Leave out how the inner gradients depend on what does not adapt: there, second order is first order."""
    found, adapts = solve(work, question.order), work.view.inner_mask != 0
    if question.order != 2 or not np.any(adapts & (work.view.outer_mask != 0)):
        return found  # where nothing that adapts is learned, it is first order for all
    return replace(found, gradient=np.where(adapts, found.gradient, solve(work, 1).gradient))


VARIANTS: dict[str, AnswerFunction] = {
    "all of them": misread(lambda work, _: work.changed(inner_mask=np.ones_like(work.view.inner_mask))),
    "the others in their place": _where_some_do_not(
        misread(lambda work, _: work.changed(inner_mask=1 - work.view.inner_mask))
    ),
    "what adapts has no outer gradient": _where_some_do_not(
        each_task(_unlearned(lambda work, question: solve(work, question.order)))
    ),
    "what adapts begins at 0 in each task": _where_some_do_not(each_task(_from(0.0))),
    "what adapts begins at 1 in each task": _where_some_do_not(each_task(_from(1.0))),
    "the others held in the inner gradients, at second order": each_task(_others_held),
}
