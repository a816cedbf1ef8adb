"""Static indexing, and autograd's sparse gradients of it."""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from typing import Any

import numpy as np
from autograd.core import VSpace, sparse_add
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vjps import untake

from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import Value


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
