import jax
from jax.tree_util import tree_map


def maml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its gradient by Hessian products."""
    losses, found = [], []
    for support, query in tasks:

        def slopes_at(point, support=support):
            return jax.grad(inner_loss)(point, support)

        points = [params]
        for _ in range(steps):
            slopes = slopes_at(points[-1])
            points.append(tree_map(lambda w, g: w - rate * g, points[-1], slopes))
        loss, u = jax.value_and_grad(outer_loss)(points[-1], query)
        for point in reversed(points[:-1]):
            _, product = jax.jvp(slopes_at, (point,), (u,))
            u = tree_map(lambda u, h: u - rate * h, u, product)
        losses.append(loss)
        found.append(u)
    return sum(losses) / len(tasks), tree_map(lambda *us: sum(us) / len(tasks), *found)
