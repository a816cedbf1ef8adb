import jax
from jax.tree_util import tree_map


def maml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its gradient."""

    def adapted_loss(params, support, query):
        fast = params
        for _ in range(steps):
            slopes = jax.grad(inner_loss)(fast, support)
            fast = tree_map(lambda w, g: w - rate * g, fast, slopes)
        return outer_loss(fast, query)

    def mean_loss(params):
        losses = [adapted_loss(params, support, query) for support, query in tasks]
        return sum(losses) / len(losses)

    return jax.value_and_grad(mean_loss)(params)
