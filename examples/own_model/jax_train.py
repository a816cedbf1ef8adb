"""Second-order MAML in JAX on a network, as a training script has it; the judge imports it and trains nothing.

python examples/own_model/jax_train.py
refmaml check examples/own_model/jax_train.py:problem
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jax_network import INNER_RATE, INNER_STEPS, OUTER_RATE, Batch, Params, Task, loss, make_model, make_tasks

import verification


def adapted(params: Params, support: Batch) -> Params:
    """Return the parameters after the inner loop."""

    def descend(values: Params, _: None) -> tuple[Params, None]:
        return tree_map(lambda p, g: p - INNER_RATE * g, values, jax.grad(loss)(values, support)), None

    return jax.lax.scan(descend, params, None, length=INNER_STEPS)[0]


@jax.jit
def train_step(params: Params, tasks: list[Task]) -> tuple[Params, jax.Array]:
    """Take one outer step; return the new parameters and the mean query loss."""

    def objective(params: Params) -> jax.Array:
        supports, queries = tree_map(lambda *arrays: jnp.stack(arrays), *tasks)
        return jax.vmap(lambda support, query: loss(adapted(params, support), query))(supports, queries).mean()

    value, slopes = jax.value_and_grad(objective)(params)
    return tree_map(lambda p, g: p - OUTER_RATE * g, params, slopes), value


problem = verification.problem_of(
    train_step,
    model=make_model(0),
    inner_loss=loss,
    tasks=make_tasks(0),
    inner_steps=INNER_STEPS,
    inner_learning_rate=INNER_RATE,
    order=2,
    gives="parameters",
    outer_learning_rate=OUTER_RATE,
)

if __name__ == "__main__":
    parameters = make_model(0)
    for iteration in range(20):
        parameters, query_loss = train_step(parameters, make_tasks(iteration))
        print(f"{iteration:3d}  query loss {query_loss:.3f}")
