"""Section E: state that leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verification.faults.order import right
from verification.faults.question import Answer, Outcome, Question, combined
from verification.faults.work import Points, Solved, Work, descend, pull_back, solve
from verification.oracles.view import Vector

_MOMENTUM = 0.9  # the default that most optimisers are used with


def carried_over(asked: Question) -> Outcome:
    """E01: θ^{t+1} = φ_K^t."""
    solved: list[Solved] = []
    for work in asked.works:
        start = solved[-1].adapted if solved else work.theta
        solved.append(solve(work.changed(theta=start), asked.order))
    return combined(asked, solved)


def carried_whole(asked: Question) -> Outcome:
    """E01: the same with nothing cut off: second order through the tasks before, Reptile's displacement from θ."""
    solved: list[Solved] = []
    before: list[tuple[Work, Points]] = []

    def through(work: Work, points: Points, u: Vector) -> Vector:
        u = pull_back(work, points, u)
        for earlier, path in reversed(before):
            u = pull_back(earlier, path[:-1], u)
        return u

    for work in asked.works:
        moved = work.changed(theta=before[-1][1][-1] if before else work.theta)
        found = solve(moved, asked.order, pull_back=through)
        if asked.order == "reptile":
            found = replace(found, gradient=(work.theta - found.adapted) / work.view.rate)
        solved.append(found)
        before.append((moved, descend(moved)))
    return combined(asked, solved)


def inputs_changed(asked: Question) -> Outcome:
    """E02: the right answer, and the caller's variables are φ_K of the last task afterwards."""
    found = right(asked)
    return replace(found, overwritten=found.adapted[-1])


def with_momentum(mu: float, *, across_calls: bool = True) -> Answer:
    """E04: one velocity m ← μ m + ∇S, φ ← φ − α m, for every task and every call; its Jacobian is left out.

    Without `across_calls` each call begins with a velocity of zero.
    """

    def answer(asked: Question) -> Outcome:
        velocity = np.zeros_like(asked.works[0].theta)
        for _ in range(asked.call if across_calls else 0):
            velocity = _run(asked, velocity, mu)[1]
        return combined(asked, _run(asked, velocity, mu)[0])

    return answer


momentum_kept = with_momentum(_MOMENTUM)
momentum_kept_within = with_momentum(_MOMENTUM, across_calls=False)


def _run(asked: Question, velocity: Vector, mu: float) -> tuple[list[Solved], Vector]:
    solved = []
    for work in asked.works:
        points, velocity = _moving(work, velocity, mu)
        solved.append(_along(work, asked, points))
    return solved, velocity


def _along(work: Work, asked: Question, points: Points) -> Solved:
    return solve(work, asked.order, descend=lambda _: points)


def _moving(work: Work, velocity: Vector, mu: float) -> tuple[Points, Vector]:
    points = [work.theta]
    for _ in range(work.view.steps):
        velocity = velocity.dtype.type(mu) * velocity + work.inner_gradient(points[-1])
        points.append(points[-1] - work.alpha * velocity)
    return points, velocity
