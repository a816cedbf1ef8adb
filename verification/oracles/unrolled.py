"""Any inner update, by differentiating the whole unrolled loop at once.

θ ↦ Σ_k w_k Q(φ_k(θ)) is one function of the flat vector, with the inner gradients and the states of the update inside
it, and autograd differentiates it in reverse: no Jacobian of a step is written down here. First order takes ∂φ_k/∂θ for
the identity.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad

from verification.oracles.updates import InnerUpdate
from verification.oracles.view import FlatArray, Solution, TaskView, outer_weights
from verification.orders import Order

_U = float(np.finfo(np.float64).eps) / 2


def solve(view: TaskView, order: Order) -> Solution:
    """Return the solution of a task; it must have been made for the namespace `autograd.numpy`."""
    points = _iterates(view, view.theta)
    if order == "reptile":
        gradient = (points[0] - points[-1]) / view.rate
        cost = float(np.mean([view.inner_costs(phi[None])[0] for phi in points]))
    else:
        weights = outer_weights(view)
        cost = float(sum(w * view.outer_costs(points[k][None])[0] for k, w in weights))
        if order == 1:
            by_point = grad(lambda phi: view.outer_costs(phi[None])[0])
            gradient = np.sum([w * by_point(points[k]) for k, w in weights], axis=0)
        else:
            gradient = grad(lambda theta: _objective(view, _iterates(view, theta)))(view.theta)
        gradient = gradient * view.outer_mask
    return Solution(cost=cost, gradient=gradient, adapted=points[-1], error=_rounding(view, gradient))


def _objective(view: TaskView, points: list[Any]) -> Any:
    return sum(w * view.outer_costs(points[k][None])[0] for k, w in outer_weights(view))


def _iterates(view: TaskView, theta: Any) -> list[Any]:
    """Return φ_0, …, φ_K as functions of θ."""
    by_point = grad(lambda phi: view.inner_costs(phi[None])[0])
    update = view.update or InnerUpdate(())
    points, states = [theta], update.begin(theta)
    for k in range(view.steps):
        phi = points[-1]
        direction, states = update.step(anp, states, by_point(phi) * (view.inner_mask != 0), phi, k)
        points.append(phi - view.step_size * direction)
    return points


def _rounding(view: TaskView, gradient: FlatArray) -> FlatArray:
    return 8 * (view.steps + 1) * _U * (np.abs(gradient) + float(np.linalg.norm(gradient)))
