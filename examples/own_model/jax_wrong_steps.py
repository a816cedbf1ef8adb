"""Wrong training steps in JAX, each with one mistake of the catalogue as people make it."""

from __future__ import annotations

from typing import Any

import jax
from jax.lax import stop_gradient
from jax.tree_util import tree_map
from jax_network import INNER_RATE, INNER_STEPS, OUTER_RATE, Batch, Params, Task, loss
from jax_steps import Step, adapt, descend, first_order, mean, outer_step, second_order, slope


def inner_gradients_held(params: Params, tasks: list[Task]) -> Params:
    """A01: second order is wanted, and the inner gradients are held."""
    return first_order(params, tasks)


def nothing_held(params: Params, tasks: list[Task]) -> Any:
    """A04: first order is wanted, and the whole inner loop is differentiated."""
    return second_order(params, tasks)


@jax.jit
@jax.grad
def with_adapted_held(params: Params, support: Batch, query: Batch) -> jax.Array:
    """Return the gradient of the outer loss with the adapted parameters held."""
    return loss(stop_gradient(adapt(params, support)), query)


def adapted_held(params: Params, tasks: list[Task]) -> Params:
    """A03: the adapted parameters are held, not the inner gradients, so that no gradient reaches the start."""
    return mean([with_adapted_held(params, *task) for task in tasks])


@jax.jit
@jax.grad
def through_last_step(params: Params, support: Batch, query: Batch) -> jax.Array:
    """Return the gradient of the outer loss through the last inner step."""
    for _ in range(INNER_STEPS - 1):
        held = stop_gradient(slope(params, support))
        params = tree_map(lambda p, g: p - INNER_RATE * g, params, held)
    return loss(descend(params, support), query)


def last_step_only(params: Params, tasks: list[Task]) -> Params:
    """A08: the gradients of all inner steps but the last are held."""
    return mean([through_last_step(params, *task) for task in tasks])


def at_the_start(params: Params, tasks: list[Task]) -> Params:
    """B01: the gradient is taken at the parameters before adaptation."""
    return mean([slope(params, query) for _, query in tasks])


def one_step_fewer(params: Params, tasks: list[Task]) -> Params:
    """B02: the loop begins at 1."""
    return mean([slope(adapt(params, support, INNER_STEPS - 1), query) for support, query in tasks])


def one_step_more(params: Params, tasks: list[Task]) -> Params:
    """B03: a step before the loop, and all of the loop."""
    return mean([slope(adapt(descend(params, support), support), query) for support, query in tasks])


def exchanged(params: Params, tasks: list[Task]) -> Params:
    """C03: the batches of a task are taken in the other order."""
    return mean([slope(adapt(params, query), support) for support, query in tasks])


def on_support(params: Params, tasks: list[Task]) -> Params:
    """C01: the outer loss is taken on the support batch."""
    return mean([slope(adapt(params, support), support) for support, _ in tasks])


def summed(params: Params, tasks: list[Task]) -> Params:
    """D01: the sum over tasks instead of the mean."""
    return tree_map(lambda leaf: len(tasks) * leaf, first_order(params, tasks))


def wrong_rate(params: Params, tasks: list[Task]) -> Params:
    """G10: the inner loss is divided by the number of tasks, too."""
    adapted = [
        descend(descend(descend(params, s, INNER_RATE / 3), s, INNER_RATE / 3), s, INNER_RATE / 3) for s, _ in tasks
    ]
    return mean([slope(phi, query) for phi, (_, query) in zip(adapted, tasks, strict=True)])


def support_of_the_first(params: Params, tasks: list[Task]) -> Params:
    """D13: every task adapts to the support batch of the first."""
    return mean([slope(adapt(params, tasks[0][0]), query) for _, query in tasks])


def frozen_adapted(params: Params, tasks: list[Task]) -> Params:
    """M03: only the head should adapt, and everything does."""
    return first_order(params, tasks)


def with_momentum(params: Params, tasks: list[Task]) -> Params:
    """M04: the inner loop has a momentum of 0.9."""
    parts = []
    for support, query in tasks:
        phi, velocity = params, tree_map(lambda leaf: 0 * leaf, params)
        for _ in range(INNER_STEPS):
            velocity = tree_map(lambda v, g: 0.9 * v + g, velocity, slope(phi, support))
            phi = tree_map(lambda p, v: p - INNER_RATE * v, phi, velocity)
        parts.append(slope(phi, query))
    return mean(parts)


def task_by_task(params: Params, tasks: list[Task]) -> Params:
    """D10: an outer step after each task."""
    for task in tasks:
        params = outer_step(params, [task])
    return params


def from_adapted(params: Params, tasks: list[Task]) -> Params:
    """B10: the outer step starts from the adapted parameters of the last task."""
    end = adapt(params, tasks[-1][0])
    return tree_map(lambda p, g: p - OUTER_RATE * g, end, first_order(params, tasks))


#: The name of each mistake, its step, the order that it claims, what it returns, and what adapts if not everything.
WRONG: dict[str, tuple[str, Step, Any, str, str | None]] = {
    "inner_gradients_held": ("A01", inner_gradients_held, 2, "gradients", None),
    "nothing_held": ("A04", nothing_held, 1, "gradients", None),
    "adapted_held": ("A03", adapted_held, 1, "gradients", None),
    "last_step_only": ("A08", last_step_only, 2, "gradients", None),
    "at_the_start": ("B01", at_the_start, 1, "gradients", None),
    "one_step_fewer": ("B02", one_step_fewer, 1, "gradients", None),
    "one_step_more": ("B03", one_step_more, 1, "gradients", None),
    "exchanged": ("C03", exchanged, 1, "gradients", None),
    "on_support": ("C01", on_support, 1, "gradients", None),
    "summed": ("D01", summed, 1, "gradients", None),
    "wrong_rate": ("G10", wrong_rate, 1, "gradients", None),
    "support_of_the_first": ("D13", support_of_the_first, 1, "gradients", None),
    "frozen_adapted": ("M03", frozen_adapted, 1, "gradients", "head"),
    "with_momentum": ("M04", with_momentum, 1, "gradients", None),
    "task_by_task": ("D10", task_by_task, 1, "parameters", None),
    "from_adapted": ("B10", from_adapted, 1, "parameters", None),
}
