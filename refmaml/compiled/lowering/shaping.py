"""Primitives that move data without computing: views where strides allow it, tables of indices where not."""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from autograd.builtins import container_take, container_untake, make_sequence
from autograd.numpy import numpy_wrapper as anp

from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import BOOL, Value, contiguous

_VIEWS = (
    "transpose", "swapaxes", "moveaxis", "rollaxis", "expand_dims", "squeeze", "flipud", "fliplr", "rot90", "roll",
    "repeat", "tile", "diagonal", "flip", "broadcast_to",
)  # fmt: skip


def _view(raw: Any) -> Any:
    def lowered(call: Call, x: Any, *args: Any, **options: Any) -> Value:
        return call.b.view(call.value(x), lambda a: raw(a, *args, **options))

    return lowered


for _name in _VIEWS:
    rule(getattr(anp, _name))(_view(getattr(np, _name)))


@rule(anp.reshape)
def reshape(call: Call, x: Any, shape: Any = None, order: Any = None, **options: Any) -> Value:
    """Read the entries in C or Fortran order, and write them in the same."""
    return _in_order(call, x, order)


@rule(anp.ravel)
def ravel(call: Call, x: Any, order: Any = None) -> Value:
    """Read the entries in C or Fortran order."""
    return _in_order(call, x, order)


def _in_order(call: Call, x: Any, order: Any) -> Value:
    """Return x in the shape of the call; Fortran's order is that of the transposed array."""
    value = call.value(x)
    if order in (None, "C"):
        return call.b.reshape(value, call.shape)
    if order != "F":
        call.refuse("order='C' or order='F': the others depend on how an array lies in memory")
    return call.b.view(call.b.reshape(call.b.view(value, np.transpose), call.shape[::-1]), np.transpose)


@rule(anp.diag)
def diag(call: Call, x: Any, k: int = 0) -> Value:
    """Return the diagonal of a matrix, or a vector laid on a diagonal of zeros."""
    value = call.value(x)
    if len(value.shape) == 2:
        return call.b.view(value, lambda a: np.diagonal(a, k))
    table = np.diag(np.arange(1, value.size + 1), k) - 1
    return call.b.gather(value, table)


@rule(anp.make_diagonal)
def make_diagonal(call: Call, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """Return zeros with the last axis of x on the diagonal of the last two: autograd's inverse of diagonal."""
    if (offset, axis1, axis2) != (0, -1, -2):
        call.refuse("offset=0, axis1=-1 and axis2=-2, as autograd does")
    value = call.value(x, call.dtype)
    numbers = np.arange(value.size).reshape(value.shape)
    table = np.where(np.eye(value.shape[-1], dtype=bool), numbers[..., None], -1)
    return call.b.gather(value, table)


def _triangle(raw: Any) -> Any:
    def lowered(call: Call, x: Any, k: int = 0) -> Value:
        mask = call.value(np.broadcast_to(raw(np.ones(call.shape[-2:], bool), k), call.shape))
        zero = call.value(0, call.dtype)
        return call.b.map("where", mask, call.value(x), call.b.broadcast(zero, call.shape), dtype=call.dtype)

    return lowered


rule(anp.triu)(_triangle(np.triu))
rule(anp.tril)(_triangle(np.tril))


@rule(anp.concatenate_args)
def concatenate(call: Call, axis: int, *args: Any) -> Value:
    """Lay arrays side by side."""
    values = [call.value(arg, call.dtype) for arg in args]
    strides = contiguous(call.shape)
    axis %= len(call.shape)
    starts = np.cumsum([0, *(value.shape[axis] for value in values)])
    kept = [(value, (int(start) * strides[axis], strides)) for value, start in zip(values, starts, strict=False)]
    kept = [(value, place) for value, place in kept if value.size]
    if not kept:
        return call.b.const(np.empty(call.shape, call.dtype))
    if len(kept) == 1:
        return kept[0][0]
    return call.b.assemble([value for value, _ in kept], [place for _, place in kept], call.shape)


@rule(anp.array_from_args)
def array(call: Call, array_args: Any, array_kwargs: Any, *args: Any) -> Value:
    """np.array of a list of boxes: stack along a new leading axis, after as many as `ndmin` asks for."""
    values = [call.value(arg, call.dtype) for arg in args]
    shape = (len(values), *values[0].shape)
    strides = contiguous(shape)
    places = [(position * strides[0], strides[1:]) for position in range(len(values))]
    return call.b.reshape(call.b.assemble(values, places, shape), call.shape)


@rule(anp.pad)
def pad(call: Call, x: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Value:
    """Pad with a constant."""
    if mode != "constant":
        call.refuse("mode='constant'")
    value = call.value(x, call.dtype)
    numbers = np.arange(value.size).reshape(value.shape)
    table = np.pad(numbers, pad_width, constant_values=-1)
    padded = call.b.gather(value, table)
    if not np.any(options.get("constant_values", 0)):
        return padded
    around = np.pad(np.zeros(value.shape), pad_width, **options)
    inside = call.b.const(table >= 0)
    return call.b.map("where", inside, padded, call.value(around, call.dtype), dtype=call.dtype)


def _split(raw: Any) -> Any:
    def lowered(call: Call, x: Any, *args: Any, **options: Any) -> list[Value]:
        value = call.value(x)
        count = len(raw(np.empty(value.shape, np.int8), *args, **options))

        def part(array: Any, number: int) -> Any:
            return raw(array, *args, **options)[number]

        return [call.b.view(value, partial(part, number=number)) for number in range(count)]

    return lowered


for _name in ("split", "array_split", "vsplit", "hsplit", "dsplit"):
    rule(getattr(anp, _name))(_split(getattr(np, _name)))


@rule(container_take)
def take_item(call: Call, sequence: Any, index: int) -> Any:
    """Return one array of a sequence of them."""
    return sequence[index]


@rule(container_untake)
def place_item(call: Call, x: Any, index: int, space: Any) -> list[Value]:
    """Return a sequence of zeros with one array put in: the gradient of taking it out."""
    zeros = [call.b.const(cotangent.zeros()) for cotangent in space.shape]
    zeros[index] = call.value(x)
    return zeros


@rule(make_sequence)
def sequence(call: Call, kind: Any, *args: Any) -> list[Value]:
    """Return a sequence of arrays."""
    return [call.value(arg) for arg in args]


@rule(anp.full)
def full(call: Call, shape: Any, fill_value: Any, dtype: Any = None) -> Value:
    """Repeat a number."""
    return call.b.broadcast(call.value(fill_value, call.dtype), call.shape)


@rule(anp.diff)
def diff(call: Call, x: Any, n: int = 1, axis: int = -1) -> Value:
    """Differences of neighbours, n times."""
    value = call.value(x)
    if value.dtype == BOOL:
        call.refuse("an array of numbers")
    axis %= len(value.shape)
    for _ in range(n):
        later = call.b.view(value, lambda a: a[(slice(None),) * axis + (slice(1, None),)])
        earlier = call.b.view(value, lambda a: a[(slice(None),) * axis + (slice(None, -1),)])
        value = call.b.map("subtract", later, earlier, dtype=call.dtype)
    return value
