"""A network in NumPy with its own backward pass, and right training steps: each is called as step(params, tasks).

refmaml check examples/own_model/numpy_steps.py:problem
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import verification

FEATURES, HIDDEN, OUTPUTS, ROWS, TASKS = 4, 5, 2, 6, 3
INNER_STEPS, INNER_RATE, OUTER_RATE = 3, 0.2, 0.05

Array = np.ndarray[Any, np.dtype[np.float64]]
Params = dict[str, Array]
#: Inputs [rows, features] and targets [rows, outputs].
Batch = tuple[Array, Array]
Task = tuple[Batch, Batch]


def make_model(seed: int) -> Params:
    """Return random parameters of two layers."""
    random = np.random.default_rng(seed)
    shapes = {"w": (FEATURES, HIDDEN), "b": (HIDDEN,), "head.w": (HIDDEN, OUTPUTS), "head.b": (OUTPUTS,)}
    return {name: 0.6 * random.standard_normal(shape) for name, shape in shapes.items()}


def make_tasks(seed: int) -> list[Task]:
    """Return pairs of a support and a query batch."""
    random = np.random.default_rng(seed)

    def batch(rows: int) -> Batch:
        return random.standard_normal((rows, FEATURES)), random.standard_normal((rows, OUTPUTS))

    return [(batch(ROWS), batch(ROWS + 1)) for _ in range(TASKS)]


def forward(params: Params, inputs: Array) -> tuple[Array, Array]:
    """Return outputs, and the activations that the backward pass needs."""
    hidden = np.tanh(inputs @ params["w"] + params["b"])
    return hidden @ params["head.w"] + params["head.b"], hidden


def loss(params: Params, batch: Batch) -> float:
    """Return the mean squared error."""
    outputs, _ = forward(params, batch[0])
    return float(((outputs - batch[1]) ** 2).mean())


def gradient(params: Params, batch: Batch) -> Params:
    """Return the gradient of the loss, by hand."""
    inputs, targets = batch
    outputs, hidden = forward(params, inputs)
    error = 2 * (outputs - targets) / targets.size
    back = (error @ params["head.w"].T) * (1 - hidden**2)
    return {"w": inputs.T @ back, "b": back.sum(0), "head.w": hidden.T @ error, "head.b": error.sum(0)}


def moved(params: Params, slopes: Params, rate: float) -> Params:
    """Return the parameters after a step."""
    return {name: params[name] - rate * slopes[name] for name in params}


def adapt(params: Params, support: Batch, steps: int = INNER_STEPS, rate: float = INNER_RATE) -> Params:
    """Return the parameters after the inner loop."""
    for _ in range(steps):
        params = moved(params, gradient(params, support), rate)
    return params


def mean(parts: list[Params]) -> Params:
    """Return the mean of the tasks' gradients."""
    return {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}


def first_order(params: Params, tasks: list[Task]) -> Params:
    """First-order MAML: the gradient at the adapted parameters."""
    return mean([gradient(adapt(params, support), query) for support, query in tasks])


def hessian_product(params: Params, batch: Batch, u: Params) -> Params:
    """Return the Hessian times a vector, by a complex step of the gradient."""
    step = 1e-30
    moved_off = {name: params[name] + 1j * step * u[name] for name in params}
    return {name: leaf.imag / step for name, leaf in gradient(moved_off, batch).items()}


def second_order(params: Params, tasks: list[Task]) -> Params:
    """Second-order MAML by Hessian-vector products, from the last inner step to the first."""
    parts = []
    for support, query in tasks:
        points = [adapt(params, support, steps) for steps in range(INNER_STEPS + 1)]
        back = gradient(points[-1], query)
        for point in reversed(points[:-1]):
            back = moved(back, hessian_product(point, support, back), INNER_RATE)
        parts.append(back)
    return mean(parts)


def reptile(params: Params, tasks: list[Task]) -> Params:
    """Reptile: the displacement over the inner rate."""
    ends = [adapt(params, support) for support, _ in tasks]
    return mean([{name: (params[name] - end[name]) / INNER_RATE for name in params} for end in ends])


def in_place(params: Params, tasks: list[Task]) -> float:
    """First-order MAML that changes the parameters in place, and returns the loss."""
    slopes = first_order(params, tasks)
    for name, leaf in params.items():
        leaf -= OUTER_RATE * slopes[name]  # noqa: PLW2901  # the array itself
    return loss(params, tasks[0][1])


Step = Callable[[Params, list[Task]], Any]
#: The right steps by name, with the order that they claim and what they give.
RIGHT: dict[str, tuple[Step, Any, str]] = {
    "first_order": (first_order, 1, "gradients"),
    "second_order": (second_order, 2, "gradients"),
    "reptile": (reptile, "reptile", "gradients"),
    "in_place": (in_place, 1, "parameters"),
}

problem = verification.problem_of(
    second_order,
    model=make_model(0),
    inner_loss=loss,
    inner_gradient=gradient,
    tasks=make_tasks(0),
    inner_steps=INNER_STEPS,
    inner_learning_rate=INNER_RATE,
    order=2,
)
