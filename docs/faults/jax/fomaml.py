import jax
import jax.numpy as jnp
from jax.tree_util import tree_map


def fomaml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient."""
    total, found = 0.0, tree_map(jnp.zeros_like, params)
    for support, query in tasks:
        fast = params
        for _ in range(steps):
            slopes = jax.grad(inner_loss)(fast, support)
            fast = tree_map(lambda w, g: w - rate * g, fast, slopes)
        loss, gradient = jax.value_and_grad(outer_loss)(fast, query)
        total = total + loss
        found = tree_map(jnp.add, found, gradient)
    return total / len(tasks), tree_map(lambda g: g / len(tasks), found)
