"""Derivatives along a line by differences, with an estimate of their error that enters the verdict."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: The first steps of the tables: smaller ones where larger ones meet kinks (ReLU, max pooling).
_FIRST = tuple(2.0**-k for k in (5, 11, 17, 23, 27))
_LEVELS = 3
_NEAR = 2.0**-26  # a step that lies between kinks, if any does
_CAUTION = 4.0  # an error estimate of differences is one of its size, and no bound
_SURE = 1e-4  # of the derivative: a doubt that no smaller steps are needed for

Value = NDArray[np.float64]


def derivative(function: Callable[[float], float | Value], noise: float) -> tuple[Value, float]:
    """Return d/dε function(ε) at 0 and an estimate of its error, in the 2-norm.

    Central differences with steps h, h/2 and h/4, extrapolated over the table of Ridders (1982): column m removes the
    error term of order h^(2m), and the entry is taken whose distance to the two it was made of, plus noise / h, is
    least. Many kinks together look smooth, with another slope than between them: where one difference with a step of
    2⁻²⁶ does not confirm the derivative, or its error is no small part of it, h is made smaller.

    Args:
        function: of ε; it returns a number or a vector.
        noise: how far rounding moves one value of the function.
    """
    best, least = _extrapolated(function, noise, _FIRST[0])
    near, floor = _central(function, _NEAR), 2 * noise / _NEAR
    for first in _FIRST[1:]:
        is_confirmed = _norm(best - near) <= _CAUTION * least + floor
        if is_confirmed and least <= _SURE * _norm(best):
            break
        value, doubt = _extrapolated(function, noise, first)
        if doubt < least or not is_confirmed:
            best, least = value, doubt
    return best, least


def _extrapolated(function: Callable[[float], float | Value], noise: float, first: float) -> tuple[Value, float]:
    steps = first * 0.5 ** np.arange(_LEVELS)
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
