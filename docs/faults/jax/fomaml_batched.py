import jax
from jax.tree_util import tree_map


def fomaml_step(params, support, query, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient. Parameters
    have a row for each task, and the losses are means over tasks."""
    tasks = len(next(iter(params.values())))
    fast = params
    for _ in range(steps):
        slopes = jax.grad(inner_loss)(fast, support)
        fast = tree_map(lambda w, g: w - tasks * rate * g, fast, slopes)
    mean, rows = jax.value_and_grad(outer_loss)(fast, query)
    return mean, tree_map(lambda g: g.sum(0), rows)
