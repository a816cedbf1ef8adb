"""Passes over a program: narrower gradients, constants, and algebra that keeps NaN, infinity and the rounding.

Common subexpressions never arise (the builder looks them up), and dead values are never emitted (`in_order` starts
from the outputs). What is left are rewrites, each on one value whose arguments have been rewritten before it.
"""

# ruff: noqa: ARG001 - the rewrites of one table have one signature
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refmaml.compiled.program.program import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT64,
    Builder,
    DType,
    Shape,
    Value,
    contiguous,
    in_order,
    where_read,
)

Rewrite = Callable[[Builder, Value, tuple[Value, ...]], Value]
_FOLDED = {
    "add", "subtract", "multiply", "true_divide", "power", "negative", "equal", "not_equal", "where", "sqrt", "exp",
    "log", "maximum", "minimum", "reciprocal", "logical_and", "logical_or", "logical_not", "absolute",
}  # fmt: skip


#: What reads its arguments element by element, as they lie in memory.
_IN_ORDER = ("gather", "scatter", "bounded", "accumulate")


def simplify(builder: Builder, outputs: dict[str, Value]) -> dict[str, Value]:
    """Return equivalent outputs that cost less."""
    outputs = rebuilt(builder, outputs, simpler)
    inputs = {value.dtype for value in in_order(list(outputs.values())) if value.op == "input"}
    return rebuilt(builder, rebuilt(builder, outputs, narrow), simpler) if FLOAT32 in inputs else outputs


def rebuilt(builder: Builder, outputs: dict[str, Value], rewrite: Rewrite) -> dict[str, Value]:
    """Apply a rewrite to every value, arguments first."""
    new: dict[int, Value] = {}
    for value in in_order(list(outputs.values())):
        builder.backward = value.backward
        new[id(value)] = rewrite(builder, value, tuple(new[id(arg)] for arg in value.args))
    return {name: builder.cast(new[id(value)], value.dtype) for name, value in outputs.items()}


def remade(builder: Builder, value: Value, args: tuple[Value, ...], dtype: DType | None = None) -> Value:
    """Return the same operation on other arguments."""
    if value.op == "view":
        return _reread(builder, value, args[0])
    if value.op == "map":
        return builder.broadcast(builder.map(value.params[0], *args, dtype=dtype or value.dtype), value.shape)
    stored = tuple(builder.copy(arg) for arg in args) if value.op in _IN_ORDER else args
    return builder.make(value.op, stored, value.params, value.shape, dtype or value.dtype)


def _reread(builder: Builder, view: Value, source: Value) -> Value:
    """Read `source` where `view` read its own."""
    if source is view.args[0]:
        return view
    if source.is_const():
        return builder.broadcast(builder.first(source), view.shape)
    found = composed(source, view)
    if found is None:
        root, offset, _ = where_read(builder.copy(source))
        found = (offset + view.params[0], view.params[1])
    else:
        root = where_read(source)[0]
    return builder._view(root, *found, view.shape)


def composed(source: Value, view: Value) -> tuple[int, Shape] | None:
    """Return (offset, strides) at which `view`, of an array in C order, reads `source`, which may lie otherwise.

    Every axis of the view has to run along one axis of the source, inside its bounds; else None.
    """
    _, offset, strides = where_read(source)
    flat = contiguous(source.shape)
    start, rest = [], view.params[0]
    for size in flat:
        start.append(rest // size)
        rest %= size
    low, high, new = list(start), list(start), list[int]()
    for stride, count in zip(view.params[1], view.shape, strict=True):
        if count == 1 or stride == 0:
            new.append(0)
            continue
        for axis, size in enumerate(flat):
            reach = stride // size * (count - 1)
            inside = low[axis] + min(reach, 0) >= 0 and high[axis] + max(reach, 0) < source.shape[axis]
            if stride % size == 0 and inside:
                break
        else:
            return None
        low[axis] += min(reach, 0)
        high[axis] += max(reach, 0)
        new.append(stride // size * strides[axis])
    return offset + sum(i * stride for i, stride in zip(start, strides, strict=True)), tuple(new)


def narrow(builder: Builder, value: Value, args: tuple[Value, ...]) -> Value:
    """Compute the gradient of float32 values in float32.

    autograd's own constants and masks (a mean's count, the zeros of `where`, the halves of `maximum`) turn gradients
    of float32 values into float64 until the next matrix product. A value of a gradient that no float64 array enters
    goes back to float32; what the cost function itself computes in float64 stays.
    """
    if not value.backward or not any(arg.dtype == FLOAT64 for arg in (value, *args)) or value.op == "const":
        return remade(builder, value, args)
    wide = any(arg.dtype == FLOAT64 and not _constant(arg) for arg in args) or value.op in ("input", "view")
    if value.op == "map" and value.dtype == BOOL and not wide:
        return remade(builder, value, tuple(builder.cast(arg, FLOAT32) for arg in args))
    if wide or value.dtype != FLOAT64:
        return remade(builder, value, _matching(builder, value, args))
    if value.op == "map" and value.params == ("cast",) and args[0].dtype != INT64:
        return builder.cast(args[0], FLOAT32)
    if not (any(arg.dtype == FLOAT32 for arg in args if not _constant(arg)) or _exact(value)):
        return remade(builder, value, _matching(builder, value, args))
    return remade(builder, value, _operands(builder, value, args, FLOAT32), FLOAT32)


def _constant(value: Value) -> bool:
    return value.op == "const" or value.is_const()


def _exact(value: Value) -> bool:
    """Tell whether a choice between constants loses nothing in float32."""
    if value.op != "map" or value.params != ("where",):
        return False
    return all(_constant(arg) and float(arg.number()) == float(np.float32(arg.number())) for arg in value.args[1:])


def _matching(builder: Builder, value: Value, args: tuple[Value, ...]) -> tuple[Value, ...]:
    """Undo the narrowing of arguments that meet a wide one."""
    if value.op in ("view", "input") or value.params == ("cast",):
        return args
    if value.op == "map" and value.dtype == BOOL:
        return tuple(builder.cast(arg, FLOAT64) if arg.dtype == FLOAT32 else arg for arg in args)
    return _operands(builder, value, args, value.dtype)


def _operands(builder: Builder, value: Value, args: tuple[Value, ...], dtype: DType) -> tuple[Value, ...]:
    """Convert the arguments that are computed with, not conditions or indices, to `dtype`."""
    kept = (0,) if value.params == ("where",) else (1,) if value.op in ("gather", "scatter") else ()
    return tuple(arg if place in kept else builder.cast(arg, dtype) for place, arg in enumerate(args))


def simpler(builder: Builder, value: Value, args: tuple[Value, ...]) -> Value:
    """Fold constants and apply the algebra of `_RULES`."""
    if value.op != "map":
        return remade(builder, value, args)
    fn = value.params[0]
    if fn in _FOLDED and all(arg.is_const() for arg in args):
        with np.errstate(all="ignore"):
            result = getattr(np, fn)(*(arg.number() for arg in args))
        return builder.broadcast(builder.const(result, value.dtype), value.shape)
    rule = _RULES.get(fn)
    found = rule(builder, value, *args) if rule else None
    return builder.broadcast(found, value.shape) if found is not None else remade(builder, value, args)


def _multiply(builder: Builder, value: Value, x: Value, y: Value) -> Value | None:
    if x.is_const(1):
        return y
    return x if y.is_const(1) else None


def _add(builder: Builder, value: Value, x: Value, y: Value) -> Value | None:
    if x.is_const(0):
        return y
    return x if y.is_const(0) else None


def _subtract(builder: Builder, value: Value, x: Value, y: Value) -> Value | None:
    return x if y.is_const(0) else None


def _divide(builder: Builder, value: Value, x: Value, y: Value) -> Value | None:
    if y.is_const(1):
        return x
    return _share_of_a_tie(builder, value, x, y)


def _share_of_a_tie(builder: Builder, value: Value, x: Value, y: Value) -> Value | None:
    """Autograd's (x == ans)/(1 + (x == y)) is 1, ½ or 0: choose instead of dividing."""
    if not (_is(x, "cast") and x.args[0].dtype == BOOL and _is(y, "add") and y.args[0].is_const(1)):
        return None
    tie = y.args[1]
    if not (_is(tie, "cast") and tie.args[0].dtype == BOOL):
        return None
    one, half, zero = (builder.const(number, value.dtype) for number in (1.0, 0.5, 0.0))
    share = builder.map("where", tie.args[0], half, one, dtype=value.dtype)
    return builder.map("where", x.args[0], share, zero, dtype=value.dtype)


def _power(builder: Builder, value: Value, x: Value, y: Value) -> Value | None:
    if not y.is_const() or value.dtype not in (FLOAT32, FLOAT64):
        return None
    exponent, dtype = float(y.number()), value.dtype
    if exponent == 0:
        return builder.const(1, dtype)  # of NaN too, as C has it
    if exponent == 1:
        return x
    if exponent == 2:
        return builder.map("multiply", x, x, dtype=dtype)
    if exponent == 3:
        return builder.map("multiply", builder.map("multiply", x, x, dtype=dtype), x, dtype=dtype)
    return builder.map("reciprocal", x, dtype=dtype) if exponent == -1 else None


def _square(builder: Builder, value: Value, x: Value) -> Value:
    return builder.map("multiply", x, x, dtype=value.dtype)


def _negative(builder: Builder, value: Value, x: Value) -> Value | None:
    return x.args[0] if _is(x, "negative") else None


def _cast(builder: Builder, value: Value, x: Value) -> Value | None:
    if _is(x, "cast") and x.args[0].dtype == value.dtype == FLOAT32 and x.dtype == FLOAT64:
        return x.args[0]
    return x if x.dtype == value.dtype else None


def _is(value: Value, fn: str) -> bool:
    return value.op == "map" and value.params[0] == fn


_RULES: dict[str, Callable[..., Value | None]] = {
    "multiply": _multiply, "add": _add, "subtract": _subtract, "true_divide": _divide, "power": _power,
    "square": _square, "negative": _negative, "cast": _cast,
}  # fmt: skip
