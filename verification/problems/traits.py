"""What a problem has, factor by factor: the conditions under which code may be wrong while it is right elsewhere.

Each factor has a few levels, in words, and a problem has one level of each. Levels are measured on the arrays and
options that a subject is called with, whoever made the problem and whatever it was meant to be.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verification.orders import Order
from verification.problems.covering import Row
from verification.problems.options import Selection
from verification.problems.problem import Problem
from verification.problems.trees import leaves

#: A factor with one of its levels.
Condition: TypeAlias = tuple[str, str]
#: Sizes beyond which numbers are large or small.
LARGE, SMALL = 1000.0, 1e-3
#: The levels of each factor, in words.
FACTORS: dict[str, tuple[str, ...]] = {
    "cost": ("squares", "logistic", "network", "products"),
    "K": ("0", "1", "2", "3 to 5", "6 or more"),
    "T": ("1", "2", "3", "4 or more"),
    "tasks used": ("all", "fewer"),
    "support examples": ("1", "2 to 4", "5 or more"),
    "query examples": ("1", "2 to 4", "5", "6 or more"),
    "support beside query": ("fewer", "as many", "more"),
    "θ": ("0", "small", "ordinary", "beyond 2"),
    "data": ("small", "ordinary", "large"),
    "gradient": ("small", "ordinary", "large"),
    "α": ("0", "a power of two", "no power of two", "beyond ½", "negative"),
    "form of α": ("a number", "an array", "a number for each leaf", "an array for each leaf"),
    "inner selection": ("all", "some", "all but some", "for each task"),
    "outer selection": ("all", "some", "all but some", "for each task"),
    "mode": ("loop", "batched"),
    "outer cost at": ("the last step", "every step"),
    "cost functions": ("two", "one for both loops"),
    "parameters of costs": ("two", "three"),
    "adapted variables": ("not asked for", "of the first task", "of all tasks"),
    "containers": ("flat", "nested"),
    "dtype": ("float64", "float32", "mixed"),
    "memory": ("contiguous", "transposed", "strided", "one buffer"),
    "axes of a leaf": ("0", "1", "2", "3", "4"),
    "entries of a leaf": ("1", "2 to 9", "10 or more"),
    "leaves": ("1", "2 or 3", "4 or more"),
    "unused variables": ("none", "in the inner cost", "in the outer cost", "in both costs"),
    "calls before": ("none", "some"),
}  # fmt: skip
#: The factors of the outer loop, which Reptile has not.
OUTER = (
    "query examples", "support beside query", "inner selection", "outer selection", "outer cost at", "cost functions",
    "parameters of costs", "unused variables",
)  # fmt: skip

_COSTS = {
    "quadratic": "squares",
    "linear-regression": "squares",
    "logistic-regression": "logistic",
    "bilinear": "products",
}


def conditions(order: Order) -> list[Condition]:
    """Return every level of every factor that an order has."""
    return [
        (factor, level)
        for factor, levels in FACTORS.items()
        if order != "reptile" or factor not in OUTER
        for level in levels
        if order != "reptile" or level != "0" or factor not in ("α", "K")  # then it has no gradient, or that of 0
    ]


def levels_of(problem: Problem, gradient: float, *, call: int = 0) -> Row:
    """Return the level of each factor that a problem has, in the arrays it is asked in.

    `gradient` is the largest 2-norm of a leaf of its right gradients, and `call` how many calls came before.
    """
    o, variables, rates = problem.options, leaves(problem.variables), _arrays(problem, problem.inner_learning_rate)
    arrays = _arrays(problem, problem.variables)
    data = [leaf for part in ("support", "query") for leaf in _arrays(problem, problem.batch[part])]
    shapes = [problem.shape(chain) for chain in variables]
    support, query = problem.examples, problem.query_examples
    return {
        "cost": _cost(problem.family.name),
        "K": _among("K", problem.inner_grad_steps, (0, 1, 2, 5)),
        "T": _among("T", problem.num_tasks, (1, 2, 3)),
        "tasks used": "all" if problem.num_tasks == len(data[0]) else "fewer",
        "support examples": _among("support examples", support, (1, 4)),
        "query examples": _among("query examples", query, (1, 4, 5)),
        "support beside query": "fewer" if support < query else "as many" if support == query else "more",
        "θ": _sized(arrays, large=2.0, beyond="beyond 2"),
        "data": _sized(data),
        "gradient": _sized([np.asarray(gradient)]),
        "α": _rate(rates),
        "form of α": _form(problem.inner_learning_rate, rates),
        "inner selection": _selection(o.inner_v),
        "outer selection": _selection(o.outer_v),
        "mode": "batched" if o.batched else "loop",
        "outer cost at": "every step" if o.average_across_steps else "the last step",
        "cost functions": "one for both loops" if o.same_cost else "two",
        "parameters of costs": "three" if o.three_parameters else "two",
        "adapted variables": _asked_for(o.return_inner_v),
        "containers": "flat" if all("/" not in chain for chain in variables) else "nested",
        "dtype": _dtype(arrays),
        "memory": _memory(arrays),
        "axes of a leaf": str(max(map(len, shapes))),
        "entries of a leaf": _among("entries of a leaf", max(int(np.prod(shape)) for shape in shapes), (1, 9)),
        "leaves": _among("leaves", len(shapes), (1, 3)),
        "unused variables": _unused(bool(problem.ignored_by_inner), bool(problem.ignored_by_outer)),
        "calls before": "some" if call else "none",
    }  # fmt: skip


def _arrays(problem: Problem, tree: Any) -> list[NDArray[Any]]:
    return [problem.framework.to_numpy(leaf) for leaf in leaves(tree).values()]


def _cost(family: str) -> str:
    name = family.removeprefix("corner-").partition(",")[0]
    return _COSTS.get(name, name if name in FACTORS["cost"] else "network")


def _among(factor: str, number: int, ends: tuple[int, ...]) -> str:
    """Return the first level whose largest number is not exceeded, or the last."""
    return FACTORS[factor][sum(number > end for end in ends)]


def _sized(arrays: list[NDArray[Any]], large: float = LARGE, beyond: str = "large") -> str:
    largest = max(float(np.max(np.abs(array), initial=0.0)) for array in arrays)
    return "0" if largest == 0 else "small" if largest < SMALL else beyond if largest > large else "ordinary"


def _rate(rates: list[NDArray[Any]]) -> str:
    every = np.concatenate([np.asarray(rate, np.float64).ravel() for rate in rates])
    if np.any(every < 0):
        return "negative"
    if not np.any(every):
        return "0"
    if np.max(every) > 0.5:
        return "beyond ½"
    return "a power of two" if np.all(np.frexp(every)[0] == 0.5) else "no power of two"


def _form(given: Any, rates: list[NDArray[Any]]) -> str:
    if isinstance(given, dict | list | tuple):
        return "an array for each leaf" if any(rate.ndim for rate in rates) else "a number for each leaf"
    return "a number" if np.isscalar(given) else "an array"


def _selection(selection: Selection) -> str:
    if selection.meant_by_task is not None:
        return "for each task"
    return "all" if selection.meant is None else "some" if selection.keep else "all but some"


def _asked_for(returned: str | bool) -> str:
    return "of the first task" if returned == "first" else "of all tasks" if returned else "not asked for"


def _dtype(arrays: list[NDArray[Any]]) -> str:
    found = {str(array.dtype) for array in arrays}
    return found.pop() if len(found) == 1 else "mixed"


def _memory(arrays: list[NDArray[Any]]) -> str:
    bases = [id(array.base) for array in arrays if array.base is not None]
    if len(set(bases)) < len(bases):
        return "one buffer"
    odd = [array for array in arrays if not array.flags.c_contiguous]
    if not odd:
        return "contiguous"
    return "transposed" if any(np.argmax(array.strides) for array in odd) else "strided"


def _unused(inner: bool, outer: bool) -> str:
    return FACTORS["unused variables"][inner + 2 * outer]
