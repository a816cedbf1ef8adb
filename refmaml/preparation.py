"""From a caller's arguments to the tasks of one meta-learning step: every check first, then the sub-batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from refmaml import validation
from refmaml.containers import (
    Array,
    Container,
    Leaves,
    Skeleton,
    fill,
    flatten,
    map_leaves,
    owned,
    prune,
    skeleton_of,
    unbox,
)
from refmaml.tasks import Cost, MetaStep, Task
from refmaml.updates import InnerOptimizationStep

CostFn: TypeAlias = Callable[..., Array]
BatchFn: TypeAlias = Callable[[Container], Container]


def prepare(
    batch: Container,
    inner_cost_fn: CostFn,
    outer_cost_fn: CostFn | None,
    variables: Container,
    inner_grad_steps: int,
    inner_learning_rate: Container,
    *,
    inner_optimization_step: InnerOptimizationStep,
    batched: bool,
    return_inner_v: str | bool,
    num_tasks: int | None,
    stop_gradients: bool,
    inner_batch_fn: BatchFn | None = None,
    outer_batch_fn: BatchFn | None = None,
    inner_v: Container = None,
    keep_inner_v: bool = True,
    outer_v: Container = None,
    keep_outer_v: bool = True,
    divide_by_rate: bool = False,
) -> MetaStep:
    """Check every argument and bind them into the tasks of one step; no cost has been called yet."""
    tasks, in_batch = validation.number_of_tasks(batch, num_tasks)
    validation.distinct_chains(variables, "variables")
    theta = dict(flatten(variables))
    validation.variables(theta)
    if batched:
        validation.task_axis(theta, tasks, in_batch)
    selector = validation.Selector(tuple(theta), tasks, in_batch, batched)
    inner = selector.chains("inner_v", inner_v, keep=keep_inner_v)
    outer = selector.chains("outer_v", outer_v, keep=keep_outer_v)
    adapting = [chain for chain in theta if any(chain in chains for chains in inner)]
    rates = validation.learning_rate(inner_learning_rate, adapting, list(theta), nonzero=divide_by_rate)
    steps = validation.step_count(inner_grad_steps)
    adapted = validation.whose_adapted_variables(return_inner_v)
    costs = _Costs(inner_cost_fn, outer_cost_fn, inner_batch_fn, outer_batch_fn)

    # A leaf that leaves no trace costs nothing to follow; a box from outside is kept only where it may be returned.
    bare: Callable[[Array], Array] = unbox if stop_gradients else _same
    skeleton = skeleton_of(variables)
    batch = map_leaves(bare, batch)

    def task(index: int, rows: slice, name: str) -> Task:
        inner_cost, outer_cost = costs.bind(batch, rows, skeleton, inner[index], outer[index], name)
        start = {chain: owned(bare(leaf)) for chain, leaf in theta.items()}
        return Task(
            variables={chain: leaf[rows] for chain, leaf in start.items()} if batched else start,
            inner=inner[index],
            outer=outer[index],
            inner_cost=inner_cost,
            outer_cost=outer_cost,
            inner_grad_steps=steps,
            rates={chain: bare(rate) for chain, rate in rates.items()},
            inner_optimization_step=inner_optimization_step,
            inner_skeleton=prune(skeleton, inner[index]),
            rows=tasks if batched else 1,
            batched=batched,
            name=name,
            stop_gradients=stop_gradients,
        )

    if batched:
        made = [task(0, slice(0, tasks), "all tasks in one batch")]
    else:
        made = [task(t, slice(t, t + 1), f"task {t}") for t in range(tasks)]
    return MetaStep(tasks=made, skeleton=skeleton, batched=batched, adapted=adapted, stop_gradients=stop_gradients)


class _Costs:
    """The two cost functions with their batch functions, checked, and ready to be bound to a task's data."""

    def __init__(
        self,
        inner_cost_fn: CostFn,
        outer_cost_fn: CostFn | None,
        inner_batch_fn: BatchFn | None,
        outer_batch_fn: BatchFn | None,
    ) -> None:
        self._inner = (inner_cost_fn, validation.takes_outer_variables(inner_cost_fn, "inner_cost_fn"))
        self._outer = self._inner
        if outer_cost_fn is not None:
            self._outer = (outer_cost_fn, validation.takes_outer_variables(outer_cost_fn, "outer_cost_fn"))
        self._batch_fns = (inner_batch_fn, outer_batch_fn)

    def bind(
        self, batch: Container, rows: slice, skeleton: Skeleton, inner: list[str], outer: list[str], name: str
    ) -> tuple[Cost, Cost]:
        """Return the inner cost on the task's inner batch and the outer cost on its outer batch."""
        bound = []
        for which, (function, three), batch_fn in zip(
            ("inner", "outer"), (self._inner, self._outer), self._batch_fns, strict=True
        ):
            views = [prune(skeleton, inner), prune(skeleton, outer)] if three else [skeleton]
            data = _sub_batch(batch, rows, batch_fn, f"{which}_batch_fn, {name}")
            bound.append(_bound(function, data, views, f"the {which} cost, {name}"))
        return bound[0], bound[1]


def _sub_batch(batch: Container, rows: slice, batch_fn: BatchFn | None, where: str) -> Container:
    """Cut a copy of the rows, since a batch function or a cost may write into what it gets."""
    data = map_leaves(lambda leaf: owned(leaf[rows]), batch)
    if batch_fn is None:
        return data
    with validation.Noted(where):
        return batch_fn(data)


def _bound(function: CostFn, data: Container, views: Sequence[Skeleton], where: str) -> Cost:
    def cost(leaves: Leaves, step: int) -> Array:
        here = f"{where}, step {step}"
        with validation.Noted(here):
            value = function(data, *(fill(view, leaves) for view in views))
        return validation.scalar(value, here)

    return cost


def _same(leaf: Array) -> Array:
    return leaf
