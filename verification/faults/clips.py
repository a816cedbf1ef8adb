"""Inner gradients that are clipped: by norm, each leaf by its norm, by value; differentiated or not.

A step is φ_{k+1} = φ_k − α c(∇S(φ_k)), and its Jacobian I − α J H with the Jacobian J of the clip c. By norm,
c(g) = s g with s = limit/(‖g‖ + ε) where ‖g‖ is above the limit, and J = s (I − g gᵀ/(‖g‖ (‖g‖ + ε))). Code that takes
the norm without a graph has J = s I, and code that clips a detached alias of the gradient J = I.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from verification.faults.question import AnswerFunction, Question, each_task
from verification.faults.work import Points, Solved, Work, solve
from verification.oracles.view import FlatArray

#: What a graph has of a clip: nothing, a factor that is a constant, or all of it.
Graph = Literal["nothing", "the factor", "the clip"]
#: u ↦ Jᵀ u.
Transposed = Callable[[FlatArray], FlatArray]
#: An inner gradient to itself clipped, and the transposed Jacobian there.
Clip = Callable[[FlatArray], tuple[FlatArray, Transposed]]


def _clipping(clip_of: Callable[[Question], Clip]) -> AnswerFunction:
    def one_task(work: Work, question: Question) -> Solved:
        clip = clip_of(question)

        def clipped(work: Work, phi: FlatArray) -> tuple[FlatArray, Transposed]:
            return clip(work.inner_gradient(phi) * work.view.inner_mask)

        def descending(work: Work) -> Points:
            points = [work.theta]
            for _ in range(work.view.steps):
                points.append(points[-1] - work.alpha * clipped(work, points[-1])[0])
            return points

        def pulling_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
            for phi, product in zip(reversed(points), reversed(work.inner_products(points)), strict=True):
                u = u - product(clipped(work, phi)[1](work.alpha * u))
            return u

        return solve(work, question.order, descend=descending, pull_back=pulling_back)

    return each_task(one_task)


def _by_norm(
    slope: FlatArray, limit: float, added: float, graph: Graph, *, always: bool
) -> tuple[FlatArray, Transposed]:
    size = float(np.linalg.norm(slope))
    if size == 0 or not (always or size + added > limit):
        return slope, lambda u: u
    factor = limit / (size + added)

    def transposed(u: FlatArray) -> FlatArray:
        if graph == "nothing":
            return u
        along = slope * float(slope @ u) / (size * (size + added)) if graph == "the clip" else 0.0
        return factor * (u - along)

    return factor * slope, transposed


def with_clipped_norm(limit: float, added: float = 0.0, *, graph: Graph = "the factor") -> AnswerFunction:
    """M02, A07: inner gradients of a norm of at most c."""
    return _clipping(lambda _: lambda slope: _by_norm(slope, limit, added, graph, always=False))


def with_set_norm(limit: float, *, graph: Graph = "the factor") -> AnswerFunction:
    """M02: inner gradients of a norm of c, whatever it was."""
    return _clipping(lambda _: lambda slope: _by_norm(slope, limit, 0.0, graph, always=True))


def with_clipped_leaves(limit: float, added: float = 0.0, *, graph: Graph = "the factor") -> AnswerFunction:
    """M02, A07: the part of an inner gradient that belongs to one variable has a norm of at most c."""

    def clip_of(question: Question) -> Clip:
        spots = [where.ravel() for where in question.spots().values()]

        def clip(slope: FlatArray) -> tuple[FlatArray, Transposed]:
            parts = [_by_norm(slope[where], limit, added, graph, always=False) for where in spots]
            return (
                np.concatenate([part for part, _ in parts]),
                lambda u: np.concatenate([back(u[where]) for where, (_, back) in zip(spots, parts, strict=True)]),
            )

        return clip

    return _clipping(clip_of)


def with_clipped_entries(limit: float, *, graph: Graph = "the clip") -> AnswerFunction:
    """M02, A07: inner gradients with entries within ±c."""

    def clip(slope: FlatArray) -> tuple[FlatArray, Transposed]:
        return np.clip(slope, -limit, limit), lambda u: u if graph == "nothing" else u * (np.abs(slope) <= limit)

    return _clipping(lambda _: clip)
