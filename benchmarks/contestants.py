"""The libraries that are measured, each as `make(workload) -> call() -> (cost, gradients)` on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads import Workload

Answer = tuple[Any, dict[str, Any]]
Call = Callable[[], Answer]


def refmaml_compiled(workload: Workload, num_threads: int | None = None) -> Call:
    """The engine of this project, with its default number of threads or another."""
    import refmaml.compiled as engine

    step = engine.fomaml_step if workload.order == 1 else engine.maml_step
    batch, variables = workload.data()
    cost = workload.autograd_cost()
    return lambda: step(  # type: ignore[return-value]
        batch, cost, None, variables, workload.steps, workload.rate, batched=workload.batched, num_threads=num_threads
    )


def one_thread(workload: Workload) -> Call:
    """The engine with one thread."""
    return refmaml_compiled(workload, 1)


def jax_jit(workload: Workload) -> Call:
    """`jit` of `vmap` of `grad`."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    cost, gradient = workload.cost(jnp), jax.grad(workload.cost(jnp), argnums=1)
    rate = np.dtype(workload.dtype).type(workload.rate)

    def adapted(batch: Any, v: Any) -> Any:
        for _ in range(workload.steps):
            v = jax.tree.map(lambda w, g: w - rate * g, v, gradient(batch, v))
        return v

    def first(batch: Any, v: Any) -> Any:
        return jax.value_and_grad(cost, argnums=1)(batch, adapted(batch, v))

    def second(batch: Any, v: Any) -> Any:
        return jax.value_and_grad(lambda u: cost(batch, adapted(batch, u)))(v)

    one = first if workload.order == 1 else second

    @jax.jit
    def step(batch: Any, v: Any) -> Any:
        costs, gradients = jax.vmap(one, in_axes=(0, 0 if workload.batched else None))(batch, v)
        return costs.mean(), jax.tree.map(lambda g: g.mean(0), gradients)

    return _called_by_jax(workload, step)


def jax_of_all(workload: Workload) -> Call:
    """`jit` of the gradient of the mean cost of all tasks."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    cost = workload.cost_of_all(jnp)
    rate = np.dtype(workload.dtype).type(workload.rate * workload.tasks)

    def adapted(batch: Any, v: Any) -> Any:
        for _ in range(workload.steps):
            v = jax.tree.map(lambda w, g: w - rate * g, v, jax.grad(cost, argnums=1)(batch, v))
        return v

    @jax.jit
    def step(batch: Any, v: Any) -> Any:
        if workload.order == 1:
            value, gradients = jax.value_and_grad(cost, argnums=1)(batch, adapted(batch, v))
        else:
            value, gradients = jax.value_and_grad(lambda u: cost(batch, adapted(batch, u)))(v)
        return value, jax.tree.map(lambda g: g.sum(0), gradients)

    return _called_by_jax(workload, step)


def _called_by_jax(workload: Workload, step: Callable[[Any, Any], Any]) -> Call:
    batch, variables = workload.data()

    def call() -> Answer:
        value, gradients = step(batch, variables)
        return np.asarray(value), {name: np.asarray(g) for name, g in gradients.items()}

    return call


def torch_compile(workload: Workload) -> Call:
    """`torch.compile` of `torch.func`."""
    import torch
    from torch.func import grad, grad_and_value, vmap

    cost = workload.cost(torch)

    def adapted(batch: Any, v: Any) -> Any:
        for _ in range(workload.steps):
            gradients = grad(cost, argnums=1)(batch, v)
            v = {name: w - workload.rate * gradients[name] for name, w in v.items()}
        return v

    def first(batch: Any, v: Any) -> Any:
        return grad_and_value(cost, argnums=1)(batch, adapted(batch, v))

    def second(batch: Any, v: Any) -> Any:
        return grad_and_value(lambda u: cost(batch, adapted(batch, u)))(v)

    one = first if workload.order == 1 else second

    def step(batch: Any, v: Any) -> Any:
        gradients, costs = vmap(one, in_dims=(0, 0 if workload.batched else None))(batch, v)
        return costs.mean(), {name: g.mean(0) for name, g in gradients.items()}

    return _compiled_by_torch(workload, step)


def torch_of_all(workload: Workload) -> Call:
    """`torch.compile` of the gradient of the mean cost of all tasks."""
    import torch
    from torch.func import grad, grad_and_value

    cost, rate = workload.cost_of_all(torch), workload.rate * workload.tasks

    def adapted(batch: Any, v: Any) -> Any:
        for _ in range(workload.steps):
            gradients = grad(cost, argnums=1)(batch, v)
            v = {name: w - rate * gradients[name] for name, w in v.items()}
        return v

    def step(batch: Any, v: Any) -> Any:
        if workload.order == 1:
            gradients, value = grad_and_value(cost, argnums=1)(batch, adapted(batch, v))
        else:
            gradients, value = grad_and_value(lambda u: cost(batch, adapted(batch, u)))(v)
        return value, {name: g.sum(0) for name, g in gradients.items()}

    return _compiled_by_torch(workload, step)


def _compiled_by_torch(workload: Workload, step: Callable[[Any, Any], Any]) -> Call:
    import torch

    # It counts how often the code of `step` is compiled: from the second workload on shapes would become symbolic, and
    # after the eighth nothing would be compiled any more.
    torch._dynamo.reset()
    compiled = torch.compile(step)
    batch, variables = workload.data()

    def call() -> Answer:
        tensors = [{name: torch.from_numpy(leaf) for name, leaf in tree.items()} for tree in (batch, variables)]
        value, gradients = compiled(*tensors)
        return value.numpy(), {name: g.numpy() for name, g in gradients.items()}

    return call


CONTESTANTS: dict[str, Callable[[Workload], Call]] = {
    "refmaml.compiled": refmaml_compiled,
    "one thread": one_thread,
    "jax": jax_jit,
    "torch": torch_compile,
    "jax of all": jax_of_all,
    "torch of all": torch_of_all,
}


def contestants(workload: Workload, names: list[str]) -> list[str]:
    """Return the names of contestants for a workload: in batched mode peers come in two forms."""
    both = [f"{name} of all" for name in names if f"{name} of all" in CONTESTANTS and workload.batched]
    return [*names, *both]
