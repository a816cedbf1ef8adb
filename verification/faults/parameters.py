"""Section F: which parameters."""

from __future__ import annotations

from dataclasses import replace
from itertools import dropwhile

import numpy as np

from verification.faults.order import without
from verification.faults.question import Method, Misreading, OneTask, Outcome, Question, misread
from verification.faults.work import Solved, Work

#: F02: None for the variables that the outer cost ignores.
unused_is_none = Method(finish=lambda found, question: without(found, question.problem.ignored_by_outer))


def never_adapted(*chains: str) -> Misreading:
    """F03: φ_K[n] = θ[n] for some variables."""

    def change(work: Work, question: Question) -> Work:
        mask = work.view.inner_mask.copy()
        for chain in chains:
            mask[question.spots()[chain]] = 0
        return work.changed(inner_mask=mask)

    return misread(change)


#: F03: the last variable of the inner cost, as a head that is not among the fast weights.
last_leaf_kept = Misreading(lambda question: never_adapted(*adapting(question)[-1:]).change(question))


def _from_unused_on(question: Question) -> list[str]:
    ignored = question.problem.ignored_by_inner
    return list(dropwhile(lambda chain: chain not in ignored, question.problem.names))


#: F03: the loop over parameters ends at the first that has no gradient, and those after it stay.
stopped_at_unused = Misreading(lambda question: never_adapted(*_from_unused_on(question)).change(question))


def adapting(question: Question) -> list[str]:
    """Return the variables that the inner cost takes and the inner loop adapts, in order."""
    moving = np.any([work.view.inner_mask for work in question.works], axis=0)
    return [
        chain
        for chain, where in question.spots().items()
        if chain not in question.problem.ignored_by_inner and np.any(moving[where])
    ]


selections_swapped = misread(
    lambda work, _: work.changed(inner_mask=work.view.outer_mask, outer_mask=work.view.inner_mask)
)


def _adapting_alone(solved: OneTask) -> OneTask:
    def one_task(work: Work, question: Question) -> Solved:
        found = solved(work, question)
        return replace(found, gradient=found.gradient * (work.view.inner_mask != 0))

    return one_task


def _nothing_elsewhere(found: Outcome, question: Question) -> Outcome:
    moving = np.any([work.view.inner_mask for work in question.works], axis=0)
    return without(found, [chain for chain, spots in question.spots().items() if not np.any(moving[spots])])


#: F06: the gradient is cut where a task does not adapt a variable; what no task adapts has none at all.
nothing_for_what_stays = Method(around=_adapting_alone, finish=_nothing_elsewhere)
