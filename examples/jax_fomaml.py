"""First-order MAML in JAX, and the adapter by which it is verified.

    python examples/jax_fomaml.py
    refmaml verify examples/jax_fomaml.py:subject

The first part is meta-learning as a project of its own would have it, and knows nothing of `refmaml`: `adapt` scans
over the inner steps, `fomaml_step` maps over the tasks, and the sinusoid regression of Finn, Abbeel and Levine (2017,
section 5.1) in small compiles both. The second part is all that verifying it takes: `subject`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.tree_util import tree_map

Params: TypeAlias = Any  # nested dicts, lists and tuples of arrays
Batch: TypeAlias = Any
Loss: TypeAlias = Callable[[Params, Batch], jax.Array]
Step: TypeAlias = Callable[[Loss, Loss, Params, Batch, Batch, int, float], tuple[jax.Array, Params]]


def adapt(loss: Loss, params: Params, support: Batch, steps: int, rate: float) -> Params:
    """Return the parameters after `steps` steps of gradient descent on the support set of one task."""

    def descend(weights: Params, _: None) -> tuple[Params, None]:
        return tree_map(lambda w, g: w - rate * g, weights, jax.grad(loss)(weights, support)), None

    return jax.lax.scan(descend, params, None, length=steps)[0]


def fomaml_step(
    inner_loss: Loss, outer_loss: Loss, params: Params, support: Batch, query: Batch, steps: int, rate: float
) -> tuple[jax.Array, Params]:
    """Return the mean outer loss and the first-order meta-gradient; batches have a leading axis of tasks."""

    def of_task(support: Batch, query: Batch) -> tuple[jax.Array, Params]:
        adapted = adapt(inner_loss, params, support, steps, rate)
        return jax.value_and_grad(outer_loss)(adapted, query)  # at the adapted parameters: first order

    return tree_map(partial(jnp.mean, axis=0), jax.vmap(of_task)(support, query))


# The sinusoid tasks, in small


def predict(params: Params, x: jax.Array) -> jax.Array:
    """Return the output of a network with one hidden layer."""
    return jnp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def squared_error(params: Params, batch: Batch) -> jax.Array:
    """Return the mean squared error of the network on a batch of inputs and targets."""
    return jnp.mean((predict(params, batch["x"]) - batch["y"]) ** 2)


def sinusoids(count: int, key: jax.Array) -> tuple[Batch, Batch]:
    """Return regression tasks y = a sin(x + p) with random amplitude and phase, ten examples in each set."""
    of_amplitude, of_phase, of_x = jax.random.split(key, 3)
    amplitude = jax.random.uniform(of_amplitude, (count, 1, 1), minval=0.1, maxval=5.0)
    phase = jax.random.uniform(of_phase, (count, 1, 1), maxval=jnp.pi)
    x = jax.random.uniform(of_x, (2, count, 10, 1), minval=-5.0, maxval=5.0)
    y = amplitude * jnp.sin(x + phase)
    return {"x": x[0], "y": y[0]}, {"x": x[1], "y": y[1]}


def train(step: Step, iterations: int = 500, steps: int = 3, rate: float = 0.02, size: float = 0.02) -> None:
    """Meta-train a small network with `step` and print its loss on new tasks, after adaptation, before and after."""
    of_w1, of_w2, of_test, of_training = jax.random.split(jax.random.key(1), 4)
    params = {
        "w1": jax.random.normal(of_w1, (1, 32)),
        "b1": jnp.zeros(32),
        "w2": jax.random.normal(of_w2, (32, 1)) / 6,
        "b2": jnp.zeros(1),
    }

    @jax.jit
    def updated(params: Params, key: jax.Array) -> Params:
        _, slope = step(squared_error, squared_error, params, *sinusoids(4, key), steps, rate)
        return tree_map(lambda w, g: w - size * jnp.clip(g, -1.0, 1.0), params, slope)

    held_out = sinusoids(50, of_test)
    print(f"before meta-training: {adapted_loss(params, held_out, steps, rate):.3f}")
    for key in jax.random.split(of_training, iterations):
        params = updated(params, key)
    print(f"after meta-training:  {adapted_loss(params, held_out, steps, rate):.3f}")


def adapted_loss(params: Params, tasks: tuple[Batch, Batch], steps: int, rate: float) -> float:
    """Return the mean loss on the query sets of `tasks`, each after adaptation to its support set."""

    def of_task(support: Batch, query: Batch) -> jax.Array:
        return squared_error(adapt(squared_error, params, support, steps, rate), query)

    return float(jnp.mean(jax.vmap(of_task)(*tasks)))


# The adapter


def answer(step: Step, problem: Any) -> tuple[jax.Array, Params]:
    """Put a problem to `step`: its tasks stacked, and its costs with their arguments exchanged."""

    def inner_loss(v: Any, batch: Any) -> Any:
        return problem.inner_cost(batch, v)

    def outer_loss(v: Any, batch: Any) -> Any:
        return problem.outer_cost(batch, v)

    @jax.jit
    def compiled(params: Params, tasks: list[tuple[Batch, Batch]]) -> tuple[jax.Array, Params]:
        support, query = (tree_map(lambda *rows: jnp.stack(rows), *side) for side in zip(*tasks, strict=True))
        return step(
            inner_loss, outer_loss, params, support, query, problem.inner_grad_steps, problem.inner_learning_rate
        )

    return compiled(problem.variables, list(problem.tasks()))


def subject(problem: Any) -> tuple[jax.Array, Params]:
    """Answer a problem with `fomaml_step`."""
    return answer(fomaml_step, problem)


if __name__ == "__main__":
    train(fomaml_step)
