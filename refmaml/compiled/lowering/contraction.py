"""Products that sum over axes: dot, matmul, tensordot, einsum and their adjoints, all as [B, M, K] · [B, K, N]."""

# ruff: noqa: ARG001 - a rule has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_vjps import dot_adjoint_0, dot_adjoint_1, tensordot_adjoint_0, tensordot_adjoint_1

from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import INT64, Value

Labels = Sequence[Any]


def contract(call: Call, a: Value, la: Labels, b: Value, lb: Labels, out: Labels) -> Value:
    """Return Σ a·b over the labels that `out` does not have; labels name axes."""
    a, la = _alone(call, *_diagonal(call, a, la), (*lb, *out))
    b, lb = _alone(call, *_diagonal(call, b, lb), (*la, *out))
    free = [x for x in out if (x in la) != (x in lb)]
    if free and free[0] in lb:  # so that the product comes in the order in which it is wanted
        a, la, b, lb = b, lb, a, la
    shared = [x for x in la if x in lb and x in out]
    summed = [x for x in la if x in lb and x not in out]
    rows = [x for x in la if x not in lb]
    columns = [x for x in lb if x not in la]
    size = dict(zip((*la, *lb), (*a.shape, *b.shape), strict=True))
    left = _grouped(call, a, la, (shared, rows, summed))
    right = _grouped(call, b, lb, (shared, summed, columns))
    shape = tuple(prod(size[x] for x in group) for group in (shared, rows, columns))
    if not summed:
        result = _outer(call, left, right, shape)
    elif call.dtype == INT64:
        result = _of_integers(call, left, right)
    else:
        result = call.b.make("matmul", (left, right), (), shape, call.dtype)
    order = [*shared, *rows, *columns]
    result = call.b.reshape(result, tuple(size[x] for x in order))
    return call.b.view(result, lambda v: v.transpose([order.index(x) for x in out]))


def _outer(call: Call, left: Value, right: Value, shape: tuple[int, ...]) -> Value:
    """Return a product without a sum, which is an elementwise one."""
    columns = call.b.reshape(right, (shape[0], 1, shape[2]))
    return call.b.map("multiply", call.b.reshape(left, (*shape[:2], 1)), columns, dtype=call.dtype)


def _of_integers(call: Call, left: Value, right: Value) -> Value:
    """Return a matrix product of integers, for which there is no kernel, as a sum of elementwise products."""
    batch, rows, summed = left.shape
    columns = right.shape[2]
    turned = call.b.view(right, lambda v: v.transpose(0, 2, 1))
    left = call.b.reshape(left, (batch, rows, 1, summed))
    terms = call.b.map("multiply", left, call.b.reshape(turned, (batch, 1, columns, summed)), dtype=call.dtype)
    return call.b.reduce("sum", terms, (3,))


def _diagonal(call: Call, value: Value, labels: Labels) -> tuple[Value, list[Any]]:
    """Read repeated labels of one operand along their diagonal."""
    found = list(labels)
    for label in dict.fromkeys(labels):
        while found.count(label) > 1:
            first = found.index(label)
            second = found.index(label, first + 1)
            value = call.b.view(value, partial(np.diagonal, offset=0, axis1=first, axis2=second))
            found = [x for position, x in enumerate(found) if position not in (first, second)] + [label]
    return value, found


def _alone(call: Call, value: Value, labels: Labels, elsewhere: Labels) -> tuple[Value, list[Any]]:
    """Sum over the labels that nobody else has."""
    gone = [axis for axis, label in enumerate(labels) if label not in elsewhere]
    kept = [label for label in labels if label in elsewhere]
    return (call.b.reduce("sum", value, gone) if gone else value), kept


def _grouped(call: Call, value: Value, labels: Labels, groups: Sequence[Labels]) -> Value:
    """Return `value` as a stack of matrices whose axes are groups of labels."""
    order = [labels.index(label) for group in groups for label in group]
    moved = call.b.view(value, lambda a: a.transpose(order))
    sizes = dict(zip(labels, value.shape, strict=True))
    return call.b.reshape(moved, tuple(prod(sizes[label] for label in group) for group in groups))


def _values(call: Call, *args: Any) -> list[Value]:
    return [call.value(arg, call.dtype) for arg in args]


@rule(anp.matmul)
def matmul(call: Call, a: Any, b: Any) -> Value:
    """A @ b, with NumPy's broadcasting of leading axes."""
    a, b = _values(call, a, b)
    lead = max(len(a.shape), len(b.shape)) - 2
    la: Labels = _lead(lead, len(a.shape) - 2) + (["k"] if len(a.shape) == 1 else ["m", "k"])
    lb: Labels = _lead(lead, len(b.shape) - 2) + (["k"] if len(b.shape) == 1 else ["k", "n"])
    a, la, b, lb = _broadcast(call, a, la, b, lb)
    out = [*range(lead), *(x for x in "mn" if x in la or x in lb)]
    return call.b.reshape(contract(call, a, la, b, lb, [x for x in out if x in la or x in lb]), call.shape)


def _lead(total: int, own: int) -> list[Any]:
    return list(range(total - max(own, 0), total)) if own > 0 else []


def _broadcast(call: Call, a: Value, la: Labels, b: Value, lb: Labels) -> tuple[Value, Labels, Value, Labels]:
    """Drop the axes of length 1 that the other operand has longer."""
    first, second = dict(zip(la, a.shape, strict=True)), dict(zip(lb, b.shape, strict=True))
    a, la = _without(call, a, la, [x for x in la if first[x] == 1 < second.get(x, 1)])
    b, lb = _without(call, b, lb, [x for x in lb if second[x] == 1 < first.get(x, 1)])
    return a, la, b, lb


def _without(call: Call, value: Value, labels: Labels, gone: Labels) -> tuple[Value, list[Any]]:
    axes = [axis for axis, label in enumerate(labels) if label in gone]
    return (call.b.reduce("sum", value, axes) if axes else value), [x for x in labels if x not in gone]


def _dot(call: Call, a: Value, b: Value) -> Value:
    """np.dot: the last axis of a with the last but one of b."""
    if not a.shape or not b.shape:
        return call.b.map("multiply", a, b, dtype=call.dtype)
    la = [("a", i) for i in range(len(a.shape) - 1)]
    lb = [("b", i) for i in range(len(b.shape) - 1)]
    second = [*lb[:-1], "k", *lb[-1:]] if len(b.shape) > 1 else ["k"]
    return contract(call, a, [*la, "k"], b, second, [*la, *lb])


@rule(anp.dot)
def dot(call: Call, a: Any, b: Any) -> Value:
    """np.dot."""
    return _dot(call, *_values(call, a, b))


@rule(anp.inner)
def inner(call: Call, a: Any, b: Any) -> Value:
    """np.inner: the last axes with each other; a number multiplies."""
    left, right = _values(call, a, b)
    if len(right.shape) > 1 and left.shape:
        right = call.b.view(right, lambda v: np.moveaxis(v, -1, -2))
    return _dot(call, left, right)


@rule(anp.outer)
def outer(call: Call, a: Any, b: Any) -> Value:
    """np.outer, of flattened arguments."""
    left, right = _values(call, a, b)
    columns = call.b.reshape(right, (1, right.size))
    return call.b.map("multiply", call.b.reshape(left, (left.size, 1)), columns, dtype=call.dtype)


@rule(anp.tensordot)
def tensordot(call: Call, a: Any, b: Any, axes: Any = 2) -> Value:
    """np.tensordot."""
    left, right = _values(call, a, b)
    la, lb, out = _tensordot_labels(left.shape, right.shape, axes)
    return contract(call, left, la, right, lb, out)


def _linear_adjoint(which: int, forward: Any) -> Any:
    """Return the rule of an adjoint of a bilinear product, from the labels of the product itself."""

    def lowered(call: Call, known: Any, gradient: Any, *args: Any) -> Value:
        other, g = _values(call, known, gradient)
        missing = call.shape
        shapes = (missing, other.shape) if which == 0 else (other.shape, missing)
        la, lb, out = forward(*shapes, *args)
        mine, others = (la, lb) if which == 0 else (lb, la)
        return contract(call, g, out, other, others, mine)

    return lowered


def _dot_labels(a: tuple[int, ...], b: tuple[int, ...], *meta: Any) -> tuple[Labels, Labels, Labels]:
    la = [("a", i) for i in range(len(a))]
    lb = [("b", i) for i in range(len(b))]
    if a and b:
        lb[-2 if len(b) > 1 else -1] = la[-1]
    return la, lb, [x for x in (*la, *lb) if not (x in la and x in lb)]


def _tensordot_labels(
    a: tuple[int, ...], b: tuple[int, ...], axes: Any, *dimensions: int
) -> tuple[Labels, Labels, Labels]:
    la: list[Any] = [("a", i) for i in range(len(a))]
    lb: list[Any] = [("b", i) for i in range(len(b))]
    if isinstance(axes, int | np.integer):
        axes = (range(len(a) - int(axes), len(a)), range(int(axes)))
    for i, j in zip(*(np.atleast_1d(np.asarray(axis, dtype=int)) for axis in axes), strict=True):
        lb[int(j) % len(lb)] = la[int(i) % len(la)]
    return la, lb, [x for x in (*la, *lb) if not (x in la and x in lb)]


rule(dot_adjoint_0)(_linear_adjoint(0, _dot_labels))
rule(dot_adjoint_1)(_linear_adjoint(1, _dot_labels))
rule(tensordot_adjoint_0)(_linear_adjoint(0, _tensordot_labels))
rule(tensordot_adjoint_1)(_linear_adjoint(1, _tensordot_labels))


@rule(anp.einsum)
def einsum(call: Call, *operands: Any, **options: Any) -> Value:
    """np.einsum in its string form; several operands are multiplied from left to right."""
    call.only(options, optimize=options.get("optimize"))
    if not isinstance(operands[0], str):
        call.refuse("the subscripts as a string")
    values = _values(call, *operands[1:])
    dummies = [np.broadcast_to(np.empty((), np.int8), value.shape) for value in values]
    inputs, output, _ = anp.parse_einsum_input(operands[0], *dummies)
    labels = [list(operand) for operand in inputs.split(",")]
    result, names = values[0], labels[0]
    for position in range(1, len(values)):
        later = {x for label in labels[position + 1 :] for x in label} | set(output)
        a, la, b, lb = _broadcast(call, result, names, values[position], labels[position])
        names = [x for x in dict.fromkeys((*la, *lb)) if x in later]
        result = contract(call, a, la, b, lb, names)
    result, names = _alone(call, *_diagonal(call, result, names), list(output))
    return call.b.view(result, lambda v: v.transpose([names.index(x) for x in output]))
