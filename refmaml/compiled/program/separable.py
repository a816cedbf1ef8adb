"""A program of all tasks at once, cut down to one task.

In batched mode every input has a row for each of T tasks. A cost is *separable* if it is a sum over the tasks of one
function of a task's row; then its gradient by a row is that of the row's own term. This is seen on the program. With
the elements of a value numbered in C order, let task t have those whose number n is ⌊n / s⌋ = t (mod T); s is the
value's task stride. The program is separable if every operation makes the elements of task t out of elements of task
t, in the same way for every t, up to sums over all tasks that enter the cost linearly. Three kinds of values are left:

- rows: what task t has, the same function of its row for every t;
- shared ones, which have no task: constants, and learning rates;
- totals: Σₜ of what task t has. Σ aₜ + Σ bₜ, c Σ aₜ and Σ aₜ / c are totals; nothing else may read one.

The program of one task has one task's elements of every row, and one term of every total. Whatever does not fit is
taken for a mixture of tasks, and the program is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refmaml.compiled.program.program import Builder, Shape, Value, contiguous, in_order, where_read
from refmaml.compiled.program.simplify import reread


class MixesTasksError(Exception):
    """An operation of the program makes what one task has out of what several have, as far as can be seen."""


@dataclass(frozen=True)
class _Part:
    """One task's part of a value. `stride` is the task stride of a row; a shared value or a total has none."""

    value: Value
    stride: int = 0
    total: bool = False


def one_task(outputs: dict[str, Value], tasks: int) -> dict[str, Value]:
    """Return the outputs of one task, whose inputs have one row: "cost" is its term, the others are its rows.

    Raises:
        MixesTasksError: the outputs are not separable.
    """
    cut = _Cut(tasks)
    for value in in_order(list(outputs.values())):
        if value.op not in _RULES:
            raise MixesTasksError(f"{value.op} is not known to keep tasks apart")
        cut.parts[id(value)] = _RULES[value.op](cut, value)
    return {name: cut.output(name, value) for name, value in outputs.items()}


class _Cut:
    """One task's parts of all values, by the values' ids, and the builder of the one-task program."""

    def __init__(self, tasks: int) -> None:
        self.builder, self.tasks = Builder(), tasks
        self.parts: dict[int, _Part] = {}

    def output(self, name: str, value: Value) -> Value:
        """Return one task's part of an output."""
        part = self.parts[id(value)]
        if name == "cost":
            if part.stride:
                raise MixesTasksError("the cost is not summed over the tasks")
            return part.value if part.total else self.share(part.value)
        if value.shape[:1] != (self.tasks,):
            raise MixesTasksError(f"the output {name} has no row for each task")
        return self.row(value, value.shape, value.size // self.tasks)

    def share(self, value: Value) -> Value:
        """Return a Tth, of which T are the whole again."""
        if value.dtype.kind != "f":
            raise MixesTasksError("a cost that is an integer")
        return self.builder.map("true_divide", value, self.builder.const(self.tasks, value.dtype), dtype=value.dtype)

    def read(self, value: Value, shape: Shape) -> _Part:
        """Return the part of an argument that NumPy repeats to `shape`."""
        root, offset, strides = _repeated(value, shape)
        part = self.parts[id(root)]
        if not part.stride:
            view = Value("view", (root,), (offset, strides), shape, value.dtype)
            return _Part(reread(self.builder, view, part.value), 0, part.total)
        for axis in range(len(shape)):
            found = self.reading(part.stride, offset, strides, shape, axis)
            if found is not None:
                view = Value("view", (root,), found, self.cut(shape, axis), value.dtype)
                stride = contiguous(shape)[axis] * part.stride // strides[axis]
                return _Part(reread(self.builder, view, part.value), stride)
        raise MixesTasksError("a value is read where another task's are")

    def reading(
        self, stride: int, offset: int, strides: Shape, shape: Shape, tasks_along: int
    ) -> tuple[int, Shape] | None:
        """Return (offset, strides) at which one task reads its part of a row, if tasks lie along this axis of a view.

        An element of the row is at (o T + t) s + i, with 0 ≤ i < s, and in one task's part at o s + i. A stride of the
        view is q T s + r: it changes o by q and i by r, and t only along the one axis, whose index is (x T + t) b + y.
        """
        step = strides[tasks_along]
        if step <= 0 or stride % step or shape[tasks_along] % (stride // step * self.tasks):
            return None
        block = stride * self.tasks
        first, low = divmod(offset, block)
        high, new = low, list[int]()
        for axis, (size, step) in enumerate(zip(shape, strides, strict=True)):
            if axis == tasks_along:
                high += stride - step
                new.append(step)
                continue
            inside = (step + stride) % block - stride
            if size > 1 and not -stride < inside < stride:
                return None
            reach = inside * (size - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
            new.append((step - inside) // self.tasks + inside)
        return (first * stride + offset % block, tuple(new)) if low >= 0 and high < stride else None

    def row(self, value: Value, shape: Shape, stride: int) -> Value:
        """Return one task's part of an argument that is repeated to `shape` and has this task stride, or is shared."""
        part = self.read(value, shape)
        if part.stride:
            if part.stride != stride:
                raise MixesTasksError("two values are combined whose tasks lie along different axes")
            return part.value
        if part.total:
            raise MixesTasksError("a sum over all tasks is used for each of them")
        if not part.value.size:
            return self.builder.const(np.empty(self.cut(shape, 0), value.dtype))
        axis, _ = self.axis(shape, stride)
        root, offset, strides = where_read(part.value)
        if strides[axis] == 0:
            return self.builder.view(
                part.value, lambda a: a[(slice(None),) * axis + (slice(shape[axis] // self.tasks),)]
            )
        if root.op != "const":
            raise MixesTasksError("what is no data differs from task to task")
        steps = tuple(step * root.dtype.itemsize for step in strides)
        array = np.lib.stride_tricks.as_strided(root.array().reshape(-1)[offset:], shape, steps)
        return self.builder.const(self.same(array, stride).reshape(self.cut(shape, axis)))

    def same(self, numbers: NDArray[Any], stride: int) -> NDArray[Any]:
        """Return one task's part of an array that has to be the same for all tasks."""
        by_task = np.ascontiguousarray(numbers).reshape(-1, self.tasks, stride)
        if any(by_task[:, task].tobytes() != by_task[:, 0].tobytes() for task in range(1, self.tasks)):
            raise MixesTasksError("a constant differs from task to task")
        return by_task[:, 0]

    def axis(self, shape: Shape, stride: int) -> tuple[int, int]:
        """Return the axis along which the task changes, and how many of its elements lie between two tasks."""
        for axis, (size, step) in enumerate(zip(shape, contiguous(shape), strict=True)):
            if stride % step == 0 and size % (stride // step * self.tasks) == 0:
                return axis, stride // step
        raise MixesTasksError("the tasks do not lie along one axis")

    def cut(self, shape: Shape, axis: int) -> Shape:
        """Return the shape of one task's part."""
        return (*shape[:axis], shape[axis] // self.tasks, *shape[axis + 1 :])

    def strides(self, shape: Shape) -> Iterator[int]:
        """Yield every task stride that a value of this shape can have."""
        for size, step in zip(shape, contiguous(shape), strict=True):
            most = size // self.tasks
            yield from (step * between for between in range(1, most + 1) if size % (between * self.tasks) == 0)


def _repeated(value: Value, shape: Shape) -> tuple[Value, int, Shape]:
    """Return (stored value, offset, strides) at which NumPy reads a value that it repeats to `shape`."""
    root, offset, strides = where_read(value)
    own = tuple(0 if size == 1 else stride for size, stride in zip(value.shape, strides, strict=True))
    return root, offset, (0,) * (len(shape) - len(own)) + own


def _input(cut: _Cut, value: Value) -> _Part:
    name, shape = value.params[0], value.shape
    if name.startswith("r/"):
        return _Part(cut.builder.input(name, shape, value.dtype))
    if shape[:1] != (cut.tasks,) or not value.size:
        raise MixesTasksError(f"{name.partition('/')[2]} has no row for each task")
    return _Part(cut.builder.input(name, cut.cut(shape, 0), value.dtype), value.size // cut.tasks)


def _const(cut: _Cut, value: Value) -> _Part:
    return _Part(cut.builder.make("const", (), value.params, value.shape, value.dtype))


def _view(cut: _Cut, value: Value) -> _Part:
    return cut.read(value, value.shape)


def _map(cut: _Cut, value: Value) -> _Part:
    parts = [cut.read(arg, value.shape) for arg in value.args]
    if any(part.total for part in parts):
        return _Part(_linear(cut, value, parts), total=True)
    stride = max(part.stride for part in parts)
    if not stride:
        return _Part(_shared_map(cut, value, [part.value for part in parts]))
    args = [cut.row(arg, value.shape, stride) for arg in value.args]
    if value.params == ("copy",):
        return _Part(cut.builder.copy(args[0]), stride)
    return _Part(cut.builder.map(value.params[0], *args, dtype=value.dtype), stride)


def _shared_map(cut: _Cut, value: Value, args: list[Value]) -> Value:
    """Return an elementwise function of shared values, without computing it again along axes that only repeat it."""
    strides = zip(*(where_read(arg)[2] for arg in args), strict=True)
    once = tuple(slice(None) if any(steps) else slice(1) for steps in strides)
    result = cut.builder.map(
        value.params[0], *(cut.builder.view(arg, lambda a: a[once]) for arg in args), dtype=value.dtype
    )
    return cut.builder.broadcast(result, value.shape)


def _linear(cut: _Cut, value: Value, parts: list[_Part]) -> Value:
    """Return one task's term of a function of totals that is linear in them."""
    fn, totals = value.params[0], [part.total for part in parts]
    args = [part.value for part in parts]
    if any(part.stride for part in parts):
        raise MixesTasksError("a sum over all tasks is used for each of them")
    if fn in ("add", "subtract"):
        args = [arg if total else cut.share(arg) for arg, total in zip(args, totals, strict=True)]
    elif not (
        fn in ("negative", "copy")
        or (fn == "cast" and value.dtype.kind == "f")
        or (fn == "multiply" and sum(totals) == 1)
        or (fn == "true_divide" and totals == [True, False])
    ):
        raise MixesTasksError(f"{fn} of a sum over all tasks is no sum over them")
    return cut.builder.map(fn, *args, dtype=value.dtype)


def _reduce(cut: _Cut, value: Value) -> _Part:
    (arg,) = value.args
    fn, axes = value.params
    part = cut.read(arg, arg.shape)
    result = cut.builder.reduce(fn, part.value, axes)
    if not part.stride:
        if part.total and fn != "sum":
            raise MixesTasksError(f"the {fn} of sums over all tasks is no sum over them")
        return _Part(result, total=part.total)
    axis, between = cut.axis(arg.shape, part.stride)
    if axis in axes:
        if fn != "sum" or value.dtype.kind != "f":
            raise MixesTasksError(f"a {fn} over all tasks that is no sum of numbers")
        return _Part(result, total=True)
    kept = [position for position in range(len(arg.shape)) if position not in axes]
    return _Part(result, contiguous(value.shape)[kept.index(axis)] * between)


def _matmul(cut: _Cut, value: Value) -> _Part:
    """[B, M, K] · [B, K, N]: tasks along one of B, M and N in the result, or along K, which is summed over."""
    shapes = [arg.shape for arg in value.args]
    parts = [cut.read(arg, arg.shape) for arg in value.args]
    if any(part.total for part in parts):
        raise MixesTasksError("a sum over all tasks is multiplied as a matrix")
    found = {_LABELS[side][axis]: between for side, part in enumerate(parts) if part.stride
             for axis, between in [cut.axis(shapes[side], part.stride)]}  # fmt: skip
    if not found:
        return _Part(cut.builder.make("matmul", [part.value for part in parts], (), value.shape, value.dtype))
    if len(found) > 1:
        raise MixesTasksError("a product of matrices of different tasks")
    ((label, between),) = found.items()
    args = [
        cut.row(arg, arg.shape, contiguous(arg.shape)[labels.index(label)] * between) if label in labels else part.value
        for arg, part, labels in zip(value.args, parts, _LABELS, strict=True)
    ]
    if label == "k":
        return _Part(cut.builder.make("matmul", args, (), value.shape, value.dtype), total=True)
    axis = "bmn".index(label)
    stride = contiguous(value.shape)[axis] * between
    return _Part(cut.builder.make("matmul", args, (), cut.cut(value.shape, axis), value.dtype), stride)


_LABELS = ("bmk", "bkn")


def _gather(cut: _Cut, value: Value) -> _Part:
    source, indices = value.args
    part = cut.read(source, source.shape)
    if indices.op != "const" or part.total:
        raise MixesTasksError("elements are taken at places that data determine")
    table = indices.array()
    if not part.stride:
        return _Part(cut.builder.gather(part.value, table))
    for stride in cut.strides(value.shape):
        own = _own_places(cut, table, part.stride, _task_of(cut, table.shape, stride))
        if own is not None:
            axis, _ = cut.axis(value.shape, stride)
            places = cut.same(own, stride).reshape(cut.cut(value.shape, axis))
            return _Part(cut.builder.gather(part.value, places), stride)
    raise MixesTasksError("elements of other tasks are taken")


def _scatter(cut: _Cut, value: Value) -> _Part:
    source, indices, *others = value.args
    part = cut.read(source, source.shape)
    if indices.op != "const" or others or not part.stride:
        raise MixesTasksError("elements are put at places that data determine")
    table = indices.array()
    for stride in cut.strides(value.shape):
        own = _own_places(cut, table, stride, _task_of(cut, table.shape, part.stride))
        if own is not None:
            (axis, _), (along, _) = cut.axis(value.shape, stride), cut.axis(table.shape, part.stride)
            places = cut.same(own, part.stride).reshape(cut.cut(table.shape, along))
            return _Part(cut.builder.scatter(part.value, places, cut.cut(value.shape, axis)), stride)
    raise MixesTasksError("elements are put where those of other tasks are")


def _task_of(cut: _Cut, shape: Shape, stride: int) -> NDArray[Any]:
    """Return the task of every element."""
    return (np.arange(prod(shape)) // stride % cut.tasks).reshape(shape)


def _own_places(cut: _Cut, table: NDArray[Any], stride: int, task: NDArray[Any]) -> NDArray[Any] | None:
    """Return where `table` leads within one task's part, if that is always in the task's own; -1 stays as it is."""
    somewhere = table >= 0
    if not (table // stride % cut.tasks == task)[somewhere].all():
        return None
    return np.where(somewhere, table // (stride * cut.tasks) * stride + table % stride, -1)


def _assemble(cut: _Cut, value: Value) -> _Part:
    """Lay parts side by side: a place is a view of the result, and the tasks of part and place have to be the same."""
    parts = [cut.read(arg, arg.shape) for arg in value.args]
    if any(part.total for part in parts):
        raise MixesTasksError("a sum over all tasks is laid beside something else")
    rows = [position for position, part in enumerate(parts) if part.stride]
    if not rows:
        return _Part(cut.builder.assemble([part.value for part in parts], value.params, value.shape))
    shape = value.args[rows[0]].shape
    along, between = cut.axis(shape, parts[rows[0]].stride)
    stride = value.params[rows[0]][1][along] * between
    axis, _ = cut.axis(value.shape, stride)
    laid = [_laid(cut, arg, stride, *place) for arg, place in zip(value.args, value.params, strict=True)]
    places = [place for _, place in laid]
    return _Part(cut.builder.assemble([part for part, _ in laid], places, cut.cut(value.shape, axis)), stride)


def _laid(cut: _Cut, arg: Value, stride: int, offset: int, strides: Shape) -> tuple[Value, tuple[int, Shape]]:
    """Return one task's part of an array that is laid into a row with this task stride, and where it is laid."""
    for along, step in enumerate(strides):
        place = cut.reading(stride, offset, strides, arg.shape, along)
        if place is not None:
            return cut.row(arg, arg.shape, contiguous(arg.shape)[along] * stride // step), place
    raise MixesTasksError("elements are laid where those of other tasks are")


def _accumulate(cut: _Cut, value: Value) -> _Part:
    part = cut.read(value.args[0], value.shape)
    shape = value.shape
    if part.total:
        raise MixesTasksError("a running sum of sums over all tasks")
    if part.stride:
        axis, _ = cut.axis(shape, part.stride)
        if axis == len(shape) - 1:
            raise MixesTasksError("a running sum over tasks")
        shape = cut.cut(shape, axis)
    return _Part(cut.builder.make("accumulate", (cut.builder.copy(part.value),), (), shape, value.dtype), part.stride)


_RULES: dict[str, Callable[[_Cut, Value], _Part]] = {
    "input": _input, "const": _const, "view": _view, "map": _map, "reduce": _reduce, "matmul": _matmul,
    "gather": _gather, "scatter": _scatter, "assemble": _assemble, "accumulate": _accumulate,
}  # fmt: skip
