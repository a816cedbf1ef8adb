"""Indexing, by constants and by data, and its gradients."""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from typing import Any

import numpy as np
from autograd.core import VSpace, sparse_add
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vjps import untake

from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import INT64, Shape, Value, contiguous
from refmaml.compiled.recording.indices import Part, Template, filled, indexed, placed, written


@rule(ArrayBox.__getitem__)
def getitem(call: Call, x: Any, index: Any) -> Value:
    """x[index] with an index that is known while tracing."""
    return call.b.view(call.value(x), lambda a: a[index])


@rule(anp.take)
def take(call: Call, x: Any, indices: Any, axis: Any = None, **options: Any) -> Value:
    """np.take with static indices."""
    return call.b.view(call.value(x), lambda a: np.take(a, indices, axis, **options))


@rule(untake)
def scatter(call: Call, gradient: Any, index: Any, space: Any) -> Value:
    """Add the gradient of x[index] into zeros of x's shape."""
    if isinstance(index, list) and (len(index) == 0 or not isinstance(index[0], slice)):
        index = np.array(index, dtype="int64")
    shape = tuple(space.shape)
    table = np.arange(int(np.prod(shape))).reshape(shape)[index]
    value = call.b.broadcast(call.value(gradient, space.dtype), np.shape(table))
    return call.b.scatter(value, np.asarray(table), shape)


def _flat(call: Call, shape: Shape, template: Template, parts: tuple[Any, ...]) -> Value:
    """Return the numbers of the elements that array[index] reads of an array of `shape`, where `parts` are data.

    An index is a sum over axes: what NumPy reads with zeros for the parts, plus a stride times each part, which NumPy
    itself puts at the place that it has in the result.
    """
    where = {item.number: place for place, item in enumerate(template) if isinstance(item, Part)}
    zeros = [np.zeros(part.shape, int) for part in parts]
    base = np.arange(int(np.prod(shape))).reshape(shape)[filled(template, zeros)]
    total = call.value(np.asarray(base, np.int64))
    axes = _axes(template, len(shape))
    for number, part in enumerate(parts):
        axis = axes[where[number]]
        own = call.b.bounded(call.value(part, INT64), shape[axis])
        numbers = list(zeros)
        numbers[number] = np.arange(part.size).reshape(part.shape)
        widened = tuple(max(part.size, 1) if place == axis else size for place, size in enumerate(shape))
        along = np.arange(widened[axis]).reshape([-1 if place == axis else 1 for place in range(len(shape))])
        table = np.asarray(np.broadcast_to(along, widened)[filled(template, numbers)])
        step = call.b.map("multiply", call.b.gather(own, table), call.value(contiguous(shape)[axis]), dtype=INT64)
        total = call.b.map("add", total, step, dtype=INT64)
    return total


def _axes(template: Template, dimensions: int) -> list[int]:
    """Return the axis of the array that each item of an index is for."""

    def width(item: Any) -> int:
        if item is None or item is Ellipsis:
            return 0
        return item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1

    used, axes, axis = sum(map(width, template)), [], 0
    for item in template:
        axes.append(axis)
        axis += dimensions - used if item is Ellipsis else width(item)
    return axes


@rule(indexed)
def index(call: Call, x: Any, template: Template, *parts: Any) -> Value:
    """x[index]; a part of it is data."""
    value = call.value(x)
    return call.b.gathered(value, _flat(call, value.shape, template, parts))


@rule(placed)
def place(call: Call, gradient: Any, template: Template, space: Any, *parts: Any) -> Value:
    """Add the gradient of x[index] into zeros of x's shape."""
    table = _flat(call, call.shape, template, parts)
    value = call.b.broadcast(call.value(gradient, call.dtype), table.shape)
    return call.b.scattered(value, table, call.shape)


@rule(written)
def write(call: Call, x: Any, template: Template, value: Any, *parts: Any) -> Value:
    """Write over x[index]."""
    table = _flat(call, call.shape, template, parts)
    new = call.b.broadcast(call.value(value, call.dtype), table.shape)
    return call.b.overwritten(call.value(x, call.dtype), new, table)


def _sum_of(call: Call, previous: Any, new: Any) -> Any:
    if previous is None:
        return new if isinstance(new, list) else call.value(new)
    if isinstance(new, list):
        pairs = zip(previous, new, strict=True)
        return [call.b.map("add", a, call.value(b, a.dtype), dtype=a.dtype) for a, b in pairs]
    return call.b.map("add", call.value(previous, call.dtype), call.value(new, call.dtype), dtype=call.dtype)


@rule(sparse_add, VSpace.add, VSpace.mut_add)
def add(call: Call, space: Any, previous: Any, new: Any) -> Any:
    """Add two parts of a gradient; autograd's first may be None for zero."""
    return _sum_of(call, previous, new)


@rule(VSpace.covector)
def covector(call: Call, space: Any, x: Any) -> Value:
    """Return a real covector as it is."""
    return call.value(x)


@rule(VSpace.scalar_mul)
def scalar_mul(call: Call, space: Any, x: Any, a: Any) -> Value:
    """A · x."""
    return call.b.map("multiply", call.value(x, call.dtype), call.value(a, call.dtype), dtype=call.dtype)
