"""Section E: state that leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verification.faults.question import AnswerFunction, Method, OneTask, Question, rightly
from verification.faults.work import Points, Solved, Work, descend, pull_back, solve
from verification.oracles.view import FlatArray

_MOMENTUM = 0.9  # the default that most optimisers are used with


def _carried_over(one_task: OneTask, question: Question) -> list[Solved]:
    solved: list[Solved] = []
    for work in question.works:
        start = solved[-1].adapted if solved else work.theta
        solved.append(one_task(work.changed(theta=start), question))
    return solved


#: E01: θ^{t+1} = φ_K^t.
carried_over = Method(between=_carried_over)


def _carried_whole(_: OneTask, question: Question) -> list[Solved]:
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
    return solved


#: E01: the same with nothing cut off: second order through the tasks before, Reptile's displacement from θ.
carried_whole = Method(one_task=rightly, between=_carried_whole)


#: E02: the right answer, and the caller's variables are φ_K of the last task afterwards.
inputs_changed = Method(finish=lambda found, _: replace(found, overwritten=found.adapted[-1]))


def with_momentum(mu: float, *, across_calls: bool = True) -> AnswerFunction:
    """E04: one velocity m ← μ m + ∇S, φ ← φ − α m, for every task and every call; its Jacobian is left out.

    Without `across_calls` each call begins with a velocity of zero.
    """

    def between(_one_task: OneTask, question: Question) -> list[Solved]:
        velocity = np.zeros_like(question.works[0].theta)
        for _ in range(question.call if across_calls else 0):
            velocity = _run(question, velocity, mu)[1]
        return _run(question, velocity, mu)[0]

    return Method(one_task=rightly, between=between)


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
