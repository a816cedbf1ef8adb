"""First-order MAML in JAX with a mistake, on purpose: `jax_fomaml.py` with another `fomaml_step`.

    python examples/jax_fomaml_wrong.py
    refmaml verify examples/jax_fomaml_wrong.py:subject

The outer loss is that of the adapted parameters, and so the loss that is logged is right. But it is differentiated as a
function of the parameters before adaptation, through a loop that nothing keeps from being differentiated: that is the
gradient of second-order MAML, at its price. Nothing raises and the loss goes down. In JAX a constant has to be declared
one, with `jax.lax.stop_gradient`, or the gradient taken at the adapted parameters.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jax_fomaml import Batch, Loss, Params, adapt, answer, train


def fomaml_step(
    inner_loss: Loss, outer_loss: Loss, params: Params, support: Batch, query: Batch, steps: int, rate: float
) -> tuple[jax.Array, Params]:
    """Return the mean outer loss and what should be the first-order meta-gradient."""

    def adapted_loss(params: Params, support: Batch, query: Batch) -> jax.Array:
        return outer_loss(adapt(inner_loss, params, support, steps, rate), query)

    # the mistake: the gradient in `params`, which the inner gradients depend on
    of_task = partial(jax.value_and_grad(adapted_loss), params)
    return tree_map(partial(jnp.mean, axis=0), jax.vmap(of_task)(support, query))


def subject(problem: Any) -> tuple[jax.Array, Params]:
    """Answer a problem with the wrong `fomaml_step`."""
    return answer(fomaml_step, problem)


if __name__ == "__main__":
    train(fomaml_step)
