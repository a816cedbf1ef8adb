"""Cost functions made of a user's cost function; each keeps the form, of two or of three parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from verification.problems.trees import Tree

Cost = Callable[..., Any]


def three_parameters(cost: Cost) -> bool:
    """Return whether a cost takes (batch, inner_v, outer_v), told by its required positional parameters."""
    parameters = inspect.signature(cost).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) == 3


def altered(cost: Cost, change: Callable[[Any, Tree], Any]) -> Cost:
    """Return a cost of the same form whose value is change(value, v), with v the variables of the inner loop."""

    def two(batch: Tree, v: Tree) -> Any:
        return change(cost(batch, v), v)

    def three(batch: Tree, inner_v: Tree, outer_v: Tree) -> Any:
        return change(cost(batch, inner_v, outer_v), inner_v)

    return three if three_parameters(cost) else two


def on_batch(cost: Cost, batch_fn: Callable[[Tree], Tree]) -> Cost:
    """Return a cost of the same form that applies `batch_fn` to its batch itself."""

    def two(batch: Tree, v: Tree) -> Any:
        return cost(batch_fn(batch), v)

    def three(batch: Tree, inner_v: Tree, outer_v: Tree) -> Any:
        return cost(batch_fn(batch), inner_v, outer_v)

    return three if three_parameters(cost) else two


def in_place_of(cost: Cost, function: Callable[[Tree], Any]) -> Cost:
    """Return a cost of the same form with the value function(v), v the variables of the inner loop."""

    def two(_batch: Tree, v: Tree) -> Any:
        return function(v)

    def three(_batch: Tree, inner_v: Tree, _outer_v: Tree) -> Any:
        return function(inner_v)

    return three if three_parameters(cost) else two
