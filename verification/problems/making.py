"""A problem from a few numbers: what Hypothesis draws, and what the line that it prints makes again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from verification.orders import DTYPES, ORDERS, Order
from verification.problems import corners
from verification.problems.families import FAMILIES
from verification.problems.options import Options, spelled_fields
from verification.problems.problem import Problem
from verification.problems.suite import Recipe, problem_from
from verification.problems.traits import FACTORS
from verification.problems.trees import Tree


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MadeProblem(Problem):
    """A problem that knows the keywords of `make_problem` that make it; a copy with something replaced does not."""

    made_with: Mapping[str, Any] | None = field(default=None, init=False)

    def __repr__(self) -> str:
        if self.made_with is None:
            return super().__repr__()
        where = {
            **({"framework": self.framework.name} if self.framework.name != "autograd" else {}),
            **({"dtype": str(self.dtype)} if self.dtype != DTYPES[0] else {}),
        }
        keywords = [f"{name}={value!r}" for name, value in {**self.made_with, **where}.items()]
        options = spelled_fields(self.options)
        return f"make_problem({', '.join([repr(self.family.name), *keywords, *([options] if options else [])])})"

    def native(self, name: str, dtype: str | None = None) -> Problem:
        """Return the problem in the arrays of a framework, as `Problem.native` does."""
        found = super().native(name, dtype)
        object.__setattr__(found, "made_with", self.made_with)  # it is the same problem
        return found


def make_problem(
    family: str,
    *,
    tasks: int = 2,
    steps: int = 1,
    rate: float | None = 0.25,
    seed: int = 0,
    order: Order = 1,
    nest: Tree = None,
    framework: str = "autograd",
    dtype: str = "float64",
    **options: Any,
) -> Problem:
    """Return a problem of a family with random numbers.

    Args:
        family: the name of a cost family, one of `verification.problems.families.FAMILIES`.
        tasks: T, the number of tasks.
        steps: K, the number of inner steps.
        rate: α, the inner learning rate; None gives every variable a rate of its own.
        seed: what the data and variables are drawn from, between ¼ and 1¼ in size and of either sign.
        order: 1, 2 or "reptile".
        nest: nested dicts, lists and tuples with the family's variables by name; by default a flat dict.
        framework: the arrays, as for `verification.problem`.
        dtype: "float64" or "float32".
        options: the fields of `verification.testing.Options`.

    Raises:
        ValueError: an argument is not one of its values.
        TypeError: there is no option of that name.
    """
    _require("family", family, tuple(FAMILIES))
    _require("order", order, ORDERS)
    _require("dtype", dtype, DTYPES)
    chosen = Options(**options)
    if steps < 0 or tasks < 1 or not 0 < (chosen.num_tasks or tasks) <= tasks:
        expected = "steps: expected at least 0 steps, at least 1 task, and num_tasks of them at most"
        raise ValueError(f"{expected}, but got {steps}, {tasks} and {chosen.num_tasks}.")
    recipe = Recipe(
        family=FAMILIES[family], seed=seed, tasks=tasks, steps=steps, rate=rate or 0.0, nest=nest,
        leaf_rates=rate is None, options=chosen,
    )  # fmt: skip
    plain = problem_from(recipe, family, order)
    found = MadeProblem(**{entry.name: getattr(plain, entry.name) for entry in fields(plain) if entry.init})
    made_with = {"tasks": tasks, "steps": steps, "rate": rate}
    unusual = {"seed": (seed, 0), "order": (order, 1), "nest": (nest, None)}
    made_with |= {name: value for name, (value, usual) in unusual.items() if value != usual}
    object.__setattr__(found, "made_with", made_with)
    return found.native(framework, dtype)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MadeCorner(MadeProblem):
    """A problem that knows the arguments of `make_corner` that make it."""

    def __repr__(self) -> str:
        if self.made_with is None:
            return super().__repr__()
        return f"make_corner({', '.join(f'{name}={value!r}' for name, value in self.made_with.items())})"


def make_corner(levels: Mapping[str, str], *, seed: int = 0, order: Order = 1) -> Problem:
    """Return a problem with a level of each factor of `verification.problems.traits.FACTORS`, in float64 on autograd.

    Args:
        levels: the levels by factor, such as ``{"K": "6 or more", "memory": "strided"}``; an ordinary one of each
            other factor.
        seed: chooses the numbers, and among what is alike.
        order: 1, 2 or "reptile".

    Raises:
        ValueError: there is no such factor or level, or the levels cannot stand together in one problem.
    """
    _require("order", order, ORDERS)
    for factor, level in levels.items():
        _require("levels", factor, tuple(FACTORS))
        _require(factor, level, FACTORS[factor])
    row = {**corners.ORDINARY, **levels}
    if not corners.can_be(row):
        raise ValueError(f"levels: expected some that can stand together, but got {row}.")
    plain = corners.made_of(row, order, seed)
    found = MadeCorner(**{entry.name: getattr(plain, entry.name) for entry in fields(plain) if entry.init})
    unusual = {factor: level for factor, level in levels.items() if level != corners.ORDINARY[factor]}
    others = {"seed": (seed, 0), "order": (order, 1)}
    made_with = {"levels": unusual, **{name: value for name, (value, usual) in others.items() if value != usual}}
    object.__setattr__(found, "made_with", made_with)
    return found


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, but got {value!r}.")
