"""Derivatives along a line by differences, with an estimate of their error that enters the verdict."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_FIRST = 2.0**-5
_LEVELS = 3

Value = NDArray[np.float64]


def derivative(function: Callable[[float], float | Value], noise: float) -> tuple[Value, float]:
    """Return d/dε function(ε) at 0 and an estimate of its error, in the 2-norm.

    Central differences with steps 2⁻⁵, 2⁻⁶ and 2⁻⁷, extrapolated over the table of Ridders (1982): column m removes the
    error term of order h^(2m), and the entry is taken whose distance to the two it was made of, plus noise / h, is
    least.

    Args:
        function: of ε; it returns a number or a vector.
        noise: how far rounding moves one value of the function.
    """
    steps = _FIRST * 0.5 ** np.arange(_LEVELS)
    column = [_central(function, float(h)) for h in steps]
    floors = [noise / float(h) for h in steps]
    best, least = column[0], float("inf")
    for m in range(1, _LEVELS):
        factor = 4.0**m
        finer = [b + (b - a) / (factor - 1) for a, b in pairwise(column)]
        floors = [(factor * b + a) / (factor - 1) for a, b in pairwise(floors)]
        for row, value in enumerate(finer):
            doubt = max(_norm(value - column[row]), _norm(value - column[row + 1])) + floors[row]
            if not doubt >= least:  # a NaN is taken, and stays to be seen
                best, least = value, doubt
        column = finer
    return best, least


def _central(function: Callable[[float], float | Value], h: float) -> Value:
    return np.asarray((np.asarray(function(h), np.float64) - function(-h)) / (2 * h))


def _norm(value: Value) -> float:
    return float(np.linalg.norm(np.ravel(value)))
