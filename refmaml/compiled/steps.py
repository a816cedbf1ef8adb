"""The compiled meta-learning steps: the same names, arguments and answers as `refmaml`'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refmaml import reference
from refmaml.compiled.calls.arguments import Call
from refmaml.compiled.calls.calling import answer
from refmaml.compiled.calls.jitted import jitted
from refmaml.containers import Container
from refmaml.preparation import BatchFn, CostFn
from refmaml.updates import InnerOptimizationStep, gradient_descent_update


def fomaml_step(
    batch: Container,
    inner_cost_fn: CostFn,
    outer_cost_fn: CostFn | None,
    variables: Container,
    inner_grad_steps: int,
    inner_learning_rate: Container,
    /,
    *,
    inner_optimization_step: InnerOptimizationStep = gradient_descent_update,
    inner_batch_fn: BatchFn | None = None,
    outer_batch_fn: BatchFn | None = None,
    average_across_steps: bool = False,
    batched: bool = True,
    inner_v: Container = None,
    keep_inner_v: bool = True,
    outer_v: Container = None,
    keep_outer_v: bool = True,
    return_inner_v: str | bool = False,
    num_tasks: int | None = None,
    stop_gradients: bool = True,
    num_threads: int | None = None,
    on_unsupported: str = "error",
) -> tuple[Any, ...]:
    """Perform one step of first-order MAML, compiled: `refmaml.fomaml_step` with the same arguments and answer.

    Args:
        batch: as there, and so are all arguments but the last two.
        inner_cost_fn: as there; it is traced once for each structure, shapes and dtypes of its arguments.
        outer_cost_fn: as there.
        variables: as there.
        inner_grad_steps: as there.
        inner_learning_rate: as there.
        inner_optimization_step: as there; traced like a cost.
        inner_batch_fn: as there; it runs in Python, before the compiled part.
        outer_batch_fn: likewise.
        average_across_steps: as there.
        batched: as there.
        inner_v: as there.
        keep_inner_v: as there.
        outer_v: as there.
        keep_outer_v: as there.
        return_inner_v: as there.
        num_tasks: as there.
        stop_gradients: as there; inside an enclosing autograd trace, False hands over to the reference.
        num_threads: at most so many threads; by default as many as there are processors. The answer is the same bits.
        on_unsupported: "error", or "reference" for a `CompilationFallback` warning and the reference's answer.

    Returns:
        (cost, grads), or (cost, grads, adapted), as there.

    Raises:
        UnsupportedPrimitive: the cost uses an operation that cannot be compiled; the message names it and its line.
        ValueDependence: the cost depends on values in a way that a recording does not show.
        ValueError, TypeError, KeyError: as there.
    """
    call = Call(
        kind="first", reference=reference.fomaml_step, batch=batch, inner_cost_fn=inner_cost_fn,
        outer_cost_fn=outer_cost_fn, variables=variables, inner_grad_steps=inner_grad_steps,
        inner_learning_rate=inner_learning_rate, inner_optimization_step=inner_optimization_step,
        inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn, average_across_steps=average_across_steps,
        batched=batched, inner_v=inner_v, keep_inner_v=keep_inner_v, outer_v=outer_v, keep_outer_v=keep_outer_v,
        return_inner_v=return_inner_v, num_tasks=num_tasks, stop_gradients=stop_gradients,
        num_threads=num_threads, on_unsupported=on_unsupported,
    )  # fmt: skip
    return answer(call)


def maml_step(
    batch: Container,
    inner_cost_fn: CostFn,
    outer_cost_fn: CostFn | None,
    variables: Container,
    inner_grad_steps: int,
    inner_learning_rate: Container,
    /,
    *,
    inner_optimization_step: InnerOptimizationStep = gradient_descent_update,
    inner_batch_fn: BatchFn | None = None,
    outer_batch_fn: BatchFn | None = None,
    average_across_steps: bool = False,
    batched: bool = True,
    inner_v: Container = None,
    keep_inner_v: bool = True,
    outer_v: Container = None,
    keep_outer_v: bool = True,
    return_inner_v: str | bool = False,
    num_tasks: int | None = None,
    stop_gradients: bool = True,
    num_threads: int | None = None,
    on_unsupported: str = "error",
) -> tuple[Any, ...]:
    """Perform one step of second-order MAML, compiled: `refmaml.maml_step`, by a backward recursion.

    With λ_K = ∇Q(φ_K), λ_k = (∂φ_{k+1}/∂φ_k)ᵀ λ_{k+1}, which for plain descent is λ − α Hλ; the answer is λ_0. The
    iterates φ_k are kept, and each step back is a compiled Hessian-vector product. Arguments, results and errors are
    those of `fomaml_step` of this module.
    """
    call = Call(
        kind="second", reference=reference.maml_step, batch=batch, inner_cost_fn=inner_cost_fn,
        outer_cost_fn=outer_cost_fn, variables=variables, inner_grad_steps=inner_grad_steps,
        inner_learning_rate=inner_learning_rate, inner_optimization_step=inner_optimization_step,
        inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn, average_across_steps=average_across_steps,
        batched=batched, inner_v=inner_v, keep_inner_v=keep_inner_v, outer_v=outer_v, keep_outer_v=keep_outer_v,
        return_inner_v=return_inner_v, num_tasks=num_tasks, stop_gradients=stop_gradients,
        num_threads=num_threads, on_unsupported=on_unsupported,
    )  # fmt: skip
    return answer(call)


def reptile_step(
    batch: Container,
    cost_fn: CostFn,
    variables: Container,
    inner_grad_steps: int,
    inner_learning_rate: Container,
    /,
    *,
    inner_optimization_step: InnerOptimizationStep = gradient_descent_update,
    batched: bool = True,
    return_inner_v: str | bool = False,
    num_tasks: int | None = None,
    stop_gradients: bool = True,
    num_threads: int | None = None,
    on_unsupported: str = "error",
) -> tuple[Any, ...]:
    """Perform one step of Reptile, compiled: `refmaml.reptile_step`; the last two arguments as in `fomaml_step`."""
    call = Call(
        kind="reptile", reference=reference.reptile_step, batch=batch, inner_cost_fn=cost_fn,
        variables=variables, inner_grad_steps=inner_grad_steps, inner_learning_rate=inner_learning_rate,
        inner_optimization_step=inner_optimization_step, average_across_steps=True, batched=batched,
        return_inner_v=return_inner_v, num_tasks=num_tasks, stop_gradients=stop_gradients,
        num_threads=num_threads, on_unsupported=on_unsupported,
    )  # fmt: skip
    return answer(call)


def jitted_step(
    batch: Container,
    inner_cost_fn: CostFn,
    outer_cost_fn: CostFn | None,
    variables: Container,
    /,
    *,
    order: int = 1,
    inner_optimization_step: InnerOptimizationStep = gradient_descent_update,
    inner_batch_fn: BatchFn | None = None,
    outer_batch_fn: BatchFn | None = None,
    average_across_steps: bool = False,
) -> Callable[..., Any]:
    """Return `fomaml_step` (order 1) or `maml_step` (order 2) in loop mode as a function for Numba's nopython code.

    The costs are traced on these arguments. The function holds for arrays of their dtypes, with any numbers in them,
    for any number of tasks and of inner steps; it does not see a later change of what the costs read from elsewhere.

        step(variables, batch, inner_grad_steps, inner_learning_rate, gradients) -> cost

    `variables` and `gradients` are tuples of C-contiguous arrays: the leaves of `variables` here, in their order.
    `batch` is the tuple of the arrays of the batch, each with its leading task axis; where batch functions are given,
    of those that the first of them returns for the tasks, end to end, and then of those of the second. The gradients
    are written into `gradients`. It takes one thread, releases the GIL where its caller does, and gives the bits of
    `fomaml_step` of this package.

    Raises:
        UnsupportedPrimitive, ValueDependence, ValueError, TypeError, KeyError: as `fomaml_step` of this package.
        The function itself raises TypeError for other types, and ValueError for other sizes and for what is an error in
        NumPy, such as an index outside of its axis.
    """
    if order not in (1, 2):
        raise ValueError(f"order: expected 1 or 2, but got {order!r}.")
    call = Call(
        kind="first" if order == 1 else "second", reference=reference.fomaml_step if order == 1 else
        reference.maml_step, batch=batch, inner_cost_fn=inner_cost_fn, outer_cost_fn=outer_cost_fn,
        variables=variables, inner_grad_steps=1, inner_learning_rate=0.5,
        inner_optimization_step=inner_optimization_step, inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn,
        average_across_steps=average_across_steps, batched=False, return_inner_v=False, num_tasks=None,
        stop_gradients=True, num_threads=1, on_unsupported="error",
    )  # fmt: skip
    return jitted(call)
