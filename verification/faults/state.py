"""Section E: state that leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verification.faults.order import right
from verification.faults.question import AnswerFunction, Outcome, Question, combined
from verification.faults.work import Points, Solved, Work, descend, pull_back, solve
from verification.oracles.view import FlatArray

_MOMENTUM = 0.9  # the default that most optimisers are used with


def carried_over(question: Question) -> Outcome:
    """E01: θ^{t+1} = φ_K^t."""
    solved: list[Solved] = []
    for work in question.works:
        start = solved[-1].adapted if solved else work.theta
        solved.append(solve(work.changed(theta=start), question.order))
    return combined(question, solved)


def carried_whole(question: Question) -> Outcome:
    """E01: the same with nothing cut off: second order through the tasks before, Reptile's displacement from θ."""
    solved: list[Solved] = []
    before: list[tuple[Work, Points]] = []

    def through(work: Work, points: Points, u: FlatArray) -> FlatArray:
        u = pull_back(work, points, u)
        for earlier, path in reversed(before):
            u = pull_back(earlier, path[:-1], u)
        return u

    for work in question.works:
        moved = work.changed(theta=before[-1][1][-1] if before else work.theta)
        found = solve(moved, question.order, pull_back=through)
        if question.order == "reptile":
            found = replace(found, gradient=(work.theta - found.adapted) / work.view.rate)
        solved.append(found)
        before.append((moved, descend(moved)))
    return combined(question, solved)


def inputs_changed(question: Question) -> Outcome:
    """E02: the right answer, and the caller's variables are φ_K of the last task afterwards."""
    found = right(question)
    return replace(found, overwritten=found.adapted[-1])


def with_momentum(mu: float, *, across_calls: bool = True) -> AnswerFunction:
    """E04: one velocity m ← μ m + ∇S, φ ← φ − α m, for every task and every call; its Jacobian is left out.

    Without `across_calls` each call begins with a velocity of zero.
    """

    def answer(question: Question) -> Outcome:
        velocity = np.zeros_like(question.works[0].theta)
        for _ in range(question.call if across_calls else 0):
            velocity = _run(question, velocity, mu)[1]
        return combined(question, _run(question, velocity, mu)[0])

    return answer


momentum_kept = with_momentum(_MOMENTUM)
momentum_kept_within = with_momentum(_MOMENTUM, across_calls=False)


def _run(question: Question, velocity: FlatArray, mu: float) -> tuple[list[Solved], FlatArray]:
    solved = []
    for work in question.works:
        points, velocity = _moving(work, velocity, mu)
        solved.append(_along(work, question, points))
    return solved, velocity


def _along(work: Work, question: Question, points: Points) -> Solved:
    return solve(work, question.order, descend=lambda _: points)


def _moving(work: Work, velocity: FlatArray, mu: float) -> tuple[Points, FlatArray]:
    points = [work.theta]
    for _ in range(work.view.steps):
        velocity = velocity.dtype.type(mu) * velocity + work.inner_gradient(points[-1])
        points.append(points[-1] - work.alpha * velocity)
    return points, velocity
