import jax
from jax.tree_util import tree_map


def fomaml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the loss on the query sets, a mean over all points of the inner loop and
    over tasks, and its first-order gradient."""
    losses, found = [], []
    for support, query in tasks:
        points = [params]
        for _ in range(steps):
            slopes = jax.grad(inner_loss)(points[-1], support)
            points.append(tree_map(lambda w, g: w - rate * g, points[-1], slopes))
        for point in points:
            loss, gradient = jax.value_and_grad(outer_loss)(point, query)
            losses.append(loss)
            found.append(gradient)
    count = len(losses)
    return sum(losses) / count, tree_map(lambda *gs: sum(gs) / count, *found)
