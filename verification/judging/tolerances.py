"""Bounds on the rounding error of a correct answer, derived for each problem.

A bound is C · u · max(‖x‖, s) for each leaf x of the answer, in the 2-norm, with u the unit roundoff of the dtype and s
the leaf's sensitivity: how far it moves, per unit of relative change, when every input, every gradient and every
iterate on the way is changed by a relative ±δ with random signs. s / ‖x‖ is the leaf's condition number κ in the sense
of small-sample statistical estimation (Kenney and Laub, 1994), so that the bound is C · u · κ · ‖x‖, and it is 0 for
a variable that a cost ignores: there a correct answer is 0, exactly. A cost that does not move, as one of products with
θ = 0, is rounded all the same, so that κ is at least 1. In Reptile a leaf that is 0 moves: (θ − φ_K)/α has the rounding
of its ends, u ‖θ‖/α, in whatever order tasks are averaged, so that s is at least ‖θ/α‖ there. So it is with a gradient
that is read back from what an outer step of rate β made of the variables, (θ − θ')/β: s is at least ‖θ‖/β. A
subnormal answer is rounded by at least η, the smallest subnormal number, so that the bound is at least C η where it is
not 0.

C = 64: `refmaml calibrate` measures correct code at up to 3 u κ over K ≤ 20 inner steps, and at the learning rates of
the built-in problems no fault of the catalogue nearer than 17,300 u κ in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.oracles import TaskView
from verification.oracles.propagation import solve
from verification.problems.answers import Answer, assemble
from verification.problems.problem import Problem

FACTOR = 64.0
_DRAWS = 4
_DELTA = 2.0**-20  # far above rounding (2⁻⁵³), far below where the response bends
_SEED = 20180302
_FEW = 64  # entries
_SMALLEST = 1e-200  # a sum of squares from which those that vanish would be missed in no digit
_BENT = 2.0**-6  # a relative response this large is no longer proportional to the disturbance


@cache
def unit_roundoff(dtype: Any) -> float:
    """Return u, half the distance from 1 to the next number of `dtype`."""
    return float(np.finfo(dtype).eps) / 2


@cache
def smallest(dtype: Any) -> float:
    """Return η, the smallest subnormal number of `dtype`."""
    return float(np.finfo(dtype).smallest_subnormal)


def norm(array: Any) -> float:
    """Return the 2-norm of all entries, NaN or infinity where one is; no square overflows or underflows on the way."""
    entries = np.asarray(array, np.float64).ravel()
    if entries.size <= _FEW:  # naming takes thousands of norms of a few numbers, and NumPy five times as long for them
        return hypot(*entries.tolist())
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        square = float(entries @ entries)
    if _SMALLEST < square < 1 / _SMALLEST:
        return float(np.sqrt(square))
    sizes = np.abs(entries)
    largest = float(np.max(sizes, initial=0.0))
    # Squares overflow beyond 1e154 and vanish below 1e-162.
    return float(np.linalg.norm(sizes / largest)) * largest if 0 < largest < float("inf") else largest


def apart(one: Any, other: Any) -> float:
    """Return ‖one − other‖, worked in float64 whatever the precision of the two."""
    return norm(np.asarray(one, np.float64) - np.asarray(other, np.float64))


def over(error: float, bound: float) -> float:
    """Return error / bound, where a bound of 0 allows 0 alone; NaN is infinitely wrong, lest a maximum lose it."""
    if not np.isfinite(error):
        return float("inf")
    return error / bound if bound else (0.0 if error == 0 else float("inf"))


@dataclass(frozen=True)
class Sensitivity:
    """How far cost, gradients and adapted variables move, by key chain, per unit of relative change on the way.

    `sizes` has the norm of each leaf of the gradients.
    """

    cost: float
    gradients: dict[str, float]
    adapted: dict[str, float]
    sizes: dict[str, float]

    @cached_property
    def condition(self) -> float:
        """The condition number of the whole gradient."""
        total = norm(list(self.sizes.values()))
        return norm(list(self.gradients.values())) / total if total else 1.0

    def at_least(self, least: Mapping[str, float]) -> Sensitivity:
        """Return the same with the gradients of some leaves moving by at least so much."""
        return replace(self, gradients={chain: max(s, least.get(chain, 0.0)) for chain, s in self.gradients.items()})


def sensitivity(problem: Problem) -> Sensitivity:
    """Measure the sensitivity of a problem's answer from a few random disturbances."""
    rng = np.random.default_rng(_SEED)
    base = _answer(problem, rng, 0.0)
    delta = _DELTA
    if problem.algorithm.hessian_free is not None:
        delta *= min(1.0, problem.algorithm.hessian_free.delta)  # differences of that length divide a change by it
    moved = [_answer(problem, rng, delta) for _ in range(_DRAWS)]
    found = Sensitivity(
        cost=_response(np.asarray(base.cost), [np.asarray(answer.cost) for answer in moved], delta),
        gradients=_movement(base.gradients, [answer.gradients for answer in moved], delta),
        adapted=_movement(base.adapted, [answer.adapted for answer in moved], delta),
        sizes={chain: norm(leaf) for chain, leaf in base.gradients.items()},
    )
    found = found.at_least(ends_over_rate(problem))
    rate = problem.outer_learning_rate
    return found if rate is None else found.at_least(starts_over(problem, rate))


def ends_over_rate(problem: Problem) -> dict[str, float]:
    """Return ‖θ/α‖ of each leaf for Reptile, whose displacement has the rounding of its ends; nothing otherwise."""
    return _starts(problem, lambda view: view.theta / view.rate) if problem.order == "reptile" else {}


def starts_over(problem: Problem, rate: float) -> dict[str, float]:
    """Return ‖θ‖/β of each leaf: the rounding of a gradient that is read back as (θ − θ')/β, in units of u."""
    return _starts(problem, lambda view: view.theta / rate)


def _starts(problem: Problem, of_view: Callable[[TaskView], NDArray[Any]]) -> dict[str, float]:
    parts = [problem.split(of_view(view)) for view in problem.views(np)]
    return {chain: max(norm(part[chain]) for part in parts) for chain in problem.names}


def bound(value: NDArray[Any], moves: float, dtype: Any, oracle_error: float = 0.0) -> float:
    """Return how far a correct answer of `dtype` may be from `value`, in the 2-norm."""
    return bound_of_size(max(norm(value), moves), dtype) + oracle_error


def bound_of_size(size: float, dtype: Any) -> float:
    """Return C max(u · size, η), and 0 for 0.

    η is the smallest subnormal number: a subnormal number is rounded by as much, however small it is itself.
    """
    return FACTOR * max(unit_roundoff(dtype) * size, smallest(dtype)) if size else 0.0


def _movement(base: dict[str, NDArray[Any]], moved: list[dict[str, NDArray[Any]]], delta: float) -> dict[str, float]:
    return {chain: _response(leaf, [answer[chain] for answer in moved], delta) for chain, leaf in base.items()}


def _response(base: NDArray[Any], moved: list[NDArray[Any]], delta: float) -> float:
    """Return the largest movement per unit of change; infinity where the answer is gone before it is measured.

    On a chaotic inner loop a change of δ grows until it is as large as the answer, and no further: dividing by δ would
    then give 1/δ, however much rounding is amplified. No bound can be derived there, so there is none.
    """
    size, movements = norm(base), [norm(answer - base) for answer in moved]
    if not np.all(np.isfinite(movements)):
        return float("inf")
    movement = max(movements)
    return float("inf") if movement > _BENT * size > 0 else movement / delta


def _answer(problem: Problem, rng: np.random.Generator, delta: float) -> Answer:
    def disturb(array: NDArray[Any]) -> NDArray[Any]:
        return array * (1 + delta * rng.choice([-1.0, 1.0], array.shape))

    return assemble(problem, [solve(view, problem.order, disturb) for view in problem.views(np, disturb)])
