"""Sums, products, extremes, means, variances and running sums."""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from autograd.numpy import linalg
from autograd.numpy import numpy_wrapper as anp

from refmaml.compiled.lowering.elementwise import truth
from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import BOOL, INT64, DType, Value


def axes_of(value: Value, axis: Any) -> tuple[int, ...]:
    """Return the axes that NumPy's `axis` argument means."""
    if axis is None:
        return tuple(range(len(value.shape)))
    return tuple(int(number) % len(value.shape) for number in (axis if isinstance(axis, tuple | list) else (axis,)))


def reduced(call: Call, fn: str, value: Value, axis: Any) -> Value:
    """Reduce over `axis`, and give the result the shape that NumPy gave it (keepdims)."""
    return call.b.reshape(call.b.reduce(fn, value, axes_of(value, axis)), call.shape)


def _plain(fn: str) -> Any:
    def lowered(
        call: Call, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
    ) -> Value:
        call.only({"out": out, **options}, out=None)
        return reduced(call, fn, call.value(x, call.dtype), axis)

    return lowered


rule(anp.sum)(_plain("sum"))
rule(anp.prod)(_plain("prod"))


def _extreme(fn: str) -> Any:
    def lowered(call: Call, x: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Value:
        call.only({"out": out, **options}, out=None)
        value = call.value(x)
        if value.dtype == BOOL:
            return call.b.cast(reduced(call, fn, call.b.cast(value, INT64), axis), BOOL)
        return reduced(call, fn, value, axis)

    return lowered


for _names, _fn in ((("max", "amax"), "max"), (("min", "amin"), "min")):
    for _name in _names:
        rule(getattr(anp, _name))(_extreme(_fn))


def _logical(fn: str) -> Any:
    def lowered(call: Call, x: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Value:
        call.only(options)
        return reduced(call, fn, call.b.cast(truth(call, x), INT64), axis)

    def as_truth(call: Call, *args: Any, **options: Any) -> Value:
        return call.b.cast(lowered(call, *args, **options), BOOL)

    return as_truth


rule(anp.all)(_logical("min"))
rule(anp.any)(_logical("max"))


def mean_of(call: Call, value: Value, axis: Any, dtype: DType) -> Value:
    """Return the mean with the reduced axes kept, at length 1."""
    axes = axes_of(value, axis)
    kept = tuple(1 if position in axes else size for position, size in enumerate(value.shape))
    count = call.value(prod(value.shape[position] for position in axes), dtype)
    total = call.b.reshape(call.b.reduce("sum", value, axes), kept)
    return call.b.map("true_divide", total, count, dtype=dtype)


@rule(anp._primitive_mean)
def mean(
    call: Call, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Value:
    """Sum, then divide."""
    call.only(options)
    return call.b.reshape(mean_of(call, call.value(x, call.dtype), axis, call.dtype), call.shape)


def _variance(call: Call, x: Any, axis: Any, ddof: int) -> Value:
    value, dtype = call.value(x, call.dtype), call.dtype
    centred = call.b.map("subtract", value, mean_of(call, value, axis, dtype), dtype=dtype)
    total = reduced(call, "sum", call.b.map("multiply", centred, centred, dtype=dtype), axis)
    count = prod(value.shape[position] for position in axes_of(value, axis)) - ddof
    return call.b.map("true_divide", total, call.value(max(count, 0), dtype), dtype=dtype)


@rule(anp._primitive_var)
def var(
    call: Call, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False,
    **options: Any,
) -> Value:  # fmt: skip
    """The mean square of the distance from the mean."""
    call.only(options)
    return _variance(call, x, axis, ddof)


@rule(anp._primitive_std)
def std(
    call: Call, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False,
    **options: Any,
) -> Value:  # fmt: skip
    """The square root of the variance."""
    call.only(options)
    return call.b.map("sqrt", _variance(call, x, axis, ddof), dtype=call.dtype)


@rule(anp.cumsum)
def cumsum(call: Call, x: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Value:
    """The running sum along one axis, or over the flattened array."""
    value = call.value(x, call.dtype)
    if axis is None:
        value, axis = call.b.reshape(value, (value.size,)), 0
    axis %= len(value.shape)
    last = call.b.copy(call.b.view(value, lambda a: np.moveaxis(a, axis, -1)))
    running = call.b.make("accumulate", (last,), (), last.shape, last.dtype)
    return call.b.view(running, lambda a: np.moveaxis(a, -1, axis))


@rule(anp.trace)
def trace(call: Call, x: Any, offset: int = 0) -> Value:
    """The sum of a diagonal."""
    value = call.b.view(call.value(x, call.dtype), lambda a: np.diagonal(a, offset))
    return call.b.reduce("sum", value, (-1,))


@rule(linalg._primitive_norm)
def norm(call: Call, x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Value:  # noqa: A002 - NumPy's
    """Vector norms of any order, and the Frobenius norm of matrices."""
    value, dtype = call.value(x, call.dtype), call.dtype
    matrix = len(axes_of(value, axis)) > 1
    if matrix and ord is not None and ord != "fro":
        call.refuse("the Frobenius norm of a matrix")
    if ord in (None, 2, "fro"):
        square = call.b.map("multiply", value, value, dtype=dtype)
        return call.b.map("sqrt", reduced(call, "sum", square, axis), dtype=dtype)
    size = call.b.map("absolute", value, dtype=dtype)
    if np.isinf(ord):
        return reduced(call, "max" if ord > 0 else "min", size, axis)
    if ord == 0:
        call.refuse("an order other than 0")
    order = call.value(float(ord), dtype)
    total = reduced(call, "sum", call.b.map("power", size, order, dtype=dtype), axis)
    return call.b.map("power", total, call.value(1.0 / ord, dtype), dtype=dtype)
