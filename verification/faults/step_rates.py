"""O09: rates by step that are taken otherwise than declared, where α r_k is the rate of step k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from verification.faults.algorithms import without
from verification.faults.question import AnswerFunction, Misreading, Question
from verification.faults.work import Work
from verification.oracles.updates import InnerUpdate, RatesByStep

Factors = tuple[Any, ...]
#: The factors that a task goes by, from those declared, and the question with the place of the task in it.
Change = Callable[[Factors, Question, int], Factors]


def _with(change: Change) -> Misreading:
    def changed(question: Question) -> Question:
        return replace(question, works=[_changed(question, t, change) for t in range(question.tasks)])

    return Misreading(changed)


def _changed(question: Question, t: int, change: Change) -> Work:
    work = question.works[t]
    update = work.view.update
    if update is None:
        return work
    parts = (
        RatesByStep(factors=change(part.factors, question, t)) if isinstance(part, RatesByStep) else part
        for part in update.parts
    )
    return work.changed(update=InnerUpdate(tuple(parts)))


def _in_step(of: Callable[[int, int, int], int]) -> Misreading:
    """Take the factor of another step in step k of K of task t, all counted from 0."""

    def change(factors: Factors, question: Question, t: int) -> Factors:
        steps = question.works[t].view.steps
        return tuple(factors[min(of(k, steps, t), len(factors) - 1)] for k in range(max(steps, 1)))

    return _with(change)


def _from_anew(factors: Factors, question: Question, t: int) -> Factors:
    return factors * (question.works[t].view.steps // len(factors) + 1)


def _products(factors: Factors, question: Question, t: int) -> Factors:
    more = max(question.works[t].view.steps - len(factors), 0)
    return tuple(accumulate((*factors, *factors[-1:] * more), mul))


def _for_the_rate(factors: Factors, question: Question, t: int) -> Factors:
    rate = question.works[t].view.rate
    return tuple(factor / np.where(rate == 0, 1, rate) for factor in factors)


def _of_variable(factors: Factors, question: Question, t: int) -> Factors:
    found = np.ones_like(question.works[t].theta)
    for place, where in enumerate(question.spots().values()):
        found[where] = np.broadcast_to(factors[min(place, len(factors) - 1)], found.shape)[where]
    return (found,)


VARIANTS: dict[str, AnswerFunction] = {
    "of the next step": _in_step(lambda k, _, __: k + 1),
    "of the step before": _in_step(lambda k, _, __: max(k - 1, 0)),
    "always the first": _in_step(lambda _, __, ___: 0),
    "in the other order": _in_step(lambda k, steps, _: steps - 1 - k),
    "counted on from task to task": _in_step(lambda k, steps, t: t * steps + k),
    "of the task's number": _in_step(lambda _, __, t: t),
    "of the variable's number": _with(_of_variable),
    "from the first on again after the last": _with(_from_anew),
    "1 after the last": _with(lambda factors, _, __: (*factors, 1.0)),
    "the product of all up to the step": _with(_products),
    "for α times the factor": _with(_for_the_rate),
    "left out": without(RatesByStep),
}
