"""Levels: how much of a subject a run asks, and which faults it would not have noticed."""

from __future__ import annotations

from collections.abc import Iterable

from verification.faults import CATALOGUE
from verification.faults.question import Answer
from verification.judging.comparison import DECIDES, distance
from verification.naming.evidence import cost_of_asking
from verification.orders import Order
from verification.problems import suite
from verification.problems.problem import Problem

#: "quick": built-in problems that together show every fault of the catalogue. "full": all built-in problems, the quick
#: ones again with other random numbers, and the relations.
LEVELS = ("quick", "full")
QUICK = (
    "quadratic", "logistic-regression", "mlp-tanh-mse", "bilinear", "one-step", "no-steps", "one-task", "average",
    "same-cost-average", "batched", "two-of-three-tasks", "inner-chain", "three-parameters", "leaf-rates",
    "large-gradients",
)  # fmt: skip
#: Problems that are asked a second time, to find state that outlives a call.
_TWICE = ("quadratic", "mlp-tanh-mse", "batched")
#: Problems that a full run asks the relations on, in float64.
RELATED = ("mlp-tanh-mse", "batched")


def names(level: str, order: Order, seed: int) -> list[str]:
    """Return the names of the problems that a level asks of an order; `seed` makes the numbers of the new ones."""
    quick = [name for name in QUICK if suite.is_asked(name, order)]
    if level == "quick":
        return quick
    return [*suite.names(order, plain=False), *(f"{name}@{seed}" for name in quick)]


def is_asked_twice(problem: Problem) -> bool:
    """Return whether a problem is asked a second time."""
    return problem.name.partition("@")[0] in _TWICE


def overlooked(asked: Iterable[tuple[Problem, str]], order: Order) -> list[str]:
    """Return the faults of an order that none of these problems, in its precision, shows, by their ids."""
    cheapest_first = sorted(asked, key=lambda each: cost_of_asking(each[0]))
    found = []
    for fault in CATALOGUE.values():
        able = [
            (problem, dtype)
            for problem, dtype in cheapest_first
            if dtype in fault.dtypes and problem.inner_grad_steps <= fault.most_steps
        ]
        if order in fault.orders and not all(_is_shown(answer, able) for answer in fault.variants.values()):
            found.append(fault.id)
    return found


def _is_shown(answer: Answer, asked: list[tuple[Problem, str]]) -> bool:
    return any(
        distance(problem, dtype, answer, call=call) >= DECIDES
        for problem, dtype in asked
        for call in range(1 + is_asked_twice(problem))
    )
