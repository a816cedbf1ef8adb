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

from autograd import core
from autograd.core import primitive_vjps, sparse_add, sparse_object_types, vspace
from autograd.extend import defvjp, primitive
from autograd.numpy import numpy_wrapper as anp

from refmaml.compiled.program import scalars

sech2 = primitive(scalars.sech2)
defvjp(sech2, lambda ans, x: lambda g: g * (-2.0 * anp.tanh(x) * ans))


def _gradient_of_tanh(_argnums: Any, _ans: Any, args: Any, _kwargs: Any) -> Callable[[Any], tuple[Any, ...]]:
    return lambda g: (g * sech2(args[0]),)


def added(previous: tuple[Any, bool] | None, part: Any) -> tuple[Any, bool]:
    """Add a part of a gradient to those before, as autograd's `add_outgrads` does, but into a new array.

    As there, gradients come with a flag that tells whether they may be written into: here none may.
    """
    dense = sparse_add(vspace(part), None, part) if type(part) in sparse_object_types else part
    return (vspace(dense).add(previous[0], dense) if previous else dense), False


@contextmanager
def compact_derivatives() -> Iterator[None]:
    """Have autograd use what this module has; afterwards its own is back."""
    before = primitive_vjps[anp.tanh], core.add_outgrads
    primitive_vjps[anp.tanh], core.add_outgrads = _gradient_of_tanh, added
    try:
        yield
    finally:
        primitive_vjps[anp.tanh], core.add_outgrads = before
