"""What a right answer is: from the reference for somebody else's code, from the oracles alone for our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from verification.judging.tolerances import norm
from verification.oracles import closed_form, finite_differences, second_order
from verification.orders import SPELLINGS
from verification.problems.answers import Answer, Arrays, assemble
from verification.problems.problem import Problem
from verification.problems.trees import leaves


@dataclass(frozen=True)
class Truth:
    """An expected answer, where it comes from, and how far its gradients may be off by key chain, in the 2-norm."""

    source: str
    answer: Answer
    errors: dict[str, float]


def from_reference(problem: Problem) -> Truth:
    """Return what `refmaml`'s reference says, in float64 on the problem's own numbers."""
    import refmaml

    step = getattr(refmaml, SPELLINGS[problem.order].function)
    positional, keywords = problem.native("autograd", "float64").arguments()
    cost, gradients, adapted = step(*positional, **keywords)
    present = {chain: np.asarray(leaf) for chain, leaf in leaves(gradients).items() if leaf is not None}
    answer = Answer(float(cost), present, leaves(adapted))
    return Truth("the reference", answer, dict.fromkeys(present, 0.0))


def from_oracles(problem: Problem) -> list[Truth]:
    """Return what each oracle says that can: none of them shares code with `refmaml`."""
    found = [
        _solved("finite differences", problem, [finite_differences.solve(v, problem.order) for v in problem.views(np)]),
        by_definition(problem),
    ]
    views = problem.views(np)
    if all(closed_form.applies(view) for view in views):
        found.append(_solved("closed form", problem, [closed_form.solve(view, problem.order) for view in views]))
    return found


def by_definition(problem: Problem) -> Truth:
    """Return what the definition says, with explicit Jacobians: the one oracle that is exact and fast on any cost."""
    views = problem.views(anp)
    return _solved("explicit Jacobians", problem, [second_order.solve(view, problem.order) for view in views])


def _solved(source: str, problem: Problem, solutions: list[Any]) -> Truth:
    answer = assemble(problem, solutions)
    spread: Arrays = problem.split(np.mean([solution.error for solution in solutions], axis=0))
    return Truth(source, answer, {chain: norm(spread[chain]) for chain in answer.gradients})
