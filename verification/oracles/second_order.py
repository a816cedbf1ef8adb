"""MAML from its definition: explicit Jacobians of the inner loop, multiplied out.

With H_k the Hessian of S at φ_k and D = diag(α on I, 0 elsewhere), one inner step has the Jacobian I − D H_k, so

    ∇_θ Q(φ_K(θ)) = (I − D H_0)ᵀ (I − D H_1)ᵀ ⋯ (I − D H_{K−1})ᵀ ∇Q(φ_K)

(Finn, Abbeel and Levine, 2017, section 2.2; Nichol, Achiam and Schulman, 2018, section 2). The first-order gradient
leaves the product out. Whole Hessians are formed where an implementation would use products with vectors: this is the
definition, and what it is compared with is not. Gradients and Hessians of the costs themselves are autograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad
from numpy.typing import NDArray

from verification.oracles.view import Costs, Order, Solution, TaskView, Vector, outer_steps

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
            gradients = [_pull_back(view, points[:k], each) for k, each in zip(ks, gradients, strict=True)]
        gradient = np.mean(gradients, axis=0) * view.outer_mask
    cost = float(np.mean([costs(points[k][None])[0] for k in ks]))
    error = 8 * (view.steps + 1) * _U * (np.abs(gradient) + float(np.linalg.norm(gradient)))
    return Solution(cost=cost, gradient=gradient, adapted=points[-1], error=error)


def _pull_back(view: TaskView, points: list[Vector], gradient: Vector) -> Vector:
    """Multiply a gradient at φ_k by the transposed Jacobians of the steps that led there, the last one first."""
    for phi in reversed(points):
        jacobian = np.eye(phi.size) - view.step_size[:, None] * _hessian(view.inner_costs, phi)
        gradient = jacobian.T @ gradient
    return gradient


def _gradients(costs: Costs) -> Callable[[Any], Any]:
    """Return the gradients [P, n] at points [P, n]; each row of costs depends on its own point alone."""
    gradients: Callable[[Any], Any] = grad(lambda points: anp.sum(costs(points)))
    return gradients


def _gradient(costs: Costs, phi: Vector) -> Vector:
    gradient: Vector = _gradients(costs)(phi[None])[0]
    return gradient


def _hessian(costs: Costs, phi: Vector) -> NDArray[np.float64]:
    """Return H [n, n]: row i differentiates coordinate i of the gradient, all rows in one pass."""
    basis = np.eye(phi.size)
    rows: NDArray[np.float64] = grad(lambda points: anp.sum(_gradients(costs)(points) * basis))(phi + 0 * basis)
    return rows
