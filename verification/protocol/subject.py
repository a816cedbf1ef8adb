"""A program as a subject: it is asked by the same path as a Python function, problem by problem."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verification.problems.problem import Problem
from verification.problems.trees import nested
from verification.protocol.capabilities import Capabilities
from verification.protocol.program import Program
from verification.subjects import Source, Subject, source_below
from verification.vectors.layout import from_problem


@dataclass(frozen=True)
class ProgramSubject(Subject):
    """A running program with what it declares; its `function` puts a problem to it."""

    program: Program
    capabilities: Capabilities

    @property
    def source(self) -> Source | None:
        """The first word of the command that is a file below the current folder, such as the harness."""
        found = (source_below(Path(word), 1) for word in shlex.split(self.name))
        return next((source for source in found if source), None)


def subject_of(program: Program, capabilities: Capabilities) -> ProgramSubject:
    """Return a program as a problem subject in NumPy's arrays, under the name of its command."""

    def answer(problem: Problem) -> tuple[Any, dict[str, Any], dict[str, Any] | None]:
        cost, gradients, adapted = program.run(problem.name, from_problem(problem), str(problem.dtype))
        if adapted is not None and problem.options.return_inner_v == "first":  # of which the layout knows nothing
            adapted = {name: leaf[:1] if np.ndim(leaf) else leaf for name, leaf in adapted.items()}
        return cost, _nested(problem, gradients), adapted and _nested(problem, adapted)

    return ProgramSubject(answer, "problem", "numpy", program.command, program, capabilities)


def _nested(problem: Problem, by_name: dict[str, Any]) -> dict[str, Any]:
    """Return arrays nested like the variables in place of the family's names, which is how the layout calls them."""
    chains = {name: chain for chain, name in problem.names.items()}
    return nested({chains.get(name, name): leaf for name, leaf in by_name.items()}, problem.variables)
