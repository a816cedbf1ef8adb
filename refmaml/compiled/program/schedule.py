"""From a program to statements: elementwise work fused into loops, and every stored value given its place.

A loop runs over one shape and computes any number of maps over it, and sums of them; a map joins the first loop after
its arguments that has its shape. Everything else is a statement of its own. A value that only its own loop reads is
never stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refmaml.compiled.program.kernels import multiply_form
from refmaml.compiled.program.orientation import oriented
from refmaml.compiled.program.program import BOOL, Builder, DType, Shape, Value, contiguous, in_order, where_read
from refmaml.compiled.program.simplify import rebuilt, remade

#: Sums of at least this many neighbours are computed by the `RowSum` kernel; a loop that also sums is no vector code.
_LONG_ROW = 4
#: Matrices of at least so many rows and columns are transposed by the `Turn` kernel.
_WIDE = 4
#: Elements to which places are aligned: a cache line of float32.
_ALIGNMENT = 16


@dataclass
class Statement:
    """A loop over `shape` when `fused`; else one value (a product, a gather, …). `late`: only a cost needs it."""

    shape: Shape
    values: list[Value]
    fused: bool
    late: bool = False


@dataclass
class Workspace:
    """Places for values, in one array for each dtype: (dtype, first element)."""

    sizes: dict[DType, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    constants: list[tuple[Value, int]] = field(default_factory=list)
    _free: dict[DType, list[tuple[int, int]]] = field(default_factory=dict)

    def reserve(self, dtype: DType, size: int) -> int:
        """Return the first element of a new place at the end."""
        start = self.sizes.get(dtype, 0)
        self.sizes[dtype] = start + _rounded(size)
        return start

    def take(self, value: Value) -> None:
        """Give a value a place, a freed one of its size where there is one."""
        size, free = _rounded(value.size), self._free.setdefault(value.dtype, [])
        for index, (start, room) in enumerate(free):
            if room == size:
                del free[index]
                self.places[id(value)] = start
                return
        self.places[id(value)] = self.reserve(value.dtype, size)

    def give_back(self, value: Value) -> None:
        """Free a value's place."""
        self._free[value.dtype].append((self.places[id(value)], _rounded(value.size)))

    def constant(self, value: Value) -> None:
        """Keep a constant, which is filled in once, when the workspace is made."""
        if id(value) not in self.places:
            self.places[id(value)] = self.reserve(value.dtype, value.size)
            self.constants.append((value, self.places[id(value)]))


def _rounded(size: int) -> int:
    return -(-max(size, 1) // _ALIGNMENT) * _ALIGNMENT


def squeezed(shape: Shape) -> Shape:
    """Return a shape without its axes of length 1."""
    return tuple(size for size in shape if size != 1)


def ready(builder: Builder, outputs: dict[str, Value]) -> dict[str, Value]:
    """Return outputs whose matrix products and long sums read what the kernels can read."""
    return rebuilt(builder, oriented(builder, outputs), _ready)


def _ready(builder: Builder, value: Value, args: tuple[Value, ...]) -> Value:
    if value.op == "matmul":
        return _ready_product(builder, value, *args)
    if is_long_sum(value):
        return remade(builder, value, (builder.copy(args[0]),))
    return remade(builder, value, args)


def _ready_product(builder: Builder, value: Value, a: Value, b: Value) -> Value:
    if value.shape[2] == 1 and value.shape[1] > 1 and _strides(a)[1] == 1:
        turned = [builder.view(operand, lambda v: v.transpose(0, 2, 1)) for operand in (b, a)]
        shape = (value.shape[0], 1, value.shape[1])
        product = builder.make("matmul", turned, (), shape, value.dtype)
        return builder.reshape(product, value.shape)
    _, rows, columns = value.shape
    if multiply_form(_strides(a)[1:], _strides(b)[1:], rows, columns, a.shape[2]) is None:
        b = builder.copy(b)
    return remade(builder, value, (a, b))


def _strides(value: Value) -> Any:
    strides = where_read(value)[2]
    return tuple(stride or 1 if size == 1 else stride for stride, size in zip(strides, value.shape, strict=True))


def is_long_sum(value: Value) -> bool:
    """Tell whether a value is a sum over so many trailing elements that it takes a kernel."""
    if value.op != "reduce" or value.params[0] != "sum" or value.dtype.kind != "f":
        return False
    axes, shape = value.params[1], value.args[0].shape
    trailing = all(axis in axes or shape[axis] == 1 for axis in range(min(axes), len(shape)))
    return trailing and int(np.prod([shape[axis] for axis in axes])) >= _LONG_ROW


def fusible(value: Value) -> bool:
    """Tell whether a value is computed inside a loop."""
    return turn_of(value) is None if value.op == "map" else value.op == "reduce" and not is_long_sum(value)


def turn_of(value: Value) -> tuple[int, int, int] | None:
    """Return (rows, columns, stride) of the matrix that a copy transposes, or None where it is no such copy."""
    if value.op != "map" or value.params[0] != "copy" or value.dtype.kind != "f":
        return None
    strides = where_read(value.args[0])[2]
    axes = [(size, stride) for size, stride in zip(value.shape, strides, strict=True) if size != 1]
    if len(axes) != 2 or min(axes)[0] < _WIDE or axes[0][1] != 1 or axes[1][1] < axes[0][0]:
        return None
    (columns, _), (rows, stride) = axes
    return rows, columns, stride


def loop_shape(value: Value) -> Shape:
    """Return the shape over which the loop that computes a value runs."""
    return squeezed(value.shape if value.op == "map" else value.args[0].shape)


def statements_of(outputs: list[Value], late: Sequence[Value] = (), known: Collection[int] = ()) -> list[Statement]:
    """Return the statements that compute `outputs`, in order, and then those that only `late` outputs need.

    Values whose ids are `known` are there already.
    """
    statements: list[Statement] = []
    made: dict[int, int] = dict.fromkeys(known, -1)
    for values, is_late in ((outputs, False), (late, True)):
        first = len(statements)
        for value in in_order(values, known):
            if id(value) in made:
                continue
            if value.op in ("input", "const", "view"):
                made[id(value)] = made[id(where_read(value)[0])] if value.op == "view" else -1
            elif fusible(value):
                made[id(value)] = _join(statements, value, made, first)
            else:
                statements.append(Statement(value.shape, [value], fused=False))
                made[id(value)] = len(statements) - 1
        for statement in statements[first:]:
            statement.late = is_late
    return statements


def _join(statements: list[Statement], value: Value, made: dict[int, int], first: int) -> int:
    shape = loop_shape(value)
    earliest = max((_after(statements, arg, shape, made) for arg in value.args), default=0)
    for index in range(max(earliest, first), len(statements)):
        if statements[index].fused and statements[index].shape == shape:
            statements[index].values.append(value)
            return index
    statements.append(Statement(shape, [value], fused=True))
    return len(statements) - 1


def _after(statements: list[Statement], arg: Value, shape: Shape, made: dict[int, int]) -> int:
    """Return the first statement in which an argument can be read."""
    index = made[id(arg)]
    if index < 0:
        return 0
    statement = statements[index]
    root = where_read(arg)[0]
    local = statement.fused and root.op == "map" and statement.shape == shape and reads_own_element(arg)
    return index if local else index + 1


def reads_own_element(arg: Value) -> bool:
    """Tell whether an argument is read at the element at which the loop that makes it is."""
    root, offset, strides = where_read(arg)
    if squeezed(root.shape) != squeezed(arg.shape) or offset:
        return False
    kept = tuple(stride for stride, size in zip(strides, arg.shape, strict=True) if size != 1)
    return kept == contiguous(squeezed(root.shape))


def stored_values(statements: list[Statement], outputs: list[Value]) -> set[int]:
    """Return the ids of the values that need a place: read outside their loop, or wanted."""
    home = {id(value): index for index, statement in enumerate(statements) for value in statement.values}
    stored = {id(where_read(value)[0]) for value in outputs}
    for index, statement in enumerate(statements):
        for value in statement.values:
            if value.op != "map":
                stored.add(id(value))
            for arg in value.args:
                root = where_read(arg)[0]
                inside = root.op == "map" and home.get(id(root)) == index and statement.fused
                if not inside or not reads_own_element(arg):
                    stored.add(id(root))
    return stored


def place(statements: list[Statement], outputs: list[Value], workspace: Workspace, fixed: dict[int, int]) -> None:
    """Give every stored value a place; `fixed` ones have theirs. A place is free again after its last reader."""
    stored = stored_values(statements, outputs)
    workspace.places.update(fixed)
    last = _last_reads(statements, outputs)
    for value in outputs:
        root = where_read(value)[0]
        if root.op == "const" and not value.is_const():
            workspace.constant(root)
    alive: dict[int, Value] = {}
    for index, statement in enumerate(statements):
        for value in statement.values:
            for root in (where_read(arg)[0] for arg in value.args):
                if root.op == "const" and not (statement.fused and root.is_const()):
                    workspace.constant(root)
            if id(value) in stored and id(value) not in workspace.places:
                workspace.take(value)
                alive[id(value)] = value
        for key in [key for key in alive if last[key] <= index]:
            workspace.give_back(alive.pop(key))


def _last_reads(statements: list[Statement], outputs: list[Value]) -> dict[int, int]:
    last = {id(value): index for index, statement in enumerate(statements) for value in statement.values}
    for index, statement in enumerate(statements):
        for value in statement.values:
            for arg in value.args:
                last[id(where_read(arg)[0])] = index
    for value in outputs:
        root = where_read(value)[0]
        last[id(root)] = len(statements)
        if root.op == "matmul":  # it may be computed at the end, where it goes
            last.update({id(where_read(arg)[0]): len(statements) for arg in root.args})
    return last


def memory_name(dtype: DType) -> str:
    """Return the name of the workspace array of a dtype in emitted source."""
    return "wb" if dtype == BOOL else f"w{'i' if dtype.kind == 'i' else dtype.itemsize}"
