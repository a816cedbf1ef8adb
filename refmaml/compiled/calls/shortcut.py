"""The way of a repeated call: the same functions and options, and arrays of the same shapes as before.

A step of a small problem takes a twentieth of a millisecond, about what the checks of a call take. What they establish
depends on the structure of the arguments alone, so it is remembered by that structure, and a repeated call comes down
to comparing it, the number of steps and the learning rate being finite, and the guard of the functions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from refmaml.compiled.calls.arguments import Call
from refmaml.compiled.calls.groups import Prepared, identity
from refmaml.compiled.guarding.guards import Guard
from refmaml.compiled.program.program import stored, stored_dtype
from refmaml.compiled.running.execution import Execution
from refmaml.containers import fill, prune

_KEPT = 128
#: A rate below this one, times the number of tasks, is one that float32 holds.
_LARGEST = 1e20
_recipes: OrderedDict[Any, Recipe] = OrderedDict()


class Recipe:
    """What a call of one structure comes down to."""

    def __init__(self, ready: Prepared, guard: Guard, execution: Execution, functions: Any) -> None:
        self.guard, self.execution, self.functions = guard, execution, functions
        self.tasks, self.average = ready.layout.tasks, ready.averaged
        leaves = {leaf.chain: leaf for leaf in execution.plan.leaves}
        parts = [(chain, leaves[chain]) for chain in ready.layout.union]
        self._rows, own = ready.rows, int(ready.batched)  # a row of variables keeps its axis of length 1
        self._parts = [
            (chain, leaf.dtype, leaf.start, leaf.start + leaf.size, leaf.shape[own:]) for chain, leaf in parts
        ]
        skeleton = prune(ready.layout.skeleton, ready.layout.union)
        flat = type(skeleton) is dict and all(key == chain for key, chain in skeleton.items())
        self._nest: Callable[[Any], Any] = dict if flat else lambda found: fill(skeleton, found)
        kind = execution.plan.cost_dtype
        self._widens = any(
            stored_dtype(array.dtype) != array.dtype for array in ready.groups[0].inner_data.arrays.values()
        )
        self._cost = (kind if kind.kind == "f" else np.dtype(np.float64)).type

    def answer(self, leaves: list[Any], data: list[Any], rate: float, steps: int, threads: int) -> tuple[Any, ...]:
        """Run the plan and return (cost, gradients)."""
        tasks = self.tasks
        data = [np.ascontiguousarray(array[:tasks] if len(array) > tasks else array) for array in data]
        if self._widens:
            data = [stored(array) for array in data]
        average, rows = self.average, self._rows
        if rows > 1:
            leaves = [leaf[:rows] for leaf in leaves]
        cost, sums, _ = self.execution.run(leaves, data, -rate * rows, [], tasks, steps, average, 0, threads)
        many = tasks // rows * (steps + 1 if average else 1)
        for total in sums.values():
            np.divide(total, many, out=total)
        found = {chain: sums[dtype][start:stop].reshape(shape) for chain, dtype, start, stop, shape in self._parts}
        return self._cost(cost / many), self._nest(found)


def _describe(node: Any, leaves: list[Any], shape: list[Any]) -> bool:
    """Append a container's arrays and its structure; return whether it has nothing but plain arrays for leaves."""
    kind = type(node)
    if kind is np.ndarray:
        leaves.append(node)
        shape.append(node.shape)
        shape.append(node.dtype)
        return True
    if kind is dict:
        shape.append(tuple(node))
        node = node.values()
    elif kind is list or kind is tuple:
        shape.append((kind, len(node)))
    else:
        return False
    for child in node:  # noqa: SIM110 - this runs before every call, and `all` takes twice as long
        if not _describe(child, leaves, shape):
            return False
    return True


def structure(call: Call) -> tuple[Any, list[Any], list[Any]] | None:
    """Return (structure, variables, data), or None where a call has something out of the ordinary."""
    rate, steps = call.inner_learning_rate, call.inner_grad_steps
    if type(rate) is not float or not abs(rate) < _LARGEST or type(steps) is not int or steps < 0:
        return None
    if call.kind == "reptile" or type(call.batched) is not bool or call.return_inner_v is not False:
        return None
    if call.inner_v is not None or call.outer_v is not None:
        return None
    if call.inner_batch_fn is not None or call.outer_batch_fn is not None:
        return None
    shape: list[Any] = []
    leaves: list[Any] = []
    data: list[Any] = []
    if not _describe(call.variables, leaves, shape) or not _describe(call.batch, data, shape):
        return None
    functions = (call.inner_cost_fn, call.outer_cost_fn, call.inner_optimization_step)
    tasks, average = call.num_tasks, bool(call.average_across_steps)
    return (call.kind, *map(identity, functions), call.batched, type(tasks), tasks, average, *shape), leaves, data


def recall(key: Any) -> Recipe | None:
    """Return the recipe of a structure, if its functions still see what they saw."""
    recipe = _recipes.get(key)
    return recipe if recipe is not None and recipe.guard.holds() else None


def remember(key: Any, ready: Prepared, guard: Guard, execution: Execution) -> None:
    """Keep the recipe of a structure."""
    if execution.plan.rates:
        return
    # The functions stay with the recipe, so that no other function can get their identity.
    _recipes[key] = Recipe(ready, guard, execution, (*ready.costs, ready.update))
    if len(_recipes) > _KEPT:
        _recipes.popitem(last=False)


def forget() -> None:
    """Drop every recipe."""
    _recipes.clear()
