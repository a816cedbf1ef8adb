"""What an oracle is asked, one task in flat vectors, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.oracles.hessian_free import HessianFree
from verification.oracles.implicit import Implicit
from verification.oracles.updates import InnerUpdate

#: One number for each entry of the variables, in one axis.
FlatArray = NDArray[np.float64]
#: Points [P, n] to costs [P], in the array namespace that the view was made for.
Costs = Callable[[Any], Any]


def _not_exchanged(_: Any) -> Any:
    raise ValueError("This task was made without its costs on exchanged data, and no oracle needs them.")


@dataclass(frozen=True)
class Quadratic:
    """½ (v − centre)ᵀ matrix (v − centre) in the full vector of variables: matrix [n, n], symmetric; centre [n]."""

    matrix: NDArray[np.float64]
    centre: FlatArray


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """One task: θ [n], S and Q as functions of points, I and O as 0/1 vectors [n], α for each coordinate [n].

    `average` takes the outer cost at φ_0, …, φ_K instead of at φ_K; `quadratics` has S and Q where they are quadratic.
    `inner_costs_on_query` and `outer_costs_on_support` are the same functions with the data exchanged: what a wrong
    implementation may evaluate, and no right one does. `update` turns inner gradients into directions; None is plain
    descent. `weights` has, for a number of steps, the weights of the outer costs at φ_0, …, φ_K; None is what `average`
    says. `support_weight` is that of S(θ) beside them. `hessian_free` has the differences that stand for products with
    Hessians at second order, where they are meant; every coordinate then adapts, at one rate. `implicit` has what
    stands for the Jacobian of the whole inner loop at second order; every coordinate adapts then, too. `examples` and
    `query_examples` are how many the batches of this task have, and `entries` and `query_entries` how many numbers
    their targets have: what a sum has more than a mean.
    """

    theta: FlatArray
    inner_costs: Costs
    outer_costs: Costs
    inner_mask: FlatArray
    outer_mask: FlatArray
    rate: FlatArray
    steps: int
    average: bool = False
    quadratics: tuple[Quadratic, Quadratic] | None = None
    update: InnerUpdate | None = None
    weights: Callable[[int], list[float]] | None = None
    support_weight: float = 0.0
    hessian_free: HessianFree | None = None
    implicit: Implicit | None = None
    examples: int = 1
    query_examples: int = 1
    entries: int = 1
    query_entries: int = 1
    inner_costs_on_query: Costs = _not_exchanged
    outer_costs_on_support: Costs = _not_exchanged

    @property
    def step_size(self) -> FlatArray:
        """α on the coordinates that adapt, 0 on the others; one number, repeated, where it is one for all."""
        if is_repeated(self.rate) and is_repeated(self.inner_mask):
            return np.broadcast_to(self.rate[0] * self.inner_mask[0], self.rate.shape)
        return self.rate * self.inner_mask


def is_repeated(vector: FlatArray) -> bool:
    """Return whether a vector is one number for all coordinates, without the memory of a vector."""
    return vector.strides == (0,)


def masked(vector: FlatArray, mask: FlatArray) -> FlatArray:
    """Return a vector times a mask: itself, where the mask is 1 everywhere and has no memory."""
    return vector if is_repeated(mask) and mask[0] == 1 else vector * mask


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Cost, gradient [n] and adapted variables φ_K [n] of one task; `error` [n] bounds the gradient's own error."""

    cost: float
    gradient: FlatArray
    adapted: FlatArray
    error: FlatArray


def outer_weights(view: TaskView) -> list[tuple[int, float]]:
    """Return the steps k at whose φ_k the outer cost is taken, each with its weight."""
    if view.weights is not None:
        return [(k, weight) for k, weight in enumerate(view.weights(view.steps)) if weight]
    steps = outer_steps(view)
    return [(k, 1 / len(steps)) for k in steps]


def outer_steps(view: TaskView) -> list[int]:
    """Return the steps k at whose φ_k the outer cost is taken."""
    return list(range(view.steps + 1)) if view.average else [view.steps]
