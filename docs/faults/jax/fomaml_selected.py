import jax
from jax.tree_util import tree_map


def fomaml_step(params, inner, outer, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient. `inner`
    names the parameters that adapt, and `outer` those to differentiate by."""
    losses, found = [], []
    for support, query in tasks:
        fast = dict(params)
        for _ in range(steps):
            slopes = jax.grad(inner_loss)(fast, support)
            fast |= {name: fast[name] - rate * slopes[name] for name in inner}
        loss, gradient = jax.value_and_grad(outer_loss)(fast, query)
        losses.append(loss)
        found.append({name: gradient[name] for name in outer})
    return sum(losses) / len(tasks), tree_map(lambda *gs: sum(gs) / len(tasks), *found)
