"""One golden vector: its numbers, its bounds, and what a step's answer is worth against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verification.judging.tolerances import bound_of_size, ends_over_rate, norm
from verification.problems.problem import Problem
from verification.subjects.reply import Reply, read
from verification.vectors.layout import Json, to_array, to_problem

_LEAST = float(np.finfo(np.float64).smallest_subnormal)
Part: TypeAlias = Literal["cost", "gradients", "adapted"]
Arrays: TypeAlias = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class VectorProblem(Problem):
    """The problem of a golden vector, by its id."""

    def spelled(self, framework: str, dtype: str) -> str:
        """Return Python that makes it again in the arrays of a framework."""
        return f"verification.vectors.load()[{self.name!r}].to_problem({framework!r}, {dtype!r})"


@dataclass(frozen=True)
class Expected:
    """The certified answer: cost, gradients by variable, adapted variables by variable with a leading task axis."""

    cost: NDArray[np.float64]
    gradients: Arrays
    adapted: Arrays


@dataclass(frozen=True)
class Vector:
    """A golden vector; `layout` is the JSON object it was read from, with everything that is not repeated here."""

    id: str
    layout: Json

    @property
    def problem(self) -> Json:
        """The problem, in the JSON layout that docs/vectors.md describes."""
        layout: Json = self.layout["problem"]
        return layout

    @property
    def dtypes(self) -> list[str]:
        """The precisions in which it may be run: "float64", and "float32" where every input is a number of binary32."""
        dtypes: list[str] = self.layout["dtypes"]
        return dtypes

    @property
    def kills(self) -> dict[str, list[str]]:
        """The faults whose answers lie beyond twice the bound, by precision."""
        kills: dict[str, list[str]] = self.layout["kills"]
        return kills

    @cached_property
    def expected(self) -> Expected:
        """The answer."""
        answer = self.layout["expected"]
        return Expected(
            np.asarray(float.fromhex(answer["cost"])),
            {name: to_array(leaf) for name, leaf in answer["gradients"].items()},
            {name: to_array(leaf) for name, leaf in answer["adapted"].items()},
        )

    @cached_property
    def counterfactuals(self) -> list[tuple[list[str], dict[str, NDArray[np.float64] | None]]]:
        """The gradients that named faults give, None where they give nothing or no number."""
        return [
            (entry["faults"], {name: leaf and to_array(leaf) for name, leaf in entry["gradients"].items()})
            for entry in self.layout["counterfactuals"]
        ]

    def condition(self, part: Part, name: str | None = None) -> float:
        """Return κ of the cost, or of a variable's gradient or adapted value."""
        kappa = self.layout["condition"][part]
        return float(kappa if name is None else kappa[name])

    def bound(self, part: Part, name: str | None = None, dtype: str = "float64") -> float:
        """Return how far a right answer may be off in the 2-norm: 64 max(u κ ‖x‖, η), and 0 where κ is 0.

        u is the unit roundoff of `dtype`; η its smallest subnormal number, which counts for subnormal answers alone.
        """
        return bound_of_size(self.moves(part, name), dtype)

    def moves(self, part: Part, name: str | None = None) -> float:
        """Return κ ‖x‖, how far a part moves per unit of relative change on the way; x may be too small for a double.

        A gradient of Reptile has the rounding of the two ends of its displacement: ‖θ/α‖ at least.
        """
        value = self.expected.cost if name is None else getattr(self.expected, part)[name]
        found = self.condition(part, name) * max(norm(value), _LEAST)
        return max(found, self._ends[name]) if part == "gradients" and name in self._ends else found

    @cached_property
    def _ends(self) -> dict[str, float]:
        return ends_over_rate(self.to_problem())

    def to_problem(self, framework: str = "autograd", dtype: str = "float64") -> Problem:
        """Return the problem in the arrays of a framework, to call a step or a subject with."""
        plain = to_problem(self.problem, name=self.id)
        found = VectorProblem(**{entry.name: getattr(plain, entry.name) for entry in fields(plain) if entry.init})
        object.__setattr__(found, "is_built_in", True)
        return found.native(framework, dtype)

    def findings(self, reply: Reply, dtype: str = "float64") -> list[str]:
        """Return a sentence for each part of an answer that is not within its bound."""
        expected = self.expected
        found = [f"{finding.what} {finding.leaf or ''}: {finding.message}" for finding in reply.findings]
        if reply.cost is not None:
            found += self._compared("cost", None, expected.cost, np.asarray(reply.cost), dtype)
        for name, got in reply.gradients.items():
            found += self._compared("gradients", name, expected.gradients[name], got, dtype)
        for name, got in (reply.adapted or {}).items():
            found += self._compared("adapted", name, expected.adapted[name], got, dtype)
        return found

    def _compared(
        self, part: Part, name: str | None, expected: NDArray[np.float64], got: NDArray[Any], dtype: str
    ) -> list[str]:
        distance, allowed = norm(np.asarray(got, np.float64) - expected), self.bound(part, name, dtype)
        if distance <= allowed:
            return []
        what = part if name is None else f"{part} {name}"
        return [f"{what}: expected {expected.tolist()} within {allowed:.3g} in the 2-norm, but got {got.tolist()}"]


def check(
    step: Callable[..., Any], vector: Vector, *, framework: str = "autograd", dtype: str = "float64"
) -> list[str]:
    """Call a step with the interface of `fomaml_step` (or `reptile_step`) and return what is wrong with its answer.

    Raises:
        ValueError: the vector's inputs are not numbers of that precision.
    """
    if dtype not in vector.dtypes:
        raise ValueError(f"dtype: {vector.id} can be run in {' or '.join(vector.dtypes)}, but got {dtype!r}.")
    problem = vector.to_problem(framework, dtype)
    positional, keywords = problem.arguments()
    return vector.findings(read(problem, step(*positional, **keywords)), dtype)
