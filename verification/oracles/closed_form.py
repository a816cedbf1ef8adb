"""Quadratic costs in closed form: matrix powers, no differentiation and no loop over inner steps.

With S = ½ (φ − c)ᵀ A (φ − c) and D = diag(α on I, 0 elsewhere), a step of descent maps φ − c to (I − D A)(φ − c), so

    φ_k − c = (I − D A)^k (θ − c),      ∂φ_k/∂θ = (I − D A)^k.

With Q = ½ (φ − d)ᵀ B (φ − d) the first-order gradient is B (φ_k − d), the second-order one (∂φ_k/∂θ)ᵀ B (φ_k − d)
(Finn, Abbeel and Levine, 2017, section 2.2, with both costs quadratic), Reptile's (θ − φ_K)/α.
"""

from __future__ import annotations

import numpy as np

from verification.oracles.view import FlatArray, Quadratic, Solution, TaskView, outer_steps
from verification.orders import Order

_U = float(np.finfo(np.float64).eps) / 2


def applies(view: TaskView) -> bool:
    """Return whether both costs of the task are quadratic."""
    return view.quadratics is not None


def solve(view: TaskView, order: Order) -> Solution:
    """Return the solution of a quadratic task."""
    if view.quadratics is None:
        raise ValueError("closed_form: expected a task with quadratic costs; call applies(view) first.")
    inner, outer = view.quadratics
    measured = inner if order == "reptile" else outer
    ks = list(range(view.steps + 1)) if order == "reptile" else outer_steps(view)
    adapted = _iterate(view, inner, view.steps)
    if order == "reptile":
        gradient = (view.theta - adapted) / view.rate
    else:
        gradient = np.mean([_gradient(view, order, inner, outer, k) for k in ks], axis=0) * view.outer_mask
    cost = float(np.mean([_cost(measured, _iterate(view, inner, k)) for k in ks]))
    size = view.theta.size
    error = 4 * size * (view.steps + 1) * _U * (np.abs(gradient) + float(np.linalg.norm(gradient)))
    return Solution(cost=cost, gradient=gradient, adapted=adapted, error=error)


def _power(view: TaskView, inner: Quadratic, k: int) -> FlatArray:
    step = np.eye(view.theta.size) - view.step_size[:, None] * inner.matrix
    return np.linalg.matrix_power(step, k)


def _iterate(view: TaskView, inner: Quadratic, k: int) -> FlatArray:
    return inner.centre + _power(view, inner, k) @ (view.theta - inner.centre)


def _gradient(view: TaskView, order: Order, inner: Quadratic, outer: Quadratic, k: int) -> FlatArray:
    at_iterate: FlatArray = outer.matrix @ (_iterate(view, inner, k) - outer.centre)
    return at_iterate if order == 1 else _power(view, inner, k).T @ at_iterate


def _cost(quadratic: Quadratic, point: FlatArray) -> float:
    r = point - quadratic.centre
    return float(0.5 * r @ quadratic.matrix @ r)
