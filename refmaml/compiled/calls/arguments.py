"""What one call of a compiled step was given, as one record for all three steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from refmaml.containers import Container
from refmaml.preparation import BatchFn, CostFn
from refmaml.updates import InnerOptimizationStep

Answer: TypeAlias = tuple[Any, ...]
Kind: TypeAlias = Literal["first", "second", "reptile"]


class Call(NamedTuple):
    """The arguments of one call, and the reference's step that answers the same; made with keywords alone.

    Reptile's one cost is the inner one. What it has no argument for is as if it had not been given, and it averages
    over the inner steps. A frozen dataclass of so many fields takes three times as long to make, 2 % of a small step.
    """

    kind: Kind
    reference: Callable[..., Answer]
    batch: Container
    inner_cost_fn: CostFn
    variables: Container
    inner_grad_steps: int
    inner_learning_rate: Container
    inner_optimization_step: InnerOptimizationStep
    average_across_steps: bool
    batched: bool
    return_inner_v: str | bool
    num_tasks: int | None
    stop_gradients: bool
    num_threads: int | None
    on_unsupported: str
    outer_cost_fn: CostFn | None = None
    inner_batch_fn: BatchFn | None = None
    outer_batch_fn: BatchFn | None = None
    inner_v: Container = None
    keep_inner_v: bool = True
    outer_v: Container = None
    keep_outer_v: bool = True

    def by_reference(self) -> Answer:
        """Return the reference's answer."""
        if self.kind == "reptile":
            return self.reference(
                self.batch, self.inner_cost_fn, self.variables, self.inner_grad_steps, self.inner_learning_rate,
                inner_optimization_step=self.inner_optimization_step, batched=self.batched,
                return_inner_v=self.return_inner_v, num_tasks=self.num_tasks, stop_gradients=self.stop_gradients,
            )  # fmt: skip
        return self.reference(
            self.batch, self.inner_cost_fn, self.outer_cost_fn, self.variables, self.inner_grad_steps,
            self.inner_learning_rate, inner_optimization_step=self.inner_optimization_step,
            inner_batch_fn=self.inner_batch_fn, outer_batch_fn=self.outer_batch_fn,
            average_across_steps=self.average_across_steps, batched=self.batched, inner_v=self.inner_v,
            keep_inner_v=self.keep_inner_v, outer_v=self.outer_v, keep_outer_v=self.keep_outer_v,
            return_inner_v=self.return_inner_v, num_tasks=self.num_tasks, stop_gradients=self.stop_gradients,
        )  # fmt: skip
