"""A network as functions of a pytree of parameters, with normalisation over the batch, its loss, and tasks, in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

WAYS, SHOTS, TASKS, FEATURES, HIDDEN = 3, 4, 3, 5, 6
INNER_STEPS, INNER_RATE, OUTER_RATE = 3, 0.2, 0.05

#: Parameters by layer and name.
Params = dict[str, dict[str, jax.Array]]
#: Inputs [N, features] and labels [N].
Batch = tuple[jax.Array, jax.Array]
Task = tuple[Batch, Batch]


def make_model(seed: int) -> Params:
    """Return random parameters of a hidden layer, its normalisation, and a linear head."""
    random = np.random.default_rng(seed)

    def array(*shape: int) -> jax.Array:
        return jnp.asarray(random.standard_normal(shape) / np.sqrt(shape[0]), jnp.float32)

    return {
        # The bias is without effect before the normalisation, and stands there in most code all the same.
        "hidden": {"w": array(FEATURES, HIDDEN), "b": array(HIDDEN)},
        "norm": {"scale": 1 + 0.1 * array(HIDDEN), "shift": array(HIDDEN)},
        "head": {"w": array(HIDDEN, WAYS), "b": array(WAYS)},
    }


def apply(params: Params, inputs: jax.Array) -> jax.Array:
    """Return logits [N, ways] of inputs [N, features]."""
    hidden = inputs @ params["hidden"]["w"] + params["hidden"]["b"]
    centred = hidden - hidden.mean(0)
    normal = centred / jnp.sqrt((centred**2).mean(0) + 1e-5)
    active = jnp.tanh(params["norm"]["scale"] * normal + params["norm"]["shift"])
    return active @ params["head"]["w"] + params["head"]["b"]


def loss(params: Params, batch: Batch) -> jax.Array:
    """Return the mean cross-entropy of a batch."""
    inputs, labels = batch
    logarithms = jax.nn.log_softmax(apply(params, inputs))
    return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean()


def make_tasks(seed: int) -> list[Task]:
    """Return pairs of a support and a query batch of the same size: classes are random prototypes with noise."""
    random = np.random.default_rng(seed)

    def batch(prototypes: Any) -> Batch:
        labels = np.arange(WAYS).repeat(SHOTS)
        inputs = prototypes[labels] + 0.5 * random.standard_normal((len(labels), FEATURES))
        return jnp.asarray(inputs, jnp.float32), jnp.asarray(labels)

    prototypes = random.standard_normal((TASKS, WAYS, FEATURES))
    return [(batch(of_task), batch(of_task)) for of_task in prototypes]
