"""Orders of decrease: what a gradient is the gradient *of*, and how a wrong answer grows with the learning rate.

Two questions have one method. A remainder |f(θ + h d) − f(θ) − h g·d| falls like h² where g is the gradient of f, and
like h where it is not; the distance of a wrong first-order answer from the right one grows like α^p, and p tells the
family of the mistake. Either way sizes on a geometric ladder are drawn over a floor of rounding noise, and the order
is the slope of log size over log step on the clean part: well above the noise, and at the small end of the ladder,
where higher orders bend it least.

A correct first-order MAML gradient is *not* the gradient of the meta-objective θ ↦ Q(φ_K(θ)): its order there is 1. It
is that of the surrogate θ ↦ Q(θ + (φ_K − θ)), with the displacement held fixed (Finn, Abbeel and Levine, 2017, section
5.2; Nichol, Achiam and Schulman, 2018, section 2, take ∂φ_K/∂θ for the identity). A test has to say which it means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from verification.oracles.view import FlatArray
from verification.verdicts import Verdict, worst

_ABOVE_NOISE = 16.0  # a size counts where noise changes it by less than a sixteenth
_LEAST, _MOST = 3, 5  # points of a fit: one more than a slope needs; more would reach into the bend
_NEAR = 0.15  # of a whole number: what the terms that a fit leaves out may bend a slope by
_STRAIGHT = 0.02  # a fit with residuals above this has not settled on any power


@dataclass(frozen=True)
class OrderFit:
    """The slope of log size over log step: `order` ± `error`, fitted on the steps in `window`, largest first.

    `local` has the slope between neighbours over all the clean steps, `residual` the largest distance of a point from
    the fit, in logarithms. Where nothing could be fitted, `order` is NaN.
    """

    order: float
    window: tuple[float, ...]
    verdict: Verdict
    error: float = float("nan")
    local: tuple[float, ...] = ()
    residual: float = float("nan")


def order_in_alpha(rates: list[float], gaps: list[float], noise: list[float]) -> OrderFit:
    """Return the p of ‖gap‖ ~ α^p: 0 for a mistake in the outer loop, 1 in the inner loop, 2 in the inner recursion.

    The gap of second-order MAML to first-order MAML has p = 1: gM − gF = −α Σ_k H_k ∇Q + O(α²) (Nichol, Achiam and
    Schulman, 2018, section 5, where both are expanded in α).

    Args:
        rates: learning rates, in any order, positive, at least three of them well apart (halved, for example).
        gaps: the norm of the difference at each rate.
        noise: how large a gap rounding alone may make, at each rate.

    Returns:
        The fit. Its verdict is "pass" where the order is a whole number ≥ 0 within its error, "inconclusive" where
        fewer than three gaps stand clear of the noise or the slope has not settled, and "fail" where it has settled on
        something else or a gap is not a finite number.

    Raises:
        ValueError: the lists differ in length, or a rate is not positive.
    """
    return _whole(fit_order(rates, gaps, noise))


def fit_order(steps: Sequence[float], sizes: Sequence[float], noise: Sequence[float]) -> OrderFit:
    """Fit size ~ step^order on the clean window; the verdict is "pass" where there is one, whatever the order."""
    h, size, floor = _ladder(steps, sizes, noise)
    if not np.all(np.isfinite(size)):
        return OrderFit(float("nan"), (), "fail")
    clean = size > _ABOVE_NOISE * floor
    h, size, floor = h[clean], size[clean], floor[clean]
    if len(h) < _LEAST:
        return OrderFit(float("nan"), tuple(h), "inconclusive")
    local = np.diff(np.log(size)) / np.diff(np.log(h))
    h, size, floor = h[-_MOST:], size[-_MOST:], floor[-_MOST:]
    order, error, residual = _fitted(h, size, floor)
    return OrderFit(order, tuple(map(float, h)), "pass", error, tuple(map(float, local)), residual)


def _ladder(
    steps: Sequence[float], sizes: Sequence[float], noise: Sequence[float]
) -> tuple[FlatArray, FlatArray, FlatArray]:
    """Return the three lists as vectors, the largest step first."""
    if not len(steps) == len(sizes) == len(noise):
        raise ValueError(
            f"expected as many sizes and noise levels as steps, but got {len(steps)} steps, {len(sizes)} sizes and "
            f"{len(noise)} noise levels."
        )
    h = np.asarray(steps, np.float64)
    if not np.all(h > 0):
        raise ValueError(f"expected positive steps, but got {list(steps)}.")
    falling = np.argsort(-h)
    return h[falling], np.asarray(sizes, np.float64)[falling], np.asarray(noise, np.float64)[falling]


def _fitted(h: FlatArray, size: FlatArray, floor: FlatArray) -> tuple[float, float, float]:
    """Return the order p of size = C h^p (1 + b h) by least squares, its error, and the largest residual, all in logs.

    The term in b is the next order, which bends the slope; three points have to do without it. The error is what the
    noise in each size makes of p, added up.
    """
    columns = [np.log(h), np.ones_like(h), h / h[0]][: 3 if len(h) > _LEAST else 2]
    design = np.stack(columns, axis=1)
    inverse = np.linalg.pinv(design)
    found = inverse @ np.log(size)
    residual = float(np.max(np.abs(design @ found - np.log(size))))
    return float(found[0]), float(np.abs(inverse[0]) @ (floor / size)), residual


def _whole(fit: OrderFit) -> OrderFit:
    """Judge whether an order is a whole number."""
    if fit.verdict != "pass":
        return fit
    nearest = max(0, round(fit.order))
    if abs(fit.order - nearest) <= _NEAR + fit.error:
        return fit
    return replace(fit, verdict="fail" if fit.residual <= _STRAIGHT else "inconclusive")


@dataclass(frozen=True)
class TaylorResult:
    """A Taylor test: what was tested against, the verdict with one sentence, and the fit along each direction."""

    target: str
    verdict: Verdict
    sentence: str
    fits: tuple[OrderFit, ...]

    @property
    def order(self) -> float:
        """The least order along any direction; NaN where none could be fitted."""
        orders = [fit.order for fit in self.fits if np.isfinite(fit.order)]
        return min(orders, default=float("nan"))


_STEPS = 2.0 ** -np.arange(2, 36)
_MOSTLY = 20  # of them: no more are needed where the function is smooth
_RIGHT, _WRONG, _BENT = 1.9, 1.5, 0.5  # orders: 2 or more is right, 1 is wrong, and what is less has met kinks
_HIGHEST = 4.5  # no remainder falls faster; it has left kinks behind
_SHOWN = 1e-3  # of a slope: an error that would have shown
_STEADY = 0.1  # of itself: what the error of a wrong slope changes by from the smallest steps to the next
_DRAWS = 6
_SEED = 1715


def taylor_test(
    function: Callable[[FlatArray], float],
    gradient: FlatArray,
    point: FlatArray,
    *,
    target: str,
    unit_roundoff: float = 2.0**-53,
    directions: int = 3,
) -> TaylorResult:
    """Test whether `gradient` is the gradient of `function` at `point`, along random directions.

    The remainder R(h) = |f(θ + h d) − f(θ) − h g·d| is taken at h = 2⁻², 2⁻³, …, until it drowns in noise; d has the
    length of θ. Noise is the spread of f under relative changes of θ by a rounding unit, and at least a unit of f
    itself. The verdict is "pass" where the order is 2 or more along every direction, or where the remainder vanishes in
    noise at steps at which that of a wrong gradient would not; "fail" where one is 1; otherwise "inconclusive".

    A network of rectifiers has kinks in every direction, so that remainders have no order until the steps are smaller
    than the way to the nearest. An error of the slope is believed only where it is the same from step to step and on
    both sides of θ.

    Args:
        function: f, of a flat vector.
        gradient: the vector that claims to be ∇f(θ).
        point: θ.
        target: what f is, for the report: "surrogate", "meta-objective", or any name.
        unit_roundoff: u of the precision that f is evaluated in.
        directions: how many to test.
    """
    rng = np.random.default_rng(_SEED)
    value = function(point)
    noise = _noise(function, value, point, unit_roundoff, rng)
    length = float(np.linalg.norm(point)) or 1.0
    lines = []
    for _ in range(directions):
        direction = _towards(rng, point, length)
        lines.append(_line(partial(_along, function, point, direction), value, float(gradient @ direction), noise))
    verdict = worst(verdict for _, verdict in lines)
    fits = tuple(fit for fit, _ in lines)
    return TaylorResult(target, verdict, _said(target, verdict, fits), fits)


def _along(function: Callable[[FlatArray], float], point: FlatArray, direction: FlatArray, h: float) -> float:
    return function(point + h * direction)


def _towards(rng: np.random.Generator, point: FlatArray, length: float) -> FlatArray:
    direction = rng.normal(size=point.shape)
    return direction * (length / float(np.linalg.norm(direction)))


def _noise(
    function: Callable[[FlatArray], float], value: float, point: FlatArray, u: float, rng: np.random.Generator
) -> float:
    moved = [function(point * (1 + 2 * u * rng.choice([-1.0, 1.0], point.shape))) for _ in range(_DRAWS)]
    return float(max(u * abs(value), *(abs(other - value) for other in moved)))


def _line(along: Callable[[float], float], value: float, slope: float, noise: float) -> tuple[OrderFit, Verdict]:
    """Return the fitted order along one direction, of slope g·d, and what it says of the gradient."""
    steps: list[float] = []
    errors: list[float] = []  # of the slope
    for h in map(float, _STEPS):
        steps.append(h)
        errors.append((along(h) - value) / h - slope)
        sizes = [h * abs(error) for h, error in zip(steps, errors, strict=True)]
        if all(size <= _ABOVE_NOISE * noise for size in sizes[-2:]):
            break
        if len(steps) >= _MOSTLY and np.ptp(errors[-_LEAST:]) <= _STEADY * abs(errors[-1]):
            break
    fit = fit_order(steps, sizes, [2 * noise] * len(steps))
    if fit.verdict == "fail":
        return fit, "fail"
    floor = _ABOVE_NOISE * 2 * noise
    # What an error of a thousandth of the slope would be at the step where the remainder is lost in noise.
    vanishes = sizes[-1] <= floor < _SHOWN * abs(slope) * steps[-1]
    if fit.verdict == "inconclusive":
        return fit, "pass" if vanishes and not fit.window else "inconclusive"
    is_power = fit.residual <= _STRAIGHT
    if is_power and fit.order > _BENT and fit.order - fit.error <= _WRONG:
        return fit, "fail" if _is_wrong(along, value, slope, fit.window, steps, errors, floor) else "inconclusive"
    if is_power and fit.order + fit.error >= _RIGHT and fit.order - fit.error <= _HIGHEST:
        return fit, "pass"
    return fit, "pass" if vanishes else "inconclusive"


def _is_wrong(
    along: Callable[[float], float],
    value: float,
    slope: float,
    window: tuple[float, ...],
    steps: Sequence[float],
    errors: Sequence[float],
    floor: float,
) -> bool:
    """Return whether a slope is off by as much on both sides of the point, down to the noise: at a kink it is not."""
    last = steps.index(window[-1])
    if last + 1 < len(steps) and window[-1] * abs(errors[last]) > 4 * floor >= 4 * steps[last + 1] * abs(
        errors[last + 1]
    ):
        return False  # half the step left a remainder far below half of it: a kink lies between the two
    behind = (value - along(-window[-1])) / window[-1] - slope
    return abs(behind - errors[last]) <= abs(errors[last])


def _said(target: str, verdict: Verdict, fits: tuple[OrderFit, ...]) -> str:
    orders = ", ".join("none above the noise" if np.isnan(fit.order) else f"{fit.order:.3f}" for fit in fits)
    says: dict[Any, str] = {
        "pass": f"it is the gradient of the {target}",
        "fail": f"it is not the gradient of the {target}, whose remainder would have order 2",
        "inconclusive": f"rounding or kinks hide whether it is the gradient of the {target}",
    }
    return f"{says[verdict]} (orders of the remainder: {orders})."
