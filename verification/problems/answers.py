"""Answers: cost, gradients and adapted variables by key chain, from an oracle's vectors or from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.oracles import Solution
from verification.problems.setting import Setting

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Answer:
    """What a step returns: the cost, gradients without and adapted variables with a leading task axis."""

    cost: float
    gradients: Arrays
    adapted: Arrays


def assemble(problem: Setting, solutions: Sequence[Solution]) -> Answer:
    """Put the solutions of single tasks together as the specification says: means over tasks, rows of φ_K."""
    gradient = np.mean([solution.gradient for solution in solutions], axis=0)
    rows = [problem.split(solution.adapted) for solution in solutions]
    if problem.options.return_inner_v == "first":
        rows = rows[:1]
    return Answer(
        cost=float(np.mean([solution.cost for solution in solutions])),
        gradients={chain: leaf for chain, leaf in problem.split(gradient).items() if chain in selected(problem)},
        adapted={chain: np.stack([row[chain] for row in rows]) for chain in problem.names},
    )


def selected(problem: Setting) -> list[str]:
    """Return the key chains that the gradients have: every leaf that some task's outer loop selects."""
    everything = tuple(problem.names)
    outer = problem.options.outer_v
    meant = [set(outer.of_task(t, everything)) for t in range(problem.num_tasks)]
    return [chain for chain in everything if any(chain in selection for selection in meant)]
