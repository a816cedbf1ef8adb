"""First-order MAML, second-order MAML and Reptile, in the papers' order. Read this file first.

Notation, for one task with inner cost S on its support data and outer cost Q on its query data:

=========  ===========================================================================================
θ          ``variables``, the point that the outer loop optimises
φ_k        the variables after k inner steps; φ_0 = θ
K, α       ``inner_grad_steps``, ``inner_learning_rate``
I, O       the leaves that the inner loop adapts and the outer loop differentiates by
=========  ===========================================================================================

Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017: MAML is
section 2.2 and algorithm 1, the first-order approximation section 5.2. Nichol, Achiam and Schulman, "On First-Order
Meta-Learning Algorithms", 2018: FOMAML is section 2, Reptile section 3 and algorithm 1.

Cutting the batch into tasks, checking arguments and restoring containers is done elsewhere (`refmaml.preparation`,
`refmaml.tasks`); a `Task` has θ and S, Q, ∇_I S, ∇_O Q on its own data.
"""

from __future__ import annotations

from typing import Any

from refmaml.containers import Array, Container, Leaves, merge, select
from refmaml.differentiation import value_and_gradient
from refmaml.preparation import BatchFn, CostFn, prepare
from refmaml.tasks import Task, mean_cost, mean_over_points
from refmaml.updates import InnerOptimizationStep, gradient_descent_update


def adapt(task: Task) -> list[Leaves]:
    """Run the inner loop and return φ_0, …, φ_K.

    φ_0 = θ, and φ_{k+1} = φ_k − α ∇_I S(φ_k) on the leaves in I, with the others left where they are (Finn et al.,
    algorithm 1, line 6; another `inner_optimization_step` replaces the descent, and what it keeps from step to step it
    keeps no longer than that).
    """
    task = task.begun()
    phi = task.variables
    points = [phi]
    for k in range(task.inner_grad_steps):
        phi = merge(phi, task.update(phi, task.inner_gradient(phi, k), k))
        points.append(phi)
    return points


def _outer_points(points: list[Leaves], average_across_steps: bool) -> list[tuple[int, Leaves]]:
    """Return where the outer cost is taken, with its step: at φ_K, or at every φ_0, …, φ_K."""
    numbered = list(enumerate(points))
    return numbered if average_across_steps else numbered[-1:]


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
) -> tuple[Any, ...]:
    """Perform one step of first-order MAML: grad = mean over tasks of ∇_O Q(φ_K).

    The first-order approximation takes ∂φ_K/∂θ for the identity, and nothing else (Finn et al., section 5.2; Nichol
    et al., section 2).

    Args:
        batch: container of arrays, each with a leading task axis: [T, …].
        inner_cost_fn: S, a function ``cost(batch, v)`` or ``cost(batch, inner_v, outer_v)`` of a task's sub-batch
            and container(s) of variables, written in `autograd.numpy`, that returns a real scalar. The form is
            inferred from the number of required positional parameters; the second gets the selected leaves only.
        outer_cost_fn: Q, likewise; None: the inner cost function on the outer batch.
        variables: θ, a container of float arrays; with ``batched=True`` each has a leading task axis, [T, …], and the
            costs see every row at once and return the mean over tasks.
        inner_grad_steps: K ≥ 0.
        inner_learning_rate: α: a number, an array, or a container with one rate per adapted leaf.
        inner_optimization_step: the update of the inner loop, ``step(w, dcdw, lr, /, *, stop_gradients)``, or an inner
            optimizer of `refmaml.updates`, such as ``momentum(0.9)``, ``adam()`` or ``clip_by_norm(1.0) + adam()``.
        inner_batch_fn: applied to the task's sub-batch before the inner cost sees it.
        outer_batch_fn: applied to the task's sub-batch before the outer cost sees it.
        average_across_steps: average cost and gradient over φ_0, …, φ_K (K + 1 points) instead of taking them at φ_K.
        batched: all tasks in one batch, or one after the other on ``batch[t:t+1]``.
        inner_v: I: None (every leaf), a key chain ``"net/w"``, a list of them, or a mapping with boolean values; with
            ``batched=False`` also a list with one selection for each task.
        keep_inner_v: False selects the leaves that `inner_v` does not name.
        outer_v: O, likewise.
        keep_outer_v: False selects the leaves that `outer_v` does not name.
        return_inner_v: 'first' or 'all' (or True) to return φ_K of the first or of every task as well.
        num_tasks: use the first `num_tasks` tasks; by default all.
        stop_gradients: return plain arrays. False keeps the result differentiable inside an enclosing autograd trace,
            inner updates included: the gradient of the returned cost is then second-order MAML's.

    Returns:
        (cost, grads), or (cost, grads, adapted): the mean outer cost over tasks, a scalar; its first-order gradients,
        in the nesting of the selected variables and without task axis; all variables after adaptation, each with a
        leading task axis of length 1 or T.

    Raises:
        ValueError, TypeError, KeyError: an argument is not what it has to be; the message says which and where. What
            a function of the caller raises comes through with a note of the cost, task and step.
    """
    step = prepare(
        batch, inner_cost_fn, outer_cost_fn, variables, inner_grad_steps, inner_learning_rate,
        inner_optimization_step=inner_optimization_step, inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn,
        batched=batched, inner_v=inner_v, keep_inner_v=keep_inner_v, outer_v=outer_v, keep_outer_v=keep_outer_v,
        return_inner_v=return_inner_v, num_tasks=num_tasks, stop_gradients=stop_gradients,
    )  # fmt: skip

    def first_order(task: Task) -> tuple[Array, Leaves, Leaves]:
        points = adapt(task)
        terms = [task.outer_cost_and_gradient(phi, k) for k, phi in _outer_points(points, average_across_steps)]
        cost, gradient = mean_over_points(terms)
        return cost, gradient, points[-1]

    return step.answer(first_order)


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
) -> tuple[Any, ...]:
    """Perform one step of second-order MAML: grad = mean over tasks of ∇_O [Q(φ_K(θ))], through the inner loop.

    For plain descent on every leaf that is (I − αH_0) ⋯ (I − αH_{K−1}) ∇Q(φ_K), with H_k the Hessian of S at φ_k (Finn
    et al., algorithm 1, line 8; Nichol et al., section 2). Arguments, results and errors are those of `fomaml_step`.
    """
    step = prepare(
        batch, inner_cost_fn, outer_cost_fn, variables, inner_grad_steps, inner_learning_rate,
        inner_optimization_step=inner_optimization_step, inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn,
        batched=batched, inner_v=inner_v, keep_inner_v=keep_inner_v, outer_v=outer_v, keep_outer_v=keep_outer_v,
        return_inner_v=return_inner_v, num_tasks=num_tasks, stop_gradients=stop_gradients,
    )  # fmt: skip

    def second_order(task: Task) -> tuple[Array, Leaves, Leaves]:
        def outer_cost_after_adapting(theta: Leaves) -> Array:
            points = adapt(task.starting_at(theta))
            costs = [task.outer_cost(phi, k) for k, phi in _outer_points(points, average_across_steps)]
            return mean_cost(costs)

        cost, gradient = value_and_gradient(outer_cost_after_adapting, select(task.variables, task.outer))
        # Adapting again, outside the trace, is cheap beside differentiating through it, and gives plain values.
        adapted = adapt(task)[-1] if step.adapted else task.variables
        return cost, task.by_row(gradient), adapted

    return step.answer(second_order)


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
) -> tuple[Any, ...]:
    """Perform one step of Reptile: grad = mean over tasks of (θ − φ_K)/α.

    This is the gradient of Nichol et al., section 3, where their algorithm 1 moves θ by ε mean(φ_K − θ). The cost is
    the mean over tasks of the mean of the cost over the K + 1 points φ_0, …, φ_K. Arguments, results and errors are
    those of `fomaml_step`; a learning rate of 0 is a ValueError.
    """
    step = prepare(
        batch, cost_fn, None, variables, inner_grad_steps, inner_learning_rate,
        inner_optimization_step=inner_optimization_step, batched=batched, return_inner_v=return_inner_v,
        num_tasks=num_tasks, stop_gradients=stop_gradients, divide_by_rate=True,
    )  # fmt: skip

    def displacement(task: Task) -> tuple[Array, Leaves, Leaves]:
        points = adapt(task)
        costs = [task.inner_cost(phi, k) for k, phi in enumerate(points)]
        theta, phi = task.variables, points[-1]
        gradient = {chain: (theta[chain] - phi[chain]) / task.rate(chain) for chain in theta}
        return mean_cost(costs), gradient, phi

    return step.answer(displacement)
