"""What a right answer is: from the reference for somebody else's code, from the oracles alone for our own."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import autograd.numpy as anp
import numpy as np

from verification.judging.tolerances import norm
from verification.oracles import closed_form, finite_differences, second_order, unrolled
from verification.orders import SPELLINGS
from verification.problems import suite
from verification.problems.answers import Answer, Arrays, assemble
from verification.problems.problem import Problem
from verification.problems.trees import leaves

_FEW = 6  # entries


@dataclass(frozen=True)
class Truth:
    """An expected answer, where it comes from, and how far its gradients may be off by key chain, in the 2-norm."""

    source: str
    answer: Answer
    errors: dict[str, float]


def from_reference(problem: Problem) -> Truth:
    """Return what `refmaml`'s reference says, in float64 on the problem's own numbers.

    What an author declares beside plain MAML is the unrolled loop's to say: no step of the reference has it all.
    """
    if not problem.algorithm.is_plain:
        return by_unrolling(problem)
    import refmaml

    step = getattr(refmaml, SPELLINGS[problem.order].function)
    positional, keywords = problem.native("autograd", "float64").arguments()
    request = {**keywords, "return_inner_v": problem.options.return_inner_v or "all"}
    cost, gradients, adapted = step(*positional, **request)
    present = {chain: np.asarray(leaf) for chain, leaf in leaves(gradients).items() if leaf is not None}
    answer = Answer(float(cost), present, leaves(adapted))
    return Truth("the reference", answer, dict.fromkeys(present, 0.0))


def from_oracles(problem: Problem, moves: float = 0.0) -> list[Truth]:
    """Return what each oracle says that can: none of them shares code with `refmaml`.

    `moves` is by how much the cost moves per unit of relative change on the way; differences have its rounding.
    """
    if not problem.algorithm.is_plain:
        unrolled = by_unrolling(problem)
        return [_by_differences(problem, moves), unrolled] if problem.algorithm.is_smooth else [unrolled]
    found = [by_definition(problem)]
    if not _is_large_corner(problem):
        found.insert(0, _by_differences(problem, moves))
    views = problem.views(np)
    if all(closed_form.applies(view) for view in views):
        found.append(_solved("closed form", problem, [closed_form.solve(view, problem.order) for view in views]))
    return found


def _is_large_corner(problem: Problem) -> bool:
    """Return whether differences through the loop are left out: they take n² costs, and corners are many."""
    entries = sum(prod(problem.shape(chain)) for chain in problem.names)
    return problem.order == 2 and suite.is_corner(problem.name) and entries > _FEW


def by_unrolling(problem: Problem) -> Truth:
    """Return what the whole inner loop, differentiated at once, says: the one oracle that knows every algorithm."""
    return _solved("the unrolled loop", problem, [unrolled.solve(view, problem.order) for view in problem.views(anp)])


def _by_differences(problem: Problem, moves: float) -> Truth:
    # Independent roundings: the mean of T costs moves by the root of the sum of their squares, over T, so that none of
    # them moves by more than T times that.
    views = problem.views(np)
    solutions = [finite_differences.solve(view, problem.order, len(views) * moves) for view in views]
    return _solved("finite differences", problem, solutions)


def by_definition(problem: Problem) -> Truth:
    """Return what the definition says, with explicit Jacobians: the one oracle that is exact and fast on any cost."""
    views = problem.views(anp)
    return _solved("explicit Jacobians", problem, [second_order.solve(view, problem.order) for view in views])


def _solved(source: str, problem: Problem, solutions: list[Any]) -> Truth:
    answer = assemble(problem, solutions)
    spread: Arrays = problem.split(np.mean([solution.error for solution in solutions], axis=0))
    return Truth(source, answer, {chain: norm(spread[chain]) for chain in answer.gradients})
