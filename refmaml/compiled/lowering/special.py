"""The special functions that autograd wraps, and logsumexp.

This module, and what autograd has of SciPy, take longer to import than all the rest: `traced.py` does so where a cost
needs them.
"""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from typing import Any

import autograd.scipy.special as asp
import numpy as np

from refmaml.compiled.lowering.reductions import axes_of
from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import BOOL, Value
from refmaml.compiled.recording import scipy_functions
from refmaml.compiled.recording.densities import log_ndtr, ndtr, stdtr

__all__ = ["scipy_functions"]  # its definitions are for the same costs

_UNARY = (
    "psi", "digamma", "gamma", "gammaln", "gammasgn", "rgamma", "j0", "j1", "y0", "y1", "i0", "i1", "erf", "erfc",
    "erfinv", "erfcinv", "logit", "expit",
)  # fmt: skip
_BINARY = ("beta", "betaln", "gammainc", "gammaincc", "jn", "yn", "iv", "ive")


def _simple(name: str) -> Any:
    def lowered(call: Call, *args: Any) -> Value:
        return call.b.map(name, *(call.value(arg, call.dtype) for arg in args), dtype=call.dtype)

    return lowered


for _name in (*_UNARY, *_BINARY, "betainc"):
    rule(getattr(asp, _name))(_simple("psi" if _name == "digamma" else _name))


rule(ndtr)(_simple("ndtr"))
rule(log_ndtr)(_simple("log_ndtr"))
rule(stdtr)(_simple("stdtr"))


@rule(asp.polygamma)
def polygamma(call: Call, n: Any, x: Any) -> Value:
    """ψ⁽ⁿ⁾(x) = (−1)ⁿ⁺¹ n! ζ(n + 1, x) for n ≥ 1, and ψ(x) for n = 0, as SciPy has it."""
    if isinstance(n, Value) or np.ndim(n) or int(n) != n:
        call.refuse("an integer order that is known while tracing")
    if n == 0:
        return call.b.map("psi", call.value(x, call.dtype), dtype=call.dtype)
    sign = (-1.0) ** (n + 1)
    factorial = float(np.prod(np.arange(1, n + 1, dtype=float)))
    zeta = call.b.map("zeta", call.value(n + 1, call.dtype), call.value(x, call.dtype), dtype=call.dtype)
    return call.b.map("multiply", call.value(sign * factorial, call.dtype), zeta, dtype=call.dtype)


@rule(asp.logsumexp)
def logsumexp(call: Call, x: Any, axis: Any = None, b: Any = None, keepdims: Any = False, **options: Any) -> Value:
    """Log Σ b exp(x), shifted by the maximum; a maximum that is not finite shifts nothing."""
    call.only(options, return_sign=False)
    value, dtype = call.value(x, call.dtype), call.dtype
    if b is None:
        return call.b.reshape(_log_of_sum(call, value, None, axes_of(value, axis)), call.shape)
    weights = call.value(b, dtype)
    shape = np.broadcast_shapes(value.shape, weights.shape)
    value, weights = call.b.broadcast(value, shape), call.b.broadcast(weights, shape)
    axes = axes_of(value, axis)
    # A weight of 0 leaves out what may be the maximum, or NaN; where nothing finite is left SciPy shifts nothing.
    there = call.b.map("not_equal", weights, call.value(0, dtype), dtype=BOOL)
    some = call.b.map("where", there, value, call.value(-np.inf, dtype), dtype=dtype)
    shifted = _log_of_sum(call, some, weights, axes)
    exponentials = call.b.map("multiply", weights, call.b.map("exp", value, dtype=dtype), dtype=dtype)
    plain = call.b.map("log", call.b.reduce("sum", exponentials, axes), dtype=dtype)
    finite = call.b.map("isfinite", shifted, dtype=BOOL)
    return call.b.reshape(call.b.map("where", finite, shifted, plain, dtype=dtype), call.shape)


def _log_of_sum(call: Call, value: Value, weights: Value | None, axes: tuple[int, ...]) -> Value:
    dtype = call.dtype
    kept = tuple(1 if position in axes else size for position, size in enumerate(value.shape))
    top = call.b.reshape(call.b.reduce("max", value, axes), kept)
    finite = call.b.map("isfinite", top, dtype=BOOL)
    shift = call.b.map("where", finite, top, call.value(0, dtype), dtype=dtype)
    terms = call.b.map("exp", call.b.map("subtract", value, shift, dtype=dtype), dtype=dtype)
    if weights is not None:
        terms = call.b.map("multiply", weights, terms, dtype=dtype)
    total = call.b.map("log", call.b.reduce("sum", terms, axes), dtype=dtype)
    return call.b.map("add", total, call.b.reshape(shift, total.shape), dtype=dtype)
