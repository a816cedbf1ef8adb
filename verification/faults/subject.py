"""A fault as a subject: it is judged by the same path as anybody's code, in the problem's own precision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from verification.faults.question import AnswerFunction, pose_in
from verification.problems.problem import EXTRAS, Problem
from verification.problems.trees import leaves, nested


class FaultySubject:
    """A problem subject that gives a fault's answers; it counts calls, for the faults that need two."""

    supports = EXTRAS  # a fault is asked every problem

    def __init__(self, answer: AnswerFunction) -> None:
        self._answer = answer
        self._calls: Counter[tuple[Any, ...]] = Counter()

    def __call__(self, problem: Problem) -> tuple[Any, ...]:
        """Return (cost, gradients, adapted), and write over the caller's variables if the fault does.

        Raises:
            ValueError: what code with the fault would give is open.
        """
        key = (problem.name, problem.order, str(problem.dtype))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a fault may diverge, or divide by α
            found = self._answer(pose_in(problem, problem.dtype, self._calls[key]))
        self._calls[key] += 1
        if found.is_open:
            raise ValueError("operands of these shapes could not be broadcast together.")
        rows = [problem.split(adapted) for adapted in found.adapted]
        if problem.options.return_inner_v == "first":
            rows = rows[:1]
        if found.overwritten is not None:
            for chain, leaf in leaves(problem.variables).items():
                leaf[...] = problem.split(found.overwritten)[chain]
        adapted = {chain: np.stack([row[chain] for row in rows]) for chain in problem.names}
        if problem.algorithm.rates:  # variables and rates come apart
            return found.cost, found.gradients, adapted
        return found.cost, nested(found.gradients, problem.variables), nested(adapted, problem.variables)
