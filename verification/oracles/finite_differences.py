"""Any cost by differences alone: nothing here knows a derivative formula.

Gradients of the costs at a point are complex steps, Im S(φ + i h e_j)/h, which has no cancellation and so no step to
choose (Squire and Trapp, 1998; Martins, Sturdza and Alonso, 2003); the costs have to be analytic where they are
evaluated, which the families are away from the kinks of relu. The meta-gradient is a central difference of
θ ↦ Q(φ_K(θ)), extrapolated over a table of halved steps with the error estimate of Ridders (1982).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from verification.oracles.updates import COMPLEX_STEP, InnerUpdate
from verification.oracles.view import Costs, FlatArray, Solution, TaskView, outer_weights
from verification.orders import Order

_U = float(np.finfo(np.float64).eps) / 2
_FIRST_STEP = 2.0**-4  # the widest of the table, for points of size 1
_HALVINGS = 7

Points = NDArray[np.float64]  # [P, n]


def solve(view: TaskView, order: Order, moves: float = 0.0) -> Solution:
    """Return the solution of a task; it must have been made for the namespace `numpy`.

    `moves` is by how much the cost moves per unit of relative change of what is computed on the way to it: terms that
    cancel in the cost leave their rounding there.
    """
    iterates = _iterates(view, view.theta[None])
    phi = iterates[-1][0]
    if order == "reptile":
        costs, gradient = view.inner_costs, (view.theta - phi) / view.rate
        weights, error = [(k, 1 / len(iterates)) for k in range(len(iterates))], _rounding(gradient, view)
    else:
        costs, weights = view.outer_costs, outer_weights(view)
        if order == 2:
            gradient, error = _through_the_loop(view, weights, moves)
        elif view.update and view.update.learns_rates:
            gradient, error = _through_the_loop(view, weights, moves, held=iterates)
        else:
            gradient, error = _first_order(view, iterates, weights)
    cost = float(sum(weight * costs(iterates[k])[0] for k, weight in weights))
    if view.support_weight and order != "reptile":
        cost += view.support_weight * float(view.inner_costs(view.theta[None])[0])
        slope = complex_step_gradients(view.inner_costs, view.theta[None])[0]
        gradient = gradient + view.support_weight * slope * view.outer_mask
        error = error + _rounding(slope, view)
    return Solution(cost=cost, gradient=gradient, adapted=phi, error=error)


def complex_step_gradients(costs: Costs, points: Points) -> Points:
    """Return the gradients [P, n] of `costs` at points [P, n]."""
    count, size = points.shape
    probes = points[:, None, :] + 1j * COMPLEX_STEP * np.eye(size)
    gradients: Points = np.imag(costs(probes.reshape(count * size, size))).reshape(count, size) / COMPLEX_STEP
    return gradients


def _iterates(view: TaskView, theta: Points, held: list[Points] | None = None) -> list[Points]:
    """Return φ_0, …, φ_K for many initial points at once, with the inner gradients of the points `held` if given."""
    update = view.update or InnerUpdate(())
    points, states = [theta], update.begin(theta)
    for k in range(view.steps):
        where = held[k] if held else points[-1]
        slope = complex_step_gradients(view.inner_costs, where) * (view.inner_mask != 0)
        direction, states = update.step(np, states, slope, points[-1], k)
        points.append(points[-1] - view.step_size * direction)
    return points


#: Steps k with the weights of the outer costs at φ_k.
Weights = list[tuple[int, float]]


def _first_order(view: TaskView, iterates: list[Points], weights: Weights) -> tuple[FlatArray, FlatArray]:
    gradients = [weight * complex_step_gradients(view.outer_costs, iterates[k])[0] for k, weight in weights]
    gradient = np.sum(gradients, axis=0) * view.outer_mask
    return gradient, _rounding(gradient, view)


def _rounding(gradient: FlatArray, view: TaskView) -> FlatArray:
    return 4 * (view.steps + 1) * _U * (np.abs(gradient) + float(np.linalg.norm(gradient)))


def _through_the_loop(
    view: TaskView, weights: Weights, moves: float, held: list[Points] | None = None
) -> tuple[FlatArray, FlatArray]:
    def meta_objective(theta: Points) -> FlatArray:
        iterates = _iterates(view, theta, held)
        return np.asarray(np.sum([weight * view.outer_costs(iterates[k]) for k, weight in weights], axis=0))

    gradient, error = extrapolated_gradient(meta_objective, view.theta, moves)
    return gradient * view.outer_mask, error * view.outer_mask


def extrapolated_gradient(
    function: Callable[[Points], FlatArray], point: FlatArray, moves: float = 0.0
) -> tuple[FlatArray, FlatArray]:
    """Return the gradient of `function` at `point` and an estimate of its absolute error, coordinate by coordinate.

    Column m of Ridders' table removes the error term of order h^(2m); an entry's error estimate is its distance to
    both neighbours it was made of, plus the rounding of the differences, u max(|f|, `moves`) / h amplified by the
    extrapolation, where `moves` is by how much f moves per unit of relative change of the terms that it is made of.
    """
    size, largest = point.size, float(np.max(np.abs(point), initial=0.0))
    # By a power of two, so that points of size 1 have the same steps whatever their numbers are.
    scale = 2.0 ** round(np.log2(largest)) if largest else 1.0
    steps = _FIRST_STEP * scale * 0.5 ** np.arange(_HALVINGS)
    shifts = steps[:, None, None] * np.eye(size)
    probes = np.stack([point + shifts, point - shifts]).reshape(-1, size)
    values = function(probes).reshape(2, _HALVINGS, size)
    column = (values[0] - values[1]) / (2 * steps[:, None])
    noise = 2 * _U * max(float(np.max(np.abs(values))), moves) / steps[:, None] * np.ones(size)
    best, error = column[0], np.full(size, np.inf)
    for m in range(1, _HALVINGS):
        factor = 4.0**m
        finer, coarser = column[1:], column[:-1]
        extrapolated = finer + (finer - coarser) / (factor - 1)
        noise = noise[1:] * factor / (factor - 1) + noise[:-1] / (factor - 1)
        doubt = np.maximum(np.abs(extrapolated - finer), np.abs(extrapolated - coarser)) + noise
        row = np.argmin(doubt, axis=0)[None]
        candidate, its_doubt = (np.take_along_axis(table, row, axis=0)[0] for table in (extrapolated, doubt))
        better = its_doubt < error
        best, error = np.where(better, candidate, best), np.where(better, its_doubt, error)
        column = extrapolated
    return best, error
