"""The tasks of one meta-learning step, and how their results become its answer.

The plumbing around `refmaml.reference`. In batched mode there is one `Task` that holds every task as a row; in loop
mode there is one for each task, and its results get a leading axis of length 1. Both end in the same mean over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as np

from refmaml import validation
from refmaml.containers import (
    Array,
    Container,
    Leaves,
    Skeleton,
    fill,
    map_leaves,
    merge,
    owned,
    prune,
    select,
    stack_rows,
    unbox,
)
from refmaml.differentiation import value_and_gradient
from refmaml.updates import InnerOptimizationStep, InnerOptimizer, cast

#: A cost bound to a task's data: all leaves, and the step at which it is evaluated, to a real scalar.
Cost = Callable[[Leaves, int], Array]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task's costs on its own data, and what the inner and the outer loop differentiate by.

    `rows` is the number of tasks in it: 1 in loop mode, T in batched mode, where the costs are means over T tasks and
    gradients are multiplied by T to give each row its own task's gradient.
    """

    variables: Leaves
    inner: list[str]
    outer: list[str]
    inner_cost: Cost
    outer_cost: Cost
    inner_grad_steps: int
    rates: Leaves  # by key chain, or one for every leaf under the empty string
    inner_optimization_step: InnerOptimizationStep
    inner_skeleton: Skeleton
    rows: int
    batched: bool
    name: str
    stop_gradients: bool

    def starting_at(self, variables: Leaves) -> Task:
        """Return the same task from other initial variables, with inner updates that stay differentiable."""
        return replace(self, variables=merge(self.variables, variables), stop_gradients=False)

    def begun(self) -> Task:
        """Return the same task at the start of its inner loop: an inner optimizer remembers nothing there."""
        if not isinstance(self.inner_optimization_step, InnerOptimizer):
            return self
        return replace(self, inner_optimization_step=self.inner_optimization_step.fresh(batched=self.batched))

    def inner_gradient(self, point: Leaves, step: int) -> Leaves:
        """∇_I S at `point`."""
        return self._gradient(self.inner_cost, self.inner, point, step)[1]

    def outer_cost_and_gradient(self, point: Leaves, step: int) -> tuple[Array, Leaves]:
        """Q and ∇_O Q at `point`."""
        return self._gradient(self.outer_cost, self.outer, point, step)

    def _gradient(self, cost: Cost, chains: list[str], point: Leaves, step: int) -> tuple[Array, Leaves]:
        value, gradient = value_and_gradient(lambda moving: cost(merge(point, moving), step), select(point, chains))
        return value, self.by_row(gradient)

    def by_row(self, gradient: Leaves) -> Leaves:
        """Turn the gradient of a mean over rows into each row's own."""
        return {chain: cast(self.rows, leaf.dtype) * leaf for chain, leaf in gradient.items()}

    def update(self, point: Leaves, gradient: Leaves, step: int) -> Leaves:
        """Return the adapted leaves after one inner step from `point`."""
        moving = select(point, self.inner)
        where = f"inner_optimization_step, {self.name}, step {step}"
        with validation.Noted(where):
            # An inner step may write into what it gets; φ_k must survive it.
            w = self._nested({chain: owned(leaf) for chain, leaf in moving.items()})
            rates = self.rates[""] if "" in self.rates else self._nested(self.rates)
            dcdw = self._nested(gradient)
            news = self.inner_optimization_step(w, dcdw, rates, stop_gradients=self.stop_gradients)
        return {chain: owned(leaf) for chain, leaf in validation.updated(news, moving, where).items()}

    def _nested(self, leaves: Leaves) -> Container:
        return fill(self.inner_skeleton, leaves)

    def rate(self, chain: str) -> Array:
        """Return the learning rate of one leaf, in its dtype."""
        return cast(self.rates[chain if chain in self.rates else ""], self.variables[chain].dtype)


@dataclass(frozen=True, kw_only=True)
class MetaStep:
    """The tasks of one call, and how their results become its answer."""

    tasks: list[Task]
    skeleton: Skeleton
    batched: bool
    adapted: str | None
    stop_gradients: bool

    def answer(self, one_task: Callable[[Task], tuple[Array, Leaves, Leaves]]) -> tuple[Any, ...]:
        """Return (mean cost, mean gradients[, adapted variables]) of `one_task(task) -> cost, gradient, φ_K`."""
        results = [one_task(task) for task in self.tasks]
        cost = mean_cost([cost for cost, _, _ in results])
        rows = [self._as_rows(gradient) for _, gradient, _ in results]
        answer = [cost, self._nested(mean_over_rows(rows, self._union()))]
        if self.adapted:
            points = [self._as_rows(point) for _, _, point in results]
            answer.append(self._nested(_first_row(points[0]) if self.adapted == "first" else stack_rows(points)))
        return tuple(map_leaves(unbox, part) for part in answer) if self.stop_gradients else tuple(answer)

    def _as_rows(self, leaves: Leaves) -> Leaves:
        return leaves if self.batched else {chain: leaf[None] for chain, leaf in leaves.items()}

    def _union(self) -> Leaves:
        """Return every leaf that some task's outer loop selects, as a row of zeros, in the variables' order."""
        selected = {chain for task in self.tasks for chain in task.outer}
        first = self.tasks[0].variables
        rows = self._as_rows({chain: leaf for chain, leaf in first.items() if chain in selected})
        return {chain: np.zeros_like(unbox(leaf)) for chain, leaf in rows.items()}

    def _nested(self, leaves: Leaves) -> Container:
        return fill(prune(self.skeleton, leaves), leaves)


def _first_row(rows: Leaves) -> Leaves:
    return {chain: leaf[:1] for chain, leaf in rows.items()}


def mean_over_rows(rows: list[Leaves], zeros: Leaves) -> Leaves:
    """Average over the leading task axis; a task that does not select a leaf adds zero to it."""
    full = stack_rows([merge(zeros, row) for row in rows])
    return {chain: np.mean(leaf, axis=0) for chain, leaf in full.items()}


def mean_cost(costs: list[Array]) -> Array:
    """Average costs in their order and in their own precision: NumPy 1 takes float32 over an int to float64."""
    return np.mean(np.concatenate([np.reshape(cost, (1,)) for cost in costs]))


def mean_over_points(terms: list[tuple[Array, Leaves]]) -> tuple[Array, Leaves]:
    """Average (cost, gradient) over the points of the inner loop at which they were taken, in their order."""
    _, total = terms[0]
    for _, gradient in terms[1:]:
        total = {chain: leaf + gradient[chain] for chain, leaf in total.items()}
    count = len(terms)
    mean = {chain: leaf / cast(count, leaf.dtype) for chain, leaf in total.items()}
    return mean_cost([cost for cost, _ in terms]), mean
