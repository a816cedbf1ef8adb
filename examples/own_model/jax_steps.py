"""Right training steps in JAX, in the ways in which people write them: each is called as step(params, tasks).

refmaml check examples/own_model/jax_steps.py:problem
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jax_network import INNER_RATE, INNER_STEPS, OUTER_RATE, Batch, Params, Task, loss, make_model, make_tasks

import verification


@jax.jit
def descend(params: Params, batch: Batch, rate: Any = INNER_RATE) -> Params:
    """Return the parameters after one inner step."""
    return tree_map(lambda p, g: p - rate * g, params, jax.grad(loss)(params, batch))


#: The gradient of the loss: compiled once, and used by every step that is first-order.
slope = jax.jit(jax.grad(loss))


def adapt(params: Params, support: Batch, steps: int = INNER_STEPS) -> Params:
    """Return the parameters after the inner loop."""
    for _ in range(steps):
        params = descend(params, support)
    return params


def mean(parts: list[Params]) -> Params:
    """Return the mean of the tasks' gradients."""
    return tree_map(lambda *leaves: sum(leaves) / len(leaves), *parts)


def first_order(params: Params, tasks: list[Task]) -> Params:
    """First-order MAML: the gradient at the adapted parameters."""
    return mean([slope(adapt(params, support), query) for support, query in tasks])


@jax.jit
@jax.grad
def with_inner_gradients_held(params: Params, support: Batch, query: Batch) -> jax.Array:
    """Return the gradient of the outer loss with the inner gradients held."""
    for _ in range(INNER_STEPS):
        held = jax.lax.stop_gradient(jax.grad(loss)(params, support))
        params = tree_map(lambda p, g: p - INNER_RATE * g, params, held)
    return loss(params, query)


def by_stop_gradient(params: Params, tasks: list[Task]) -> Params:
    """First-order MAML by one derivative, with the inner gradients held."""
    return mean([with_inner_gradients_held(params, *task) for task in tasks])


@jax.jit
@jax.value_and_grad
def second_order(params: Params, tasks: list[Task]) -> jax.Array:
    """Second-order MAML for all tasks at once: the loss and its gradient."""
    supports, queries = tree_map(lambda *arrays: jnp.stack(arrays), *tasks)
    return jax.vmap(lambda support, query: loss(adapt(params, support), query))(supports, queries).mean()


@jax.jit
@jax.grad
def through_a_loop(params: Params, support: Batch, query: Batch) -> jax.Array:
    """Return the gradient of the outer loss, through an inner loop that is a `scan`."""
    adapted, _ = jax.lax.scan(lambda values, _: (descend(values, support), None), params, length=INNER_STEPS)
    return loss(adapted, query)


def in_a_loop(params: Params, tasks: list[Task]) -> Params:
    """Second-order MAML with the inner loop as a `scan`."""
    return mean([through_a_loop(params, *task) for task in tasks])


def reptile(params: Params, tasks: list[Task]) -> Params:
    """Reptile: the displacement over the inner rate."""
    return mean([tree_map(lambda p, q: (p - q) / INNER_RATE, params, adapt(params, support)) for support, _ in tasks])


def outer_step(params: Params, tasks: list[Task]) -> Params:
    """First-order MAML that returns the parameters after a step of gradient descent."""
    return tree_map(lambda p, g: p - OUTER_RATE * g, params, first_order(params, tasks))


Step = Callable[[Params, list[Task]], Any]
#: The right steps by name, with the order that they claim and what they return.
RIGHT: dict[str, tuple[Step, Any, str]] = {
    "first_order": (first_order, 1, "gradients"),
    "second_order": (second_order, 2, "gradients"),
    "reptile": (reptile, "reptile", "gradients"),
    "outer_step": (outer_step, 1, "parameters"),
    "by_stop_gradient": (by_stop_gradient, 1, "gradients"),
    "in_a_loop": (in_a_loop, 2, "gradients"),
}

problem = verification.problem_of(
    first_order,
    model=make_model(0),
    inner_loss=loss,
    tasks=make_tasks(0),
    inner_steps=INNER_STEPS,
    inner_learning_rate=INNER_RATE,
    order=1,
)
