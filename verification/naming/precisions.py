"""A lower precision inside: no formula gives its answers, but the errors' size or the numbers themselves show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.judging.tolerances import norm, unit_roundoff
from verification.naming.evidence import Evidence, Observation
from verification.naming.vectors import ratio, returned, vector

SINGLE = "single precision"
#: An error of right code, in its bound: the worst answer to a problem of level quick in float32 is between 0.005 and
#: 0.042 of it, with a median between 0.011 and 0.016, for the steps of `refmaml` of each order.
_SHARE = 0.01
_SPREAD = 0.1  # of an error, beyond a constant factor; rounding errors differ from entry to entry


def precision_of(evidence: Evidence) -> str:
    """Return the precision that answers to float64 problems are right to and no further, or "" where it is none."""
    if not evidence.deciding or any(observation.dtype != "float64" for observation in evidence.deciding):
        return ""
    if _is_single_precision(evidence):
        return SINGLE
    return next((name for name, (short, dtype) in _SHORT.items() if _is_in(evidence, short, dtype)), "")


#: The unit roundoffs of precisions; NumPy has no bfloat16.
_ROUNDOFFS = {**{dtype: unit_roundoff(dtype) for dtype in ("float32", "float16")}, "bfloat16": 2.0**-8}


def is_left_by(precision: str, evidence: Evidence, observation: Observation) -> bool:
    """Return whether an answer is off by no more than what a lower precision can leave."""
    off = evidence.mismatch(observation, evidence.right(observation))
    return off <= _ROUNDOFFS[precision] / unit_roundoff(observation.dtype)


def _is_single_precision(evidence: Evidence) -> bool:
    """Tell answers to float64 problems that are right to single precision, and none of them to more than that."""
    off = [evidence.mismatch(observation, evidence.right(observation)) for observation in evidence.deciding]
    coarser = float(np.finfo(np.float32).eps / np.finfo(np.float64).eps)
    # A small mistake in the inner loop leaves answers right where there is none, or where its part of them is 0.
    if any(
        error <= 1 and np.any(vector(evidence.right(one))) for one, error in zip(evidence.deciding, off, strict=True)
    ):
        return False
    if np.median([_beyond_a_factor(evidence, observation) for observation in evidence.deciding]) < _SPREAD:
        return False
    # In bounds of float64, single precision may leave `coarser`, and mostly leaves _SHARE of that; double precision may
    # leave 1. The line between them is half way on a logarithmic scale.
    return bool(np.median(off) > np.sqrt(_SHARE * coarser) and max(off) <= coarser)


def _in_half(numbers: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return numbers.astype(np.float16).astype(np.float64)


def _in_bfloat16(numbers: NDArray[Any]) -> NDArray[Any]:
    """Cut the last 16 bits of single precision away: what is left of a number of bfloat16 is all of it."""
    single = numbers.astype(np.float32)
    cut = (single.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
    return np.where(single == numbers, cut, np.nan)


#: Precisions that leave their mark, every number being one of few, with the dtype of each; the coarsest first, since
#: most of its numbers are numbers of the finer one as well.
_SHORT: dict[str, tuple[Callable[[NDArray[Any]], NDArray[Any]], str]] = {
    "bfloat16": (_in_bfloat16, "bfloat16"),
    "half precision": (_in_half, "float16"),
}


def _is_in(evidence: Evidence, short: Callable[[NDArray[Any]], NDArray[Any]], dtype: str) -> bool:
    """Tell answers to float64 problems whose numbers are all of a short precision, and off by no more than that."""
    for observation in evidence.deciding:
        got = returned(observation)
        if got is None or not np.array_equal(short(got), got):
            return False
        if not np.any(got) and np.any(vector(evidence.right(observation))):
            return False  # zeros are numbers of every precision
        if not is_left_by(dtype, evidence, observation):
            return False
    return True


def _beyond_a_factor(evidence: Evidence, observation: Observation) -> float:
    """Return which part of an error is left where the right answer may be multiplied: rounding leaves most of it."""
    got, right = returned(observation), vector(evidence.right(observation))
    if got is None or got.shape != right.shape or not np.any(got - right):
        return 1.0
    factor = ratio(got - right, right)
    rest = got - right - (factor or 0.0) * right
    return norm(rest) / norm(got - right)
