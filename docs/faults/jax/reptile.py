import jax
from jax.tree_util import tree_map


def reptile_step(params, tasks, loss_on, steps, rate):
    """Return the loss, a mean over all points of the inner loop and over tasks, and the
    mean of (params - adapted params) / rate."""
    losses, found = [], []
    for support in tasks:
        fast = params
        for _ in range(steps):
            loss, slopes = jax.value_and_grad(loss_on)(fast, support)
            losses.append(loss)
            fast = tree_map(lambda w, g: w - rate * g, fast, slopes)
        losses.append(loss_on(fast, support))
        found.append(tree_map(lambda w, a: (w - a) / rate, params, fast))
    mean = tree_map(lambda *ds: sum(ds) / len(tasks), *found)
    return sum(losses) / len(losses), mean
