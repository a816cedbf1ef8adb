"""The second route to each answer: cost values alone, in another arithmetic, with another way to derivatives.

Nothing here knows a gradient formula or Arb. A cost is written as its definition; a gradient is a central difference
per coordinate. Of a polynomial of degree 2 that is exact, whatever the step, so that rational numbers give the answer
itself; for the others mpmath works with 480 bits and a step of 2^-120, which leaves a relative error of about 2^-240.
For MAML a product with a Hessian is a central difference of gradients, and the derivative of θ ↦ Q(φ_K(θ)) along one
random direction is taken as a difference of that function itself, which checks the chain rule.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verification.vectors.generator.balls import to_fraction
from verification.vectors.generator.extra import needed
from verification.vectors.generator.formulas import Arithmetic, Vector, cost_of
from verification.vectors.generator.layout import Json
from verification.vectors.generator.step import Answer

mpmath = needed("mpmath", "mpmath")

_BITS = 480
_STEP = -120
_AGREEMENT = Fraction(1, 2**80)
_EXACT = ("quadratic", "linear-regression", "bilinear")


class DisagreementError(AssertionError):
    """The two routes to an answer do not agree: the vector must not be frozen."""


@dataclass(frozen=True)
class Route:
    """The functions of one task on flat vectors, and the step of differences."""

    theta: Vector
    inner: Callable[[Vector], Any]
    outer: Callable[[Vector], Any]
    adapts: list[Any]
    rates: list[Any]
    step: Any

    def gradient(self, cost: Callable[[Vector], Any], at: Vector) -> Vector:
        """Return the central differences of a cost."""
        result = []
        for j, entry in enumerate(at):
            ahead, behind = at.copy(), at.copy()
            ahead[j], behind[j] = entry + self.step, entry - self.step
            result.append((cost(ahead) - cost(behind)) / (2 * self.step))
        return result

    def iterates(self, theta: Vector, steps: int) -> list[Vector]:
        """Return φ_0, …, φ_K."""
        points = [theta]
        for _ in range(steps):
            gradient = self.gradient(self.inner, points[-1])
            points.append([a - on * g for a, on, g in zip(points[-1], self.adapts, gradient, strict=True)])
        return points

    def pulled_back(self, point: Vector, gradient: Vector) -> Vector:
        """Return (I − D H)ᵀ g, with H at the point."""
        direction = [on * g for on, g in zip(self.adapts, gradient, strict=True)]
        ahead = self.gradient(self.inner, [a + self.step * d for a, d in zip(point, direction, strict=True)])
        behind = self.gradient(self.inner, [a - self.step * d for a, d in zip(point, direction, strict=True)])
        curved = [(a - b) / (2 * self.step) for a, b in zip(ahead, behind, strict=True)]
        return [g - c for g, c in zip(gradient, curved, strict=True)]


def confirm(problem: Json, right: Answer, kind: type[Route] = Route) -> str:
    """Return what confirmed the answer, by a kind of route.

    Raises:
        DisagreementError: it did not.
    """
    if _is_exact(problem):
        _compare(problem, right, Fraction(1), Arithmetic(Fraction, None, None, None), kind)
        return "exact rational arithmetic"
    with mpmath.workprec(_BITS):
        arithmetic = Arithmetic(_to_mpf, mpmath.exp, mpmath.log, mpmath.tanh)
        _compare(problem, right, mpmath.ldexp(1, _STEP), arithmetic, kind)
    return "central differences in 480-bit arithmetic (mpmath)"


def _is_exact(problem: Json) -> bool:
    gained = any(name.endswith("_gain") for name in problem["variables"])
    return not gained and problem["family"] in _EXACT


def _to_mpf(number: Any) -> Any:
    if isinstance(number, Fraction):
        return mpmath.mpf(number.numerator) / number.denominator
    return mpmath.mpf(number)


def _compare(problem: Json, right: Answer, step: Any, arithmetic: Arithmetic, kind: type[Route]) -> None:
    sizes = {name: len(leaf) for name, leaf in right.adapted[0].items()}
    costs, gradients = [], []
    for t in range(problem["num_tasks"]):
        route = _route(problem, t, step, arithmetic, kind)
        cost, gradient, adapted = _solution(problem, t, route)
        expected = [e for leaf in right.adapted[t].values() for e in leaf]
        _agree(problem, f"the adapted variables of task {t}", expected, adapted, arithmetic)
        costs.append(cost)
        gradients.append(gradient)
    count = problem["num_tasks"]
    _agree(problem, "the cost", [right.cost], [sum(costs) / count], arithmetic)
    mean = [sum(column) / count for column in zip(*gradients, strict=True)]
    start = 0
    for name, size in sizes.items():
        if name in right.gradients:
            _agree(problem, f"the gradient {name}", right.gradients[name], mean[start : start + size], arithmetic)
        start += size


def _route(problem: Json, t: int, step: Any, arithmetic: Arithmetic, kind: type[Route]) -> Route:
    number = arithmetic.number
    theta, adapts, rates = [], [], []
    for name, leaf in problem["variables"].items():
        entries = [Fraction(float.fromhex(entry)) for entry in leaf["values"]]
        if problem["batched"]:
            size = len(entries) // leaf["shape"][0]
            entries = entries[t * size : (t + 1) * size]
        rate = number(Fraction(float.fromhex(problem["rates"][name])))
        theta += [number(entry) for entry in entries]
        rates += [rate] * len(entries)
        adapts += [rate if name in problem["inner"][t] else number(0)] * len(entries)
    inner = cost_of(problem, t, "inner", arithmetic)
    outer = inner if problem["step"] == "reptile" else cost_of(problem, t, "outer", arithmetic)
    return kind(theta, inner, outer, adapts, rates, step)


def _solution(problem: Json, t: int, route: Route) -> tuple[Any, Vector, Vector]:
    points = route.iterates(route.theta, problem["steps"])
    if problem["step"] == "reptile":
        costs = [route.inner(point) for point in points]
        moved = [(a - b) / rate for a, b, rate in zip(points[0], points[-1], route.rates, strict=True)]
        return sum(costs) / len(costs), moved, points[-1]
    ks = list(range(problem["steps"] + 1)) if problem["average"] else [problem["steps"]]
    total = route.gradient(route.outer, points[-1])
    for k in reversed(range(problem["steps"])):  # Horner's rule: one product with each update's Jacobian
        if problem["step"] == "maml":
            total = route.pulled_back(points[k], total)
        if problem["average"]:
            total = [a + b for a, b in zip(total, route.gradient(route.outer, points[k]), strict=True)]
    gradient = [entry / len(ks) for entry in total]
    if problem["step"] == "maml":
        _check_direction(problem, t, route, ks, gradient)
    cost = sum(route.outer(points[k]) for k in ks) / len(ks)
    return cost, _selected(problem, t, gradient), points[-1]


def _check_direction(problem: Json, t: int, route: Route, ks: list[int], gradient: Vector) -> None:
    """Compare with the central difference of θ ↦ Q(φ_K(θ)) along a random direction."""
    rng = random.Random(f"direction/{t}")
    direction = [rng.choice((-1, 1)) for _ in route.theta]

    def objective(sign: int) -> Any:
        theta = [a + sign * route.step * d for a, d in zip(route.theta, direction, strict=True)]
        points = route.iterates(theta, problem["steps"])
        return sum(route.outer(points[k]) for k in ks) / len(ks)

    difference = (objective(1) - objective(-1)) / (2 * route.step)
    along = sum(g * d for g, d in zip(gradient, direction, strict=True))
    size = sum(abs(g) for g in gradient)
    if abs(_fraction(difference) - _fraction(along)) > _AGREEMENT * _fraction(size):
        raise DisagreementError(f"{problem['family']}: the chain rule and the difference of the meta-objective differ.")


def _selected(problem: Json, t: int, gradient: Vector) -> Vector:
    result, start = [], 0
    for name, leaf in problem["variables"].items():
        size = 1
        for length in leaf["shape"][1 if problem["batched"] else 0 :]:
            size *= length
        keep = name in problem["outer"][t]
        result += [entry if keep else entry * 0 for entry in gradient[start : start + size]]
        start += size
    return result


def _agree(problem: Json, what: str, expected: list[Any], got: Vector, arithmetic: Arithmetic) -> None:
    """Compare entry by entry: exactly within the ball for rationals, to 80 bits of the leaf's largest otherwise."""
    values = [_fraction(entry) for entry in got]
    balls = [(to_fraction(ball.mid()), to_fraction(ball.rad())) for ball in expected]
    largest = max(abs(mid) for mid, _ in balls)
    allowed = 0 if arithmetic.is_exact else _AGREEMENT * largest
    for (mid, radius), value in zip(balls, values, strict=True):
        if abs(value - mid) > radius + allowed:
            raise DisagreementError(
                f"{problem['family']}, {problem['step']}: the two routes differ in {what}: "
                f"{float(mid)!r} and {float(value)!r}. The vector is not frozen; one of the two is wrong."
            )


def _fraction(number: Any) -> Fraction:
    if isinstance(number, Fraction | int):
        return Fraction(number)
    sign, mantissa, exponent, _ = number._mpf_
    return Fraction(-1 if sign else 1) * int(mantissa) * Fraction(2) ** int(exponent)
