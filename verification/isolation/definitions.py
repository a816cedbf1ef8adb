"""A problem by what makes it, so that it need not cross: its name, order, algorithm and, where it has others, rates."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

from verification.algorithms import algorithm
from verification.orders import Order
from verification.problems import suite
from verification.problems.problem import Problem

Json: TypeAlias = dict[str, Any]


def require_built_in(problem: str | Problem) -> None:
    """Check that a problem can be made in another process.

    Raises:
        ValueError: it is somebody's own; its costs are functions of this process.
    """
    if isinstance(problem, Problem) and not problem.is_built_in:
        raise ValueError(
            f"problems: expected built-in problems for a subject in a process of its own, but got {problem.name!r}, "
            "whose costs are in this one. Pass isolated=False."
        )


def definition_of(problem: Problem, rate: float | None = None) -> Json:
    """Return what makes a built-in problem, with another learning rate if asked.

    Raises:
        ValueError: it is somebody's own; its costs are functions of this process.
    """
    require_built_in(problem)
    rates = {"rate": rate, "outer_rate": problem.outer_learning_rate}
    return {"name": problem.name, "order": problem.order, "algorithm": problem.algorithm.spelled} | {
        name: None if value is None else value.hex() for name, value in rates.items()
    }


def problem_of(definition: Json) -> Problem:
    """Return the problem that a definition makes, in float64 on autograd."""
    found = _made(definition["name"], definition["order"], definition["algorithm"])
    rate, outer_rate = (value and float.fromhex(value) for value in (definition["rate"], definition["outer_rate"]))
    found = found if rate is None else replace(found, inner_learning_rate=rate)
    return found.with_outer_step(outer_rate)


@cache
def _made(name: str, order: Order, spelled: str) -> Problem:
    if suite.exists(name):
        return suite.problem(name, order=order, algorithm=algorithm(spelled))
    from verification.vectors import golden  # many subjects are asked none

    return golden()[name].to_problem()
