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
from verification.oracles.updates import InnerUpdate
from verification.oracles.view import FlatArray, outer_weights
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

    update = view.update or InnerUpdate(())
    points, taken, states = [disturb(view.theta)], [], update.begin(view.theta)
    for k in range(view.steps):
        slope = gradient_at(view.inner_costs, points[-1]) * (view.inner_mask != 0)
        taken.append((points[-1], slope, states))
        direction, states = update.step(np, states, slope, points[-1], k, disturb=disturb)
        move = view.step_size * direction
        points.append(np.where(move == 0, points[-1], disturb(points[-1] - move)))  # what stays is not rounded
    if order == "reptile":
        weights, costs = [(k, 1 / len(points)) for k in range(len(points))], view.inner_costs
        gradient = (points[0] - points[-1]) / view.rate
    else:
        weights, costs = outer_weights(view), view.outer_costs
        gradients = [gradient_at(costs, points[k]) for k, _ in weights]
        if order == 2 and view.implicit is not None:
            pairs = zip(weights, gradients, strict=True)
            gradients = [_implicitly(view, points[k], gradient, disturb) for (k, _), gradient in pairs]
        elif order == 2:
            pairs = zip(weights, gradients, strict=True)
            gradients = [_pulled_back(view, taken[:k], gradient, disturb) for (k, _), gradient in pairs]
        elif update.learns_rates:
            steps = [(slope, phi) for phi, slope, _ in taken]
            gradients = [
                gradient + update.at_rates(steps[:k], disturb(view.step_size * gradient))
                for (k, _), gradient in zip(weights, gradients, strict=True)
            ]
        terms = [w * g for (_, w), g in zip(weights, gradients, strict=True)]
        if view.support_weight:
            terms.append(view.support_weight * gradient_at(view.inner_costs, points[0]))
        gradient = np.sum(terms, axis=0) * view.outer_mask
    total = sum(weight * costs(points[k][None])[0] for k, weight in weights)
    if view.support_weight and order != "reptile":
        total = total + view.support_weight * view.inner_costs(points[0][None])[0]
    cost = disturb(np.asarray(total))
    return Solution(cost=float(cost), gradient=gradient, adapted=points[-1], error=np.zeros_like(gradient))


def _implicitly(view: TaskView, end: FlatArray, gradient: FlatArray, disturb: Disturb) -> FlatArray:
    """Solve with I + H/λ at the end of the loop; the rows of H are differences of exact gradients."""
    assert view.implicit is not None
    aside = _HESSIAN_STEP * np.eye(len(end))
    ahead, behind = complex_step_gradients(view.inner_costs, np.concatenate([end + aside, end - aside])).reshape(
        2, len(end), len(end)
    )
    hessian = disturb((ahead - behind) / (2 * _HESSIAN_STEP))
    return disturb(view.implicit.exactly((hessian + hessian.T) / 2, gradient))


#: A point, its gradient and the states before the step that was taken from there.
Taken = tuple[FlatArray, FlatArray, tuple[Any, ...]]


def _pulled_back(view: TaskView, taken: list[Taken], gradient: FlatArray, disturb: Disturb) -> FlatArray:
    """Multiply by the transposed Jacobian of each step, the last first; H_k u is a difference of exact gradients."""
    if view.hessian_free is not None:
        for phi, _, _ in reversed(taken):
            product = view.hessian_free.product(
                lambda at: disturb(complex_step_gradients(view.inner_costs, at[None])[0]), phi, gradient
            )
            gradient = disturb(gradient - view.step_size * product)
        return gradient
    update = view.update or InnerUpdate(())
    states_back = update.begin(view.theta)
    for k, (phi, slope, states) in reversed(list(enumerate(taken))):
        back = -view.step_size * gradient
        at_slope, at_phi, states_back = update.pull_back(states, slope, phi, k, back, states_back, disturb=disturb)
        at_slope = at_slope * (view.inner_mask != 0)
        step = _HESSIAN_STEP / max(1.0, float(np.linalg.norm(at_slope)))  # an update may divide by small gradients
        aside = step * at_slope
        ahead, behind = complex_step_gradients(view.inner_costs, np.stack([phi + aside, phi - aside]))
        gradient = disturb(gradient + at_phi + (ahead - behind) / (2 * step))
    return gradient
