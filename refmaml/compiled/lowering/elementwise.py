"""Elementwise functions: each is one ``map``, or a formula of them."""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from typing import Any

import autograd.numpy
import numpy as np
from autograd.numpy import numpy_wrapper as anp

from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import BOOL, FLOAT64, INT64, DType, Value
from refmaml.compiled.recording import weak
from refmaml.compiled.recording.derivatives import sech2

_FLOAT_UNARY = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sqrt", "reciprocal", "floor", "ceil", "rint", "trunc", "fabs",
)  # fmt: skip
_UNARY = ("negative", "absolute", "square", "sign")
_ARITHMETIC = (
    "add", "subtract", "multiply", "maximum", "minimum", "fmax", "fmin", "mod",
)  # fmt: skip
_FLOAT_BINARY = ("true_divide", "arctan2", "hypot", "logaddexp", "logaddexp2")
_COMPARISON = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
_LOGICAL = ("logical_and", "logical_or", "logical_xor")
#: Powers of integers below this one are written out as products.
_LARGEST_POWER = 64
_TESTS = ("isnan", "isinf", "isfinite")


# What a function is on truth values, and on integers; "copy" leaves them as they are.
_OF_TRUTHS = {
    "add": "logical_or", "multiply": "logical_and", "maximum": "logical_or", "minimum": "logical_and",
    "fmax": "logical_or", "fmin": "logical_and", "absolute": "copy", "floor": "copy", "ceil": "copy", "trunc": "copy",
}  # fmt: skip
_OF_INTEGERS = {
    "fmax": "maximum", "fmin": "minimum", "square": "multiply", "floor": "copy", "ceil": "copy", "trunc": "copy",
    "mod": "floor_mod",
}  # fmt: skip
#: Whether this NumPy takes a power of ½ for a square root, which is NaN at −∞.
with np.errstate(invalid="ignore"):
    _POWER_IS_ROOT = bool(np.isnan(np.power(np.array([-np.inf]), 0.5)[0]))


def _simple(name: str) -> Any:
    def lowered(call: Call, *args: Any, **options: Any) -> Value:
        call.only(options)
        dtype = call.dtype
        values = [call.value(arg, dtype) for arg in args]
        if dtype.kind == "f":
            return call.b.map(name, *values, dtype=dtype)
        fn = (_OF_TRUTHS if dtype == BOOL else _OF_INTEGERS).get(name, name)
        values = values * 2 if name == "square" else values
        return values[0] if fn == "copy" else call.b.map(fn, *values, dtype=dtype)

    return lowered


for _name in (*_FLOAT_UNARY, *_UNARY, *_ARITHMETIC, *_FLOAT_BINARY):
    rule(getattr(anp, _name))(_simple(_name))
rule(sech2)(_simple("sech2"))
rule(anp.abs)(_simple("absolute"))
rule(anp.divide)(_simple("true_divide"))
rule(anp.remainder)(_simple("mod"))
for _own, _name in (
    (weak.add, "add"), (weak.subtract, "subtract"), (weak.multiply, "multiply"), (weak.divide, "true_divide"),
    (weak.remainder, "mod"), (weak.negative, "negative"), (weak.absolute, "absolute"),
):  # fmt: skip
    rule(_own)(_simple(_name))


@rule(anp.floor_divide)
def floor_divide(call: Call, x: Any, y: Any, **options: Any) -> Value:
    """The quotient of integers rounded down, and 0 for a division by 0."""
    call.only(options)
    if call.dtype != INT64:
        call.refuse("integers (write np.floor(x / y) for floating-point numbers)")
    return call.b.map("floor_divide", call.value(x, INT64), call.value(y, INT64), dtype=INT64)


@rule(anp.power, weak.power)
def power(call: Call, x: Any, y: Any, **options: Any) -> Value:
    """X to the power y; of integers, to a power that is known while tracing and not negative."""
    call.only(options)
    dtype, number = call.dtype, None if isinstance(y, Value) or np.ndim(y) else y
    if dtype == INT64 and number is not None and 0 <= number < _LARGEST_POWER:
        result, base = call.b.broadcast(call.value(1, dtype), call.shape), call.value(x, dtype)
        for _ in range(int(number)):
            result = call.b.map("multiply", result, base, dtype=dtype)
        return result
    if number == 0.5 and _POWER_IS_ROOT:
        return call.b.map("sqrt", call.value(x, dtype), dtype=dtype)
    return call.b.map("power", call.value(x, dtype), call.value(y, dtype), dtype=dtype)


def common_dtype(call: Call, *args: Any) -> DType:
    """Return the dtype in which NumPy compares arguments; numbers of Python are weak."""
    known = [
        (0.0 if number else arg.dtype) if isinstance(arg, Value) else arg
        for arg, number in zip(args, call.weak, strict=False)
    ]
    dtype = np.result_type(*known)
    return FLOAT64 if dtype.kind == "f" and dtype.itemsize > 8 else dtype


def _comparison(name: str) -> Any:
    def lowered(call: Call, x: Any, y: Any, **options: Any) -> Value:
        call.only(options)
        if x is None or y is None:  # no number is: in autograd, the derivative of a clip without a bound asks
            return call.b.broadcast(call.value(name == "not_equal"), call.shape)
        dtype = common_dtype(call, x, y)
        return call.b.map(name, call.value(x, dtype), call.value(y, dtype), dtype=BOOL)

    return lowered


for _name in _COMPARISON:
    rule(getattr(anp, _name))(_comparison(_name))


def truth(call: Call, arg: Any) -> Value:
    """Return arg ≠ 0; NaN is true."""
    value = call.value(arg)
    if value.dtype == BOOL:
        return value
    return call.b.map("not_equal", value, call.value(0, value.dtype), dtype=BOOL)


def _logical(name: str) -> Any:
    def lowered(call: Call, *args: Any, **options: Any) -> Value:
        call.only(options)
        return call.b.map(name, *(truth(call, arg) for arg in args), dtype=BOOL)

    return lowered


for _name in (*_LOGICAL, "logical_not"):
    rule(getattr(anp, _name))(_logical(_name))


def _bitwise(name: str) -> Any:
    def lowered(call: Call, *args: Any, **options: Any) -> Value:
        call.only(options)
        if call.dtype != BOOL:
            call.refuse("truth values, not integers")
        return call.b.map(name, *(truth(call, arg) for arg in args), dtype=BOOL)

    return lowered


for _own, _name in (
    (anp.bitwise_and, "logical_and"), (anp.bitwise_or, "logical_or"), (anp.bitwise_xor, "logical_xor"),
    (anp.invert, "logical_not"),
):  # fmt: skip
    rule(_own)(_bitwise(_name))


def _test(name: str) -> Any:
    def lowered(call: Call, x: Any, **options: Any) -> Value:
        call.only(options)
        value = call.value(x)
        value = value if value.dtype.kind == "f" else call.b.cast(value, FLOAT64)
        return call.b.map(name, value, dtype=BOOL)

    return lowered


for _name in _TESTS:
    rule(getattr(anp, _name))(_test(_name))


@rule(autograd.numpy._original_where if hasattr(autograd.numpy, "_original_where") else anp.where)
def where(call: Call, condition: Any, x: Any, y: Any) -> Value:
    """Choose x where the condition holds and y elsewhere."""
    parts = (truth(call, condition), call.value(x, call.dtype), call.value(y, call.dtype))
    return call.b.broadcast(call.b.map("where", *parts, dtype=call.dtype), call.shape)


@rule(anp.clip)
def clip(call: Call, x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Value:
    """minimum(maximum(x, a_min), a_max), as NumPy defines it, NaN included."""
    call.only(options, out=None)
    result = call.value(x, call.dtype)
    if a_min is not None:
        result = call.b.map("maximum", result, call.value(a_min, call.dtype), dtype=call.dtype)
    if a_max is not None:
        result = call.b.map("minimum", result, call.value(a_max, call.dtype), dtype=call.dtype)
    return result


@rule(anp.nan_to_num)
def nan_to_num(call: Call, x: Any, **options: Any) -> Value:
    """0 for NaN and the largest finite numbers for infinity."""
    call.only(options, copy=True)
    if call.dtype.kind != "f":
        return call.value(x, call.dtype)
    limits = np.finfo(call.dtype)
    value, dtype = call.value(x, call.dtype), call.dtype
    inside = call.b.map("maximum", value, call.value(limits.min, dtype), dtype=dtype)
    inside = call.b.map("minimum", inside, call.value(limits.max, dtype), dtype=dtype)
    nan = call.b.map("isnan", value, dtype=BOOL)
    return call.b.map("where", nan, call.value(0, dtype), inside, dtype=dtype)


@rule(anp.rad2deg, anp.degrees)
def degrees(call: Call, x: Any) -> Value:
    """X · (180/π), one rounding for the constant as in NumPy."""
    return call.b.map("multiply", call.value(x, call.dtype), call.value(180.0 / np.pi, call.dtype), dtype=call.dtype)


@rule(anp.deg2rad, anp.radians)
def radians(call: Call, x: Any) -> Value:
    """X · (π/180)."""
    return call.b.map("multiply", call.value(x, call.dtype), call.value(np.pi / 180.0, call.dtype), dtype=call.dtype)


@rule(anp.sinc)
def sinc(call: Call, x: Any) -> Value:
    """sin(πx)/(πx), and 1 at 0: NumPy puts a tiny number in the place of 0."""
    dtype, value = call.dtype, call.value(x, call.dtype)
    tiny = call.value(np.finfo(dtype).eps if dtype != FLOAT64 else 1e-20, dtype)
    zero = call.b.map("equal", value, call.value(0, dtype), dtype=BOOL)
    angle = call.b.map("where", zero, tiny, value, dtype=dtype)
    angle = call.b.map("multiply", call.value(np.pi, dtype), angle, dtype=dtype)
    return call.b.map("true_divide", call.b.map("sin", angle, dtype=dtype), angle, dtype=dtype)


@rule(anp._astype)
def astype(call: Call, x: Any, *args: Any, **options: Any) -> Value:
    """Convert to another dtype."""
    return call.value(x, call.dtype)


@rule(anp.conj, anp.conjugate, anp.real, anp.real_if_close, anp._array_from_scalar_or_array, anp.copy, anp.asarray,
      anp.array, anp.ascontiguousarray, anp.atleast_1d, anp.atleast_2d, anp.atleast_3d)  # fmt: skip
def same(call: Call, *args: Any, **options: Any) -> Value:
    """Return a real array as it is; the atleast family adds axes of length 1."""
    values = args if len(args) == 1 else [arg for arg in args if isinstance(arg, Value)]
    if len(values) != 1:
        call.refuse("one array")
    return call.b.reshape(call.value(values[0], call.dtype), call.shape)


@rule(anp.zeros_like)
def zeros(call: Call, *_: Any, **__: Any) -> Value:
    """Return zeros."""
    return call.b.broadcast(call.value(0, call.dtype), call.shape)


@rule(anp.ones_like)
def ones(call: Call, *_: Any, **__: Any) -> Value:
    """Return ones."""
    return call.b.broadcast(call.value(1, call.dtype), call.shape)


@rule(anp.full_like)
def filled(call: Call, _: Any, fill_value: Any, *__: Any, **___: Any) -> Value:
    """Return an array of one number, or of what fits into its shape."""
    return call.b.broadcast(call.value(fill_value, call.dtype), call.shape)
