"""Value and gradient of a function of leaves, by HIPS autograd's tracer."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as np
from autograd.core import VJPNode, backward_pass
from autograd.extend import vspace
from autograd.tracer import getval, isbox, new_box, trace_stack

from refmaml.containers import Array, Leaves


def value_and_gradient(function: Callable[[Leaves], Array], leaves: Leaves) -> tuple[Array, Leaves]:
    """Return function(leaves) and its gradient with respect to each leaf, in the leaf's own dtype.

    It differs from `autograd.value_and_grad` in one way: a function that does not depend on its argument has a zero
    gradient here and no warning, since a cost may ignore the variables that it is differentiated by. Inside an
    enclosing trace both results stay differentiable.
    """
    with trace_stack.new_trace() as trace:
        box = new_box(leaves, trace, VJPNode.new_root())
        value = function({chain: box[chain] for chain in leaves})
    if isbox(value) and value._trace == trace:
        gradient = backward_pass(vspace(value._value).ones(), value._node)
        value = value._value
    else:
        gradient = vspace(leaves).zeros()
    return value, {chain: _like(leaf, gradient[chain]) for chain, leaf in leaves.items()}


def _like(leaf: Array, gradient: Array) -> Array:
    """Return `gradient` as an array of the leaf's dtype: autograd promotes where a cost mixes precisions."""
    dtype = getval(leaf).dtype
    if not isbox(gradient):
        return np.asarray(gradient, dtype=dtype)
    return gradient if getval(gradient).dtype == dtype else gradient.astype(dtype)
