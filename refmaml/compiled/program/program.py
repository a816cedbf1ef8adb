"""Programs: straight lines of array operations in single-assignment form, and the builder that writes them.

There are twelve operations. ``input`` and ``const`` come from outside. ``map`` is elementwise, with NumPy's
broadcasting; ``reduce`` removes axes; ``matmul`` multiplies [B, M, K] by [B, K, N]; ``view`` reads another value at
offset + Σ iₐ·strideₐ and costs nothing; ``gather`` reads it through a table of indices, and ``scatter`` adds into
zeros, or writes over another value, through one; ``bounded`` are indices that come from data, counted from the front,
and outside of an axis nothing is computed with them; ``assemble`` lays several values side by side; ``accumulate`` is a
running sum; ``factor`` calls LAPACK. Equal operations
on equal arguments are one value (the builder looks before it makes one), so common subexpressions never arise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refmaml.compiled.program.kernels import parts_of_factors

Shape = tuple[int, ...]
DType = np.dtype[Any]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INT64, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


_COMPARED = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
_MOVED = {"cast", "copy", "where"}
#: The elementwise functions, and the reductions, that are right on integers (modulo 2⁶⁴) and on truth values.
_MAPS = {
    INT64: _COMPARED
    | _MOVED
    | {
        "add",
        "subtract",
        "multiply",
        "negative",
        "absolute",
        "maximum",
        "minimum",
        "floor_mod",
        "floor_divide",
        "sign",
    },
    BOOL: _COMPARED | _MOVED | {"logical_and", "logical_or", "logical_xor", "logical_not"},
}
_REDUCTIONS = {INT64: {"sum", "prod", "max", "min"}, BOOL: set[str]()}


class FloatsOnlyError(TypeError):
    """An operation that is compiled for floating-point numbers was asked for on others."""


def stored_dtype(dtype: DType) -> DType:
    """Return the dtype in which an input is kept: every integer is one of 64 bits."""
    return INT64 if dtype.kind in "iu" else dtype


def stored(array: NDArray[Any]) -> NDArray[Any]:
    """Return an input's array as it is kept."""
    return np.ascontiguousarray(array, stored_dtype(array.dtype))


@dataclass(frozen=True, eq=False)
class Value:
    """One value of a program. `params` say what `op` does; `backward`: it belongs to the gradient of a cost."""

    op: str
    args: tuple[Value, ...]
    params: tuple[Any, ...]
    shape: Shape
    dtype: DType
    backward: bool = False

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    def is_const(self, number: float | None = None) -> bool:
        """Tell whether this is a constant scalar, or a broadcast one, and equal to `number` where that is given."""
        scalar = self.args[0] if self.op == "view" and not any(self.params[1]) else self
        if scalar.op != "const" or scalar.size != 1:
            return False
        return number is None or bool(scalar.number() == number)

    def number(self) -> Any:
        """Return the constant that `is_const` speaks of, as a NumPy scalar."""
        scalar = self.args[0] if self.op == "view" else self
        return np.frombuffer(scalar.params[0], scalar.dtype)[0]

    def array(self) -> NDArray[Any]:
        """Return the array of a ``const``."""
        return np.frombuffer(self.params[0], self.dtype).reshape(self.shape)


def same_everywhere(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the number, as an array without axes, that an array has everywhere to the bit, or None."""
    if not array.size or array.dtype.hasobject:
        return None
    if any(array.strides[axis] for axis, size in enumerate(array.shape) if size > 1):
        # As integers, which compare to the bit and fast; those of complex numbers are in two.
        word = next(size for size in (8, 4, 2, 1) if array.itemsize % size == 0)
        bits = np.ascontiguousarray(array).reshape(-1).view(f"u{word}").reshape(array.size, -1)
        if not (bits[-1] == bits[0]).all() or not (bits == bits[0]).all():
            return None
    return np.array(array[(0,) * array.ndim])


def contiguous(shape: Shape) -> Shape:
    """Return the strides, in elements, of an array in C order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def where_read(value: Value) -> tuple[Value, int, Shape]:
    """Return (stored value, offset, strides) at which `value` is read."""
    if value.op == "view":
        return value.args[0], value.params[0], value.params[1]
    return value, 0, contiguous(value.shape)


def check_dtypes(op: str, args: Sequence[Value], params: tuple[Any, ...]) -> None:
    """Raise `FloatsOnlyError` where an operation is given integers or truth values and has no form for them."""
    operands = args[1:] if op == "map" and params[0] == "where" else args[:1] if op in ("gather", "scatter") else args
    for dtype in {operand.dtype for operand in operands} - {FLOAT32, FLOAT64}:
        if op in ("map", "reduce"):
            fits = params[0] in (_MAPS if op == "map" else _REDUCTIONS)[dtype]
        else:
            fits = op in ("view", "gather", "assemble") or (
                op in ("accumulate", "scatter", "bounded") and dtype == INT64
            )
            fits = fits or (op == "scatter" and len(args) == 3)  # nothing is added
        if not fits:
            raise FloatsOnlyError(f"it has no form for arrays of {dtype}")


def _without_elements(op: str, args: Sequence[Value], params: tuple[Any, ...], shape: Shape) -> int | None:
    """Return the number that an operation gives everywhere because it has no elements, or none to work on."""
    if op not in ("input", "const") and not prod(shape):
        return 0
    if op in ("reduce", "matmul", "gather", "scatter") and not args[0].size and len(args) < 3:
        return int(op == "reduce" and params[0] == "prod")
    return None


class Builder:
    """Writes values; `backward` marks those that belong to a gradient."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Value] = {}
        self.backward = False

    def make(self, op: str, args: Sequence[Value], params: tuple[Any, ...], shape: Shape, dtype: DType) -> Value:
        """Return the value of an operation, a new one only where there is none yet."""
        shape = tuple(int(n) for n in shape)
        key = (op, tuple(map(id, args)), params, shape, dtype.str)
        if key not in self._known:
            check_dtypes(op, args, params)
            known = _without_elements(op, args, params, shape)
            if known is not None:
                return self.const(np.full(shape, known, dtype))
            self._known[key] = Value(op, tuple(args), params, shape, dtype, self.backward)
        return self._known[key]

    def input(self, name: str, shape: Shape, dtype: DType) -> Value:
        """Return an input of the program."""
        return self.make("input", (), (name,), shape, dtype)

    def const(self, array: Any, dtype: DType | None = None) -> Value:
        """Return a constant; one that is the same number everywhere is a broadcast scalar."""
        array = np.asarray(array, dtype=dtype)
        number = same_everywhere(array)
        if number is not None:
            scalar = self.make("const", (), (number.tobytes(),), (), array.dtype)
            return self.broadcast(scalar, array.shape)
        return self.make("const", (), (array.tobytes(),), array.shape, array.dtype)

    def map(self, fn: str, *args: Value, dtype: DType) -> Value:
        """Return an elementwise function of values, with NumPy's broadcasting."""
        shape = np.broadcast_shapes(*(arg.shape for arg in args))
        return self.make("map", args, (fn,), shape, dtype)

    def cast(self, value: Value, dtype: DType) -> Value:
        """Return `value` in another dtype."""
        if value.dtype == dtype:
            return value
        if value.op == "const":
            return self.const(value.array().astype(dtype))
        if value.is_const():
            return self.broadcast(self.cast(value.args[0], dtype), value.shape)
        return self.map("cast", value, dtype=dtype)

    def reduce(self, fn: str, value: Value, axes: Sequence[int]) -> Value:
        """Return `value` without `axes`, summed ("sum") or otherwise reduced over."""
        gone = {axis % len(value.shape) for axis in axes}
        single = all(value.shape[axis] == 1 for axis in gone)
        shape = tuple(size for axis, size in enumerate(value.shape) if axis not in gone)
        if single:
            return self.reshape(value, shape)
        return self.make("reduce", (value,), (fn, tuple(sorted(gone))), shape, value.dtype)

    def view(self, value: Value, function: Callable[[NDArray[Any]], Any]) -> Value:
        """Return what `function` (indexing, transposing, reshaping, …) reads from `value`.

        The function is tried on a stand-in with the value's strides, one byte for each element, whose memory is never
        read; where it gives a copy rather than a view, on the numbers of the elements, which become a table.
        """
        root, offset, strides = where_read(value)
        memory = np.empty(max(root.size, 1), np.int8)
        stand_in = np.lib.stride_tricks.as_strided(memory[offset:] if root.size else memory, value.shape, strides)
        result = function(stand_in)
        if not result.size:
            return self.const(np.empty(result.shape, value.dtype))
        if isinstance(result, np.ndarray) and np.may_share_memory(result, memory) and value.size:
            start = result.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
            return self._view(root, start, result.strides, result.shape)
        return self.gather(value, np.asarray(function(np.arange(value.size).reshape(value.shape))))

    def _view(self, root: Value, offset: int, strides: Shape, shape: Shape) -> Value:
        strides = tuple(0 if size == 1 else stride for stride, size in zip(strides, shape, strict=True))
        if offset == 0 and shape == root.shape and _same_strides(strides, root.shape):
            return root
        return self.make("view", (root,), (offset, strides), shape, root.dtype)

    def broadcast(self, value: Value, shape: Shape) -> Value:
        """Return `value` repeated to `shape`."""
        return self.view(value, lambda a: np.broadcast_to(a, shape)) if shape != value.shape else value

    def reshape(self, value: Value, shape: Shape) -> Value:
        """Return `value` in another shape, copied first where its strides do not allow it."""
        if shape == value.shape:
            return value
        if not value.size:
            return self.const(np.empty(shape, value.dtype))
        if value.is_const():
            return self.broadcast(self.first(value), shape)
        root, offset, strides = where_read(value)
        stand_in = np.lib.stride_tricks.as_strided(np.empty(max(root.size, 1), np.int8)[offset:], value.shape, strides)
        if not np.may_share_memory(stand_in.reshape(shape), stand_in):
            value = self.copy(value)
        return self.view(value, lambda a: a.reshape(shape))

    def first(self, value: Value) -> Value:
        """Return the first element, without axes."""
        return self.view(value, lambda a: a[first_of(a)])

    def copy(self, value: Value) -> Value:
        """Return `value` in C order: itself, or a copy in a place of its own."""
        return value if in_c_order(value) else self.map("copy", value, dtype=value.dtype)

    def gather(self, value: Value, table: NDArray[Any]) -> Value:
        """Return value.flat[table]; an index of -1 stands for zero."""
        if table.size == value.size and (table.reshape(-1) == np.arange(value.size)).all():
            return self.reshape(value, table.shape)
        indices = self.make("const", (), (table.astype(np.int64).tobytes(),), table.shape, INT64)
        return self.make("gather", (self.copy(value), indices), (bool((table < 0).any()),), table.shape, value.dtype)

    def scatter(self, value: Value, table: NDArray[Any], shape: Shape) -> Value:
        """Return zeros of `shape` to whose elements `table` the elements of `value` are added."""
        flat = table.reshape(-1)
        back, order = np.full(prod(shape), -1), np.arange(flat.size)
        back[flat] = order
        if np.array_equal(back[flat], order):  # no element is written twice
            return self.gather(value, back.reshape(shape))
        indices = self.make("const", (), (table.astype(np.int64).tobytes(),), table.shape, INT64)
        return self.make("scatter", (self.copy(value), indices), (), shape, value.dtype)

    def bounded(self, value: Value, length: int) -> Value:
        """Return indices into an axis, negative ones counted from its front; others stop the step."""
        return self.make("bounded", (self.copy(value),), (length,), value.shape, INT64)

    def gathered(self, value: Value, indices: Value) -> Value:
        """Return value.flat[indices], whose indices are computed."""
        return self.make("gather", (self.copy(value), self.copy(indices)), (False,), indices.shape, value.dtype)

    def scattered(self, value: Value, indices: Value, shape: Shape) -> Value:
        """Return zeros of `shape` to which `value` is added at computed indices."""
        return self.make("scatter", (self.copy(value), self.copy(indices)), (), shape, value.dtype)

    def overwritten(self, base: Value, value: Value, indices: Value) -> Value:
        """Return `base` with `value` written at computed indices, in order."""
        args = (self.copy(value), self.copy(indices), self.copy(base))
        return self.make("scatter", args, (), base.shape, base.dtype)

    def factor(self, routine: str, a: Value, b: Value | None = None) -> tuple[Value, dict[str, tuple[int, int]]]:
        """Return [B, …] with what a routine of LAPACK makes of a [B, rows, columns], and where its parts are."""
        batch, rows, columns = a.shape
        parts = parts_of_factors(routine, rows, columns, b.shape[2] if b else 0)
        args = (a, b) if b else (a,)
        return self.make("factor", args, (routine,), (batch, parts["end"][0]), a.dtype), parts

    def assemble(self, values: Sequence[Value], places: Sequence[tuple[int, Shape]], shape: Shape) -> Value:
        """Return an array whose parts, at (offset, strides), are `values`."""
        return self.make("assemble", values, tuple(places), shape, values[0].dtype)


def first_of(array: NDArray[Any]) -> Any:
    """Return the index of the first element that leaves an array, of no axes."""
    return (*(0,) * array.ndim, ...)


def in_c_order(value: Value) -> bool:
    """Tell whether the elements of a value lie one after the other."""
    return _same_strides(where_read(value)[2], value.shape)


def _same_strides(strides: Shape, shape: Shape) -> bool:
    return all(n == 1 or a == b for a, b, n in zip(strides, contiguous(shape), shape, strict=True))


def in_order(outputs: Sequence[Value], known: Collection[int] = ()) -> list[Value]:
    """Return every value that `outputs` need, each after its arguments; what nobody needs is not among them.

    Values whose ids are `known` are among them, but not what they alone need.
    """
    visited: set[int] = set()
    order: list[Value] = []
    stack: list[tuple[Value, bool]] = [(value, False) for value in reversed(outputs)]
    while stack:
        value, arguments_done = stack.pop()
        if arguments_done:
            order.append(value)
        elif id(value) not in visited:
            visited.add(id(value))
            stack.append((value, True))
            stack.extend((arg, False) for arg in reversed(value.args) if id(value) not in known)
    return order
