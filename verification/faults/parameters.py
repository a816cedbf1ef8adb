"""Section F: which parameters."""

from __future__ import annotations

from dataclasses import replace
from itertools import dropwhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults.order import no_such_gradient
from verification.faults.question import AnswerFunction, Outcome, Question, each_task, misread
from verification.faults.work import Points, Solved, Work, solve
from verification.oracles.view import FlatArray

_NOTHING = -1  # in place of the coordinate whose gradient one gets


def unused_is_none(question: Question) -> Outcome:
    """F02: None for the variables that the outer cost ignores."""
    return no_such_gradient(question, list(question.problem.ignored_by_outer))


def never_adapted(*chains: str) -> AnswerFunction:
    """F03: φ_K[n] = θ[n] for some variables."""

    def change(work: Work, question: Question) -> Work:
        mask = work.view.inner_mask.copy()
        for chain in chains:
            mask[question.spots()[chain]] = 0
        return work.changed(inner_mask=mask)

    return misread(change)


def last_leaf_kept(question: Question) -> Outcome:
    """F03: the last variable of the inner cost, as a head that is not among the fast weights."""
    return never_adapted(*adapting(question)[-1:])(question)


def stopped_at_unused(question: Question) -> Outcome:
    """F03: the loop over parameters ends at the first that has no gradient, and those after it stay."""
    ignored = question.problem.ignored_by_inner
    after = list(dropwhile(lambda chain: chain not in ignored, question.problem.names))
    return never_adapted(*after)(question)


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


def nothing_for_what_stays(question: Question) -> Outcome:
    """F06: the gradient is cut where a task does not adapt a variable; what no task adapts has none at all."""

    def one_task(work: Work, question: Question) -> Solved:
        found = solve(work, question.order)
        return replace(found, gradient=found.gradient * (work.view.inner_mask != 0))

    moving = np.any([work.view.inner_mask for work in question.works], axis=0)
    found = each_task(one_task)(question)
    cut = [chain for chain, spots in question.spots().items() if not np.any(moving[spots])]
    gradients = {chain: None if chain in cut else leaf for chain, leaf in found.gradients.items()}
    return replace(found, gradients=gradients)


def paired_wrongly(question: Question) -> Outcome:
    """F05: each variable moves by the gradient of the next one of its shape."""
    return _moved_by_others(question, _permutation(question, question.spots()))


def adapting_paired_wrongly(question: Question) -> Outcome:
    """F05: the same among the variables that adapt."""
    moving = np.any([work.view.inner_mask for work in question.works], axis=0)
    spots = {chain: where for chain, where in question.spots().items() if np.any(moving[where])}
    return _moved_by_others(question, _permutation(question, spots))


def paired_without_unused(question: Question) -> Outcome:
    """F05: gradients that are None are left out of the list, so that those after them go to the variables before.

    A variable of another shape than the gradient that it meets stays: an implementation raises there, or broadcasts.
    """
    moving = np.any([work.view.inner_mask for work in question.works], axis=0)
    spots = {chain: where for chain, where in question.spots().items() if np.any(moving[where])}
    taking = np.full(question.works[0].theta.size, _NOTHING)
    with_gradient = [where for chain, where in spots.items() if chain not in question.problem.ignored_by_inner]
    for where, gradient in zip(spots.values(), with_gradient, strict=False):  # as `zip` in that code, to the shorter
        if where.shape == gradient.shape:
            taking[where] = gradient
    return _moved_by_others(question, taking)


def _permutation(question: Question, spots: dict[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Return, for each coordinate, the one whose gradient it gets: equal shapes in a ring."""
    taking = np.arange(question.works[0].theta.size)
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for chain, where in spots.items():
        by_shape.setdefault(where.shape, []).append(chain)
    for ring in by_shape.values():
        for chain, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            taking[spots[chain]] = spots[following]
    return taking


def _moved_by_others(question: Question, taking: NDArray[np.intp]) -> Outcome:
    """Return what comes of it where each coordinate moves by another one's gradient, or by none."""
    return each_task(lambda work, question: _permuted(work, question, taking))(question)


def _permuted(work: Work, question: Question, taking: NDArray[np.intp]) -> Solved:
    moves = taking != _NOTHING

    def descend(work: Work) -> Points:
        points = [work.theta]
        for _ in range(work.view.steps):
            gradient = work.inner_gradient(points[-1])
            points.append(points[-1] - work.alpha * np.where(moves, gradient[taking], gradient.dtype.type(0)))
        return points

    def pull_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
        for product in reversed(work.inner_products(points)):
            spread = np.zeros_like(u)
            spread[taking[moves]] = (work.alpha * u)[moves]  # Pᵀ D u, where the step subtracts D P ∇S
            u = u - product(spread)
        return u

    return solve(work, question.order, descend=descend, pull_back=pull_back)
