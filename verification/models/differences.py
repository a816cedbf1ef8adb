"""The meta-gradient of a model beside directional differences of what it is the gradient of.

At second order that is the meta-objective θ ↦ mean Q(φ_K(θ)); at first order the surrogate θ ↦ mean Q(φ_K + θ − θ_0)
with the displacement held fixed. Reptile's displacement is the gradient of nothing. Both use values of Q and at second
order first derivatives of S, so that a second derivative that an operation has wrong shows here, in code that asks the
framework for it as much as in the judge.

Central differences at steps h have errors of order h² until rounding takes over at small ones, and kinks (ReLU, max
pooling) at large ones. The error estimate is what two neighbouring steps differ by, the least of all pairs: where it is
no small part of the derivative, the differences decide nothing. Values take an inner loop each, so that no more steps
are taken once a pair shows the slope of the gradient, or once pairs differ by more and more; the smallest, which cross
the fewest kinks, come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np

from verification.faults import Question
from verification.faults.work import Work, descend
from verification.models.interface import LossCosts
from verification.oracles.view import FlatArray

#: Of ‖θ‖, for a direction of norm ‖θ‖. A network of four convolutions has a kink in every 2⁻²⁸ of the way.
_STEPS = tuple(2.0**-k for k in range(32, 8, -2))
_RISES = 2  # in a row: what then comes is kinks or curvature, and larger steps have more of both
_SETTLED = 1e-4  # an error estimate below this part of the derivative is believed
_WRONG = 30.0  # times the estimate
_LEAST = 1e-3  # of the derivative: what is closer is no wrong second derivative


@dataclass(frozen=True)
class Slope:
    """A directional derivative: by the gradient, by differences, and how far the latter may be off."""

    of_gradient: float
    of_differences: float
    error: float

    @property
    def decides(self) -> bool:
        """Whether the differences have settled."""
        return bool(self.error <= _SETTLED * abs(self.of_differences))

    @property
    def agrees(self) -> bool:
        """Whether the gradient is the one that the differences show."""
        off = abs(self.of_gradient - self.of_differences)
        return bool(off <= max(_WRONG * self.error, _LEAST * abs(self.of_differences)))


def slopes(question: Question, gradient: FlatArray, rng: np.random.Generator, count: int = 3) -> Iterator[Slope]:
    """Yield directional derivatives of one task, along directions that single out what the gradient points along.

    They leave out what the framework holds on purpose, such as the row of a padding, whose slope no gradient has.

    Args:
        question: one task, whose gradient is `gradient`.
        gradient: the meta-gradient of that task.
        rng: random numbers for the directions.
        count: how many directions at most.
    """
    work = question.works[0]
    inner, outer = cast(LossCosts, work.view.inner_costs), cast(LossCosts, work.view.outer_costs)
    held = outer.held(work.theta) | inner.held(work.theta)
    if question.order == 2 and np.any(work.inner_gradient(work.theta)[held]):
        return  # what one reader holds another one adapts, as with tied weights: values show neither derivative
    adapted = descend(work)[-1] - work.theta if question.order == 1 else None
    yield from _slopes(
        partial(_objective, work, adapted), work.theta, gradient, work.view.outer_mask * ~held, rng, count
    )


def inner_slopes(question: Question, rng: np.random.Generator, count: int = 3) -> Iterator[Slope]:
    """Yield directional derivatives of the support loss of one task at θ: for a gradient that somebody wrote."""
    work = question.works[0]
    gradient, everywhere = work.inner_gradient(work.theta), np.ones_like(work.theta)
    yield from _slopes(lambda theta: float(work.inner_cost(theta)), work.theta, gradient, everywhere, rng, count)


def _slopes(
    objective: Callable[[FlatArray], float],
    theta: FlatArray,
    gradient: FlatArray,
    mask: FlatArray,
    rng: np.random.Generator,
    count: int,
) -> Iterator[Slope]:
    size, agreed = float(np.linalg.norm(theta)) or 1.0, 0
    for _ in range(count):
        # Half random, half along the gradient: across it, a derivative is nearly 0 and decides nothing.
        noise = rng.standard_normal(theta.size) * mask
        along = noise / np.linalg.norm(noise) + mask * gradient / (np.linalg.norm(gradient) or 1.0)
        along = along if np.any(along) else noise  # of one number, the two may cancel
        direction = size * along / np.linalg.norm(along)
        slope = _slope(partial(_along, objective, theta, direction), float(gradient @ direction))
        yield slope
        agreed += slope.decides and slope.agrees
        if agreed == count - 1:  # a single one that disagrees would mean nothing
            return


def _along(objective: Callable[[FlatArray], float], theta: FlatArray, direction: FlatArray, step: float) -> float:
    return objective(theta + step * direction)


def _slope(along: Callable[[float], float], of_gradient: float) -> Slope:
    """Return a slope by the differences of two neighbouring steps that differ least, up to those that confirm it."""
    found: Slope | None = None
    last: float | None = None
    rises = 0
    for step in _STEPS:
        value = (along(step) - along(-step)) / (2 * step)
        if last is not None:
            if found is None or not abs(value - last) >= found.error:
                found, rises = Slope(of_gradient, value, abs(value - last)), 0
                if found.decides and abs(of_gradient - value) <= _LEAST * abs(value):
                    return found
            else:
                rises += 1
                if rises == _RISES:
                    break
        last = value
    assert found is not None
    return found


def _objective(work: Work, adapted: FlatArray | None, theta: FlatArray) -> float:
    end = theta + adapted if adapted is not None else descend(work.changed(theta=theta))[-1]
    return float(work.outer_cost(end))
