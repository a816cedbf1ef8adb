"""MAML from its definition: explicit Jacobians of the inner loop, multiplied out.

With H_k the Hessian of S at φ_k and D = diag(α on I, 0 elsewhere), one inner step has the Jacobian I − D H_k, so

    ∇_θ Q(φ_K(θ)) = (I − D H_0)ᵀ (I − D H_1)ᵀ ⋯ (I − D H_{K−1})ᵀ ∇Q(φ_K)

(Finn, Abbeel and Levine, 2017, section 2.2; Nichol, Achiam and Schulman, 2018, section 2). The first-order gradient
leaves the product out. Whole Hessians are formed where an implementation would use products with vectors: this is the
definition, and what it is compared with is not. Gradients and Hessians of the costs themselves are autograd's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad
from numpy.typing import NDArray

from verification.oracles.view import Costs, FlatArray, Solution, TaskView, outer_steps
from verification.orders import Order

Matrix = NDArray[np.float64]
_U = float(np.finfo(np.float64).eps) / 2


def solve(view: TaskView, order: Order) -> Solution:
    """Return the solution of a task; it must have been made for the namespace `autograd.numpy`."""
    points = [view.theta]
    for _ in range(view.steps):
        phi = points[-1]
        points.append(phi - view.step_size * _gradient(view.inner_costs, phi))
    if order == "reptile":
        ks, costs = list(range(view.steps + 1)), view.inner_costs
        gradient = (points[0] - points[-1]) / view.rate
    else:
        ks, costs = outer_steps(view), view.outer_costs
        gradients = [_gradient(costs, points[k]) for k in ks]
        if order == 2:
            hessians = _hessians(view.inner_costs, np.stack(points[:-1])) if view.steps else []
            gradients = [_pull_back(view, hessians[:k], gradient) for k, gradient in zip(ks, gradients, strict=True)]
        gradient = np.mean(gradients, axis=0) * view.outer_mask
    cost = float(np.mean([costs(points[k][None])[0] for k in ks]))
    error = 8 * (view.steps + 1) * _U * (np.abs(gradient) + float(np.linalg.norm(gradient)))
    return Solution(cost=cost, gradient=gradient, adapted=points[-1], error=error)


def _pull_back(view: TaskView, hessians: Sequence[Matrix], gradient: FlatArray) -> FlatArray:
    """Multiply a gradient at φ_k by the transposed Jacobians of the steps that led there, the last one first."""
    for hessian in reversed(hessians):
        jacobian = np.eye(gradient.size) - view.step_size[:, None] * hessian
        gradient = jacobian.T @ gradient
    return gradient


def _gradients(costs: Costs) -> Callable[[Any], Any]:
    """Return the gradients [P, n] at points [P, n]; each row of costs depends on its own point alone."""
    gradients: Callable[[Any], Any] = grad(lambda points: anp.sum(costs(points)))
    return gradients


def _gradient(costs: Costs, phi: FlatArray) -> FlatArray:
    gradient: FlatArray = _gradients(costs)(phi[None])[0]
    return gradient


def _hessians(costs: Costs, points: Matrix) -> list[Matrix]:
    """Return H [n, n] at each of points [P, n]: row i differentiates coordinate i of the gradient, all in one pass."""
    count, size = points.shape
    basis = np.tile(np.eye(size), (count, 1))
    rows: Matrix = grad(lambda at: anp.sum(_gradients(costs)(at) * basis))(np.repeat(points, size, axis=0))
    return list(rows.reshape(count, size, size))
