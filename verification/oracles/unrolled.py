"""Any inner update, by differentiating the whole unrolled loop at once.

θ ↦ Σ_k w_k Q(φ_k(θ)) is one function of the flat vector, with the inner gradients and the states of the update inside
it, and autograd differentiates it in reverse: no Jacobian of a step is written down here. First order takes ∂φ_k/∂θ for
the identity. Per-FedAvg (HF), which is no derivative of anything, goes back step by step instead, and
iMAML solves a system at the end of the loop.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.tracer import getval

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
        weights, left = outer_weights(view), np.zeros_like(view.theta)
        cost = float(sum(w * view.outer_costs(points[k][None])[0] for k, w in weights))
        if order == 1 and not (view.update and view.update.learns_rates):
            by_point = grad(lambda phi: view.outer_costs(phi[None])[0])
            gradient = np.sum([w * by_point(points[k]) for k, w in weights], axis=0)
        elif view.implicit is not None and order == 2:
            solved = [_implicitly(view, points[k]) for k, _ in weights]
            gradient = np.sum([w * found for (_, w), (found, _) in zip(weights, solved, strict=True)], axis=0)
            left = np.sum([w * rest for (_, w), (_, rest) in zip(weights, solved, strict=True)], axis=0)
        elif view.hessian_free is not None and order == 2:
            gradient = np.sum([w * _by_differences(view, points[:k], points[k]) for k, w in weights], axis=0)
        else:
            held = order == 1  # the inner gradients, while learned rates are differentiated
            gradient = grad(lambda theta: _objective(view, _iterates(view, theta, held=held)))(view.theta)
        if view.support_weight:
            cost += view.support_weight * float(view.inner_costs(view.theta[None])[0])
            gradient = gradient + view.support_weight * grad(lambda theta: view.inner_costs(theta[None])[0])(view.theta)
        gradient = gradient * view.outer_mask
    error = _rounding(view, gradient) + (left if order != "reptile" else 0)
    return Solution(cost=cost, gradient=gradient, adapted=points[-1], error=error)


def _by_differences(view: TaskView, before: list[FlatArray], end: FlatArray) -> FlatArray:
    """Return ∇Q(φ_k) pulled back to θ with differences for the products with Hessians: no derivative of the loop."""
    assert view.hessian_free is not None
    inner = grad(lambda phi: view.inner_costs(phi[None])[0])
    u: FlatArray = grad(lambda phi: view.outer_costs(phi[None])[0])(end)
    for phi in reversed(before):
        u = u - view.step_size * view.hessian_free.product(inner, phi, u)
    return u


def _implicitly(view: TaskView, end: FlatArray) -> tuple[FlatArray, FlatArray]:
    """Return (I + H/λ)⁻¹ ∇Q at a point, and what the declared steps of conjugate gradients leave of it."""
    assert view.implicit is not None
    by_point = grad(lambda phi: view.inner_costs(phi[None])[0])
    hessian = np.stack([grad(lambda phi, row=row: by_point(phi)[row])(end) for row in range(len(end))])
    u: FlatArray = grad(lambda phi: view.outer_costs(phi[None])[0])(end)
    exact = view.implicit.exactly(hessian, u)
    if not view.implicit.cg_steps:
        return exact, np.zeros_like(exact)
    return exact, np.abs(exact - view.implicit.by_conjugate_gradients(hessian.__matmul__, u))


def _objective(view: TaskView, points: list[Any]) -> Any:
    return sum(w * view.outer_costs(points[k][None])[0] for k, w in outer_weights(view))


def _iterates(view: TaskView, theta: Any, *, held: bool = False) -> list[Any]:
    """Return φ_0, …, φ_K as functions of θ; with the inner gradients held as constants if asked."""
    by_point = grad(lambda phi: view.inner_costs(phi[None])[0])
    update = view.update or InnerUpdate(())
    points, states = [theta], update.begin(theta)
    for k in range(view.steps):
        phi = points[-1]
        slope = by_point(getval(phi) if held else phi) * (view.inner_mask != 0)
        direction, states = update.step(anp, states, slope, phi, k)
        points.append(phi - view.step_size * direction)
    return points


def _rounding(view: TaskView, gradient: FlatArray) -> FlatArray:
    return 8 * (view.steps + 1) * _U * (np.abs(gradient) + float(np.linalg.norm(gradient)))
