"""Ball arithmetic: exact numbers in, certified binary64 numbers out.

A ball is a midpoint with a radius that provably holds the true value (Johansson, "Arb: efficient arbitrary-precision
midpoint-radius interval arithmetic", IEEE Transactions on Computers 66, 2017). Rounding to the nearest double is
monotonic: where both ends of a ball round to the same double, so does every number in it, the true value included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, TypeVar

from verification.vectors.generator.extra import needed

flint = needed("flint", "python-flint")

#: A ball (`flint.arb`) or a ball's first-order Taylor polynomial (`flint.arb_series`).
Scalar = Any
Result = TypeVar("Result")

_HIGHEST, _LOWEST = 1024, -1080  # 2^1024 is beyond the largest double, 2^-1080 below half the smallest
PRECISIONS = (128, 256, 512, 1024, 2048)


class UndecidedError(ArithmeticError):
    """A ball is too wide to decide what was asked: ask again with a higher working precision."""


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Compute with so many bits inside."""
    before = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = bits, 2
    try:
        yield
    finally:
        flint.ctx.prec, flint.ctx.cap = before


def with_enough_bits(work: Callable[[], Result]) -> tuple[int, Result]:
    """Return the first precision at which `work` decides everything, and its result."""
    for bits in PRECISIONS:
        try:
            with working_precision(bits):
                return bits, work()
        except UndecidedError:  # a handful of rounds
            continue
    raise UndecidedError(f"{PRECISIONS[-1]} bits are not enough; a true value may be a tie of rounding: change inputs.")


def exact(number: float) -> Scalar:
    """Return a double as a ball of radius 0."""
    numerator, denominator = number.as_integer_ratio()
    return flint.arb((numerator, 1 - denominator.bit_length()))


def to_fraction(point: Scalar) -> Fraction:
    """Return a ball of radius 0 as a rational number."""
    mantissa, exponent = (int(part) for part in point.man_exp())
    return Fraction(mantissa) * Fraction(2) ** exponent


def rounded(ball: Scalar) -> float:
    """Return the one double that every number in the ball rounds to (to nearest, ties to even).

    Raises:
        UndecidedError: the ball holds numbers that round to different doubles.
        OverflowError: the value is beyond the largest double.
    """
    if not ball.is_finite():
        raise UndecidedError
    if ball.is_exact():
        return _nearest(ball)
    low, high = _nearest(ball.lower()), _nearest(ball.upper())
    if low != high or ball.contains(0):  # of a value that is zero exactly the ball has to have radius 0
        raise UndecidedError
    return low


def rounded_or_zero(ball: Scalar) -> float:
    """Return the double as `rounded` does, and 0 for a ball around 0 of radius below 2^-100.

    For the answers of faults alone, which need no certificate: the sum of softmax's gradients over its classes is 0,
    and no ball can prove that.
    """
    if ball.contains(0) and float(ball.rad()) < 2.0**-100:
        return 0.0
    return rounded(ball)


def _nearest(point: Scalar) -> float:
    mantissa, exponent = point.man_exp()
    top = abs(int(mantissa)).bit_length() + int(exponent)  # the number is below 2^top, and at least half of that
    if top > _HIGHEST:
        raise OverflowError("A value is beyond the largest double.")
    if top < _LOWEST:
        return 0.0
    fraction = to_fraction(point)
    return fraction.numerator / fraction.denominator  # Python divides integers with one correct rounding


def relative_radius_bits(ball: Scalar) -> int:
    """Return the largest multiple of 8, e, such that the radius is at most 2^-e times the midpoint."""
    if ball.is_exact():
        return 1 << 20
    ratio = to_fraction(ball.rad()) / abs(to_fraction(ball.mid()))
    bits = ratio.denominator.bit_length() - ratio.numerator.bit_length() - 1  # 2^-(bits) > ratio
    return bits // 8 * 8


def value(scalar: Scalar) -> Scalar:
    """Return the constant term."""
    return scalar[0] if isinstance(scalar, flint.arb_series) else scalar


def constant(scalar: Scalar) -> Scalar:
    """Return the scalar as if it did not depend on anything."""
    return flint.arb_series([scalar[0]], 2) if isinstance(scalar, flint.arb_series) else scalar


def along(point: Scalar, direction: Scalar) -> Scalar:
    """Return point + direction · t, truncated at t²."""
    return flint.arb_series([point, direction], 2)


def slope(scalar: Scalar) -> Scalar:
    """Return the coefficient of t."""
    return scalar[1] if isinstance(scalar, flint.arb_series) else flint.arb(0)


def is_positive(scalar: Scalar) -> bool:
    """Return whether the constant term is above 0; of an exact 0 it is not."""
    ball = value(scalar)
    if ball > 0:
        return True
    if ball < 0 or ball.is_zero():
        return False
    raise UndecidedError
