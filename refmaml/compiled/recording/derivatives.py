"""Derivatives that the engine records in the place of autograd's: the same functions, in a form that compiles well.

autograd has tanh′ = 1/cosh², which overflows for large arguments, and whose own derivative is full of hyperbolic
functions. With sech² as a primitive of its own, tanh′ = sech² and (sech²)′ = −2 tanh sech², all of which come from
one exponential.

Where a value is used several times, autograd adds the later parts of its gradient into the array of the first. A tape
that holds this array, since it depends on nothing, would hold the sum that the traced data gave: here each sum is an
array of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from autograd import core
from autograd.core import primitive_vjps, sparse_add, sparse_object_types, vspace
from autograd.extend import defvjp, primitive
from autograd.numpy import linalg
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import isbox

from refmaml.compiled.program import scalars
from refmaml.compiled.recording.indices import Space, placed, split
from refmaml.supplements import along_axis

sech2 = primitive(scalars.sech2)
defvjp(sech2, lambda ans, x: lambda g: g * (-2.0 * anp.tanh(x) * ans))


def _gradient_of_tanh(_argnums: Any, _ans: Any, args: Any, _kwargs: Any) -> Callable[[Any], tuple[Any, ...]]:
    return lambda g: (g * sech2(args[0]),)


def _gradient_of_sort(_argnums: Any, _ans: Any, args: Any, kwargs: Any) -> Callable[[Any], tuple[Any, ...]]:
    x, axis = args[0], (args[1:2] or (kwargs.get("axis", -1),))[0]
    flat, axis = (anp.ravel(x), -1) if axis is None else (x, axis)
    order = anp.argsort(flat, axis=axis)
    return lambda g: (anp.reshape(_put_along_axis(g, order, flat, axis), x.shape),)


def _gradient_of_take_along_axis(_argnums: Any, _ans: Any, args: Any, kwargs: Any) -> Callable[..., tuple[Any, ...]]:
    x, where = args[:2]
    axis = (args[2:3] or (kwargs.get("axis", -1),))[0]
    if axis is None:
        return lambda g: (anp.reshape(_put(g, (where,), anp.ravel(x)), x.shape),)
    return lambda g: (_put_along_axis(g, where, x, axis),)


def _gradient_of_take(_argnums: Any, _ans: Any, args: Any, kwargs: Any) -> Callable[[Any], tuple[Any, ...]]:
    x, where = args[:2]
    axis = (args[2:3] or (kwargs.get("axis"),))[0]
    if axis is None:
        return lambda g: (anp.reshape(_put(g, (where,), anp.ravel(x)), x.shape),)
    return lambda g: (_put(g, (slice(None),) * (axis % x.ndim) + (where,), x),)


def _put_along_axis(g: Any, where: Any, x: Any, axis: int) -> Any:
    return _put(g, along_axis(x.shape, where, axis), x)


def _put(g: Any, index: Any, x: Any) -> Any:
    template, parts = split(index, isbox)
    return placed(g, template, Space(x.shape, x.dtype), *parts)


def _gradient_of_eigh(_argnums: Any, ans: Any, args: Any, kwargs: Any) -> Callable[[Any], tuple[Any, ...]]:
    """autograd's, without a branch on whether the gradient by the eigenvectors is zero: there NaN may be."""
    w, v = ans
    n, lower = args[0].shape[-1], (args[1:2] or (kwargs.get("UPLO", "L"),))[0] == "L"
    turned = anp.swapaxes(v, -1, -2)

    def vjp(g: Any) -> tuple[Any, ...]:
        by_values, by_vectors = g[0], g[1]
        part = anp.matmul(v * by_values[..., None, :], turned)
        gaps = (1.0 - np.eye(n)) / (w[..., None, :] - w[..., :, None] + np.eye(n))
        other = anp.matmul(anp.matmul(v, gaps * anp.matmul(turned, by_vectors)), turned)
        part = anp.where(anp.any(by_vectors != 0), part + other, part)
        triangle = np.tril(np.ones((n, n)), -1) if lower else np.triu(np.ones((n, n)), 1)
        return (part * np.eye(n) + (part + anp.swapaxes(part, -1, -2)) * triangle,)

    return vjp


#: Derivatives for which autograd writes into arrays, branches on numbers, or has none.
_OWN = {
    anp.tanh: _gradient_of_tanh, anp.sort: _gradient_of_sort, anp.take: _gradient_of_take,
    anp.take_along_axis: _gradient_of_take_along_axis, linalg.eigh: _gradient_of_eigh,
}  # fmt: skip


def added(previous: tuple[Any, bool] | None, part: Any) -> tuple[Any, bool]:
    """Add a part of a gradient to those before, as autograd's `add_outgrads` does, but into a new array.

    As there, gradients come with a flag that tells whether they may be written into: here none may.
    """
    dense = sparse_add(vspace(part), None, part) if type(part) in sparse_object_types else part
    return (vspace(dense).add(previous[0], dense) if previous else dense), False


@contextmanager
def compact_derivatives() -> Iterator[None]:
    """Have autograd use what this module has; afterwards its own is back."""
    before, adds = {fun: primitive_vjps.get(fun) for fun in _OWN}, core.add_outgrads
    primitive_vjps.update(_OWN)
    core.add_outgrads = added
    try:
        yield
    finally:
        core.add_outgrads = adds
        for fun, vjp in before.items():
            if vjp is None:
                del primitive_vjps[fun]
            else:
                primitive_vjps[fun] = vjp
