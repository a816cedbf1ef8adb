"""Levels: how much a run asks of a subject."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verification.algorithms import PLAIN, Algorithm
from verification.orders import Order
from verification.problems import corners, suite
from verification.problems.setting import Setting

#: "quick": built-in problems that together show every fault of the catalogue. "full": all built-in problems, the quick
#: ones again with other random numbers, the corners, and the relations, or for problem subjects the golden vectors.
LEVELS = ("quick", "full")
QUICK = (
    "quadratic", "logistic-regression", "mlp-tanh-mse", "bilinear", "one-step", "no-steps", "one-task", "average",
    "same-cost-average", "batched", "two-of-three-tasks", "inner-chain", "three-parameters", "leaf-rates",
    "large-gradients", "unused-between", "seven-steps",
)  # fmt: skip
#: Problems that are asked a second time, to find state that outlives a call.
_TWICE = ("quadratic", "mlp-tanh-mse", "batched")
#: Problems that a full run asks the relations on, in float64.
RELATED = ("mlp-tanh-mse", "batched")


def names(level: str, order: Order, seed: int, algorithm: Algorithm = PLAIN) -> list[str]:
    """Return the names of the problems that a level asks of an order; `seed` makes the numbers of the new ones."""
    quick = [name for name in QUICK if suite.is_asked(name, order, algorithm)]
    if level == "quick":
        return quick
    chosen = [name for name in corners.names() if suite.is_asked(name, order, algorithm)]
    return [*suite.names(order, plain=False, algorithm=algorithm), *(f"{name}@{seed}" for name in quick), *chosen]


def is_asked_twice(problem: Setting) -> bool:
    """Return whether a problem is asked a second time: some of the built-in ones, and everybody's own."""
    if problem.is_built_in and suite.is_corner(problem.name):
        return corners.row_of(suite.kind(problem.name))["calls before"] == "some"
    return not problem.is_built_in or suite.kind(problem.name) in _TWICE


def precisions(problem: Setting, dtypes: Sequence[str]) -> tuple[str, ...]:
    """Return the precisions to ask a problem in, of those wanted: a corner has one of its own."""
    if not (problem.is_built_in and suite.is_corner(problem.name)):
        return tuple(dtypes)
    own = corners.precision(suite.kind(problem.name))
    return (own if own in dtypes else dtypes[0],)


def cost_of_asking(problem: Setting) -> int:
    """Return roughly how long a fault takes on a problem: cheap ones first, since one mismatch is enough."""
    size = sum(int(np.prod(problem.shape(chain), dtype=int)) for chain in problem.names)
    if not problem.is_built_in:
        return size * problem.num_tasks * problem.inner_grad_steps * problem.examples
    # Small steps take the same time whatever their size; an average differentiates those up to each point.
    steps = problem.inner_grad_steps ** (2 if problem.options.average_across_steps else 1)
    # Problems with fewer than two steps tell little; they come last.
    return 1_000 * steps * problem.num_tasks + size + (1_000_000 if problem.inner_grad_steps < 2 else 0)
