"""The costs of a problem in the framework of a subject; the judge holds them beside NumPy's before it asks anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verification.problems.problem import Problem
from verification.problems.trees import Tree, leaves, map_leaves

#: The part of the batch that each loop works on.
LOOPS = {"inner": "support", "outer": "query"}


@dataclass(frozen=True)
class Cost:
    """The value of a cost and its dtype, or in `raised` what calling it raised instead."""

    dtype: str = ""
    value: float = float("nan")
    raised: str = ""


@dataclass(frozen=True)
class Costs:
    """What became of a problem in a framework: the dtypes of its variables and of its data, and its costs by loop."""

    variables: tuple[str, ...]
    data: tuple[str, ...]
    values: dict[str, Cost]


def costs_of(own: Problem, dtype: str) -> Costs:
    """Evaluate the costs of a problem that is in the arrays of its framework, in a precision."""

    def dtypes(tree: Tree) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(own.framework.to_numpy(leaf).dtype) for leaf in leaves(tree).values()))

    return Costs(dtypes(own.variables), dtypes(own.batch), {loop: _cost(own, loop, dtype) for loop in LOOPS})


def _cost(own: Problem, loop: str, dtype: str) -> Cost:
    with own.framework.precision(dtype):
        try:
            got = own.framework.to_numpy(cost(own, loop, own.batch[LOOPS[loop]], own.variables))
            return Cost(str(got.dtype), float(got))
        except Exception as error:
            return Cost(raised=f"{type(error).__name__}: {error}")


def cost(problem: Problem, loop: str, batch: Tree, variables: Tree) -> Any:
    """Return a cost on one task, or in batched mode on all."""
    rows = batch if problem.options.batched else map_leaves(lambda leaf: problem.framework.cut(leaf, slice(1)), batch)
    return (problem.inner_cost if loop == "inner" else problem.outer_cost)(rows, variables)
