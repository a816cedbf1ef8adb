"""The steps by differences alone, fast, with every intermediate vector open to disturbance.

Conditioning is measured with it, and a problem's own properties are checked with it. Gradients are complex steps, and
products with Hessians central differences of those, with a relative error of about 1e-10: far better than either use
needs, and not good enough to judge an answer by, which `verification.oracles.finite_differences` is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.oracles import Solution, TaskView
from verification.oracles.finite_differences import complex_step_gradients
from verification.oracles.view import FlatArray, outer_steps
from verification.orders import Order

_HESSIAN_STEP = 2.0**-17
Disturb = Callable[[NDArray[Any]], NDArray[Any]]


def exactly(array: NDArray[Any]) -> NDArray[Any]:
    """Leave an array as it is."""
    return array


def solve(view: TaskView, order: Order, disturb: Disturb = exactly) -> Solution:
    """Return the solution of a task made for `numpy`, with `disturb` applied to every vector on the way."""

    def gradient_at(costs: Any, point: FlatArray) -> FlatArray:
        exact: FlatArray = disturb(complex_step_gradients(costs, point[None])[0])
        return exact

    points = [disturb(view.theta)]
    for _ in range(view.steps):
        move = view.step_size * gradient_at(view.inner_costs, points[-1])
        points.append(np.where(move == 0, points[-1], disturb(points[-1] - move)))  # what stays is not rounded
    if order == "reptile":
        ks, costs = list(range(view.steps + 1)), view.inner_costs
        gradient = (points[0] - points[-1]) / view.rate
    else:
        ks, costs = outer_steps(view), view.outer_costs
        gradients = [gradient_at(costs, points[k]) for k in ks]
        if order == 2:
            gradients = [_pulled_back(view, points[:k], g, disturb) for k, g in zip(ks, gradients, strict=True)]
        gradient = np.mean(gradients, axis=0) * view.outer_mask
    cost = disturb(np.mean([costs(points[k][None])[0] for k in ks]))
    return Solution(cost=float(cost), gradient=gradient, adapted=points[-1], error=np.zeros_like(gradient))


def _pulled_back(view: TaskView, points: list[FlatArray], gradient: FlatArray, disturb: Disturb) -> FlatArray:
    """Multiply by (I − D H_k)ᵀ from the last step to the first; H_k (D u) is a difference of exact gradients."""
    for phi in reversed(points):
        direction = _HESSIAN_STEP * view.step_size * gradient
        ahead, behind = complex_step_gradients(view.inner_costs, np.stack([phi + direction, phi - direction]))
        gradient = disturb(gradient - (ahead - behind) / (2 * _HESSIAN_STEP))
    return gradient
