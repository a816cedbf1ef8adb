"""Value and gradient of a function of leaves, by HIPS autograd's tracer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from autograd.core import VJPNode, add_outgrads
from autograd.extend import vspace
from autograd.tracer import getval, isbox, new_box, toposort, trace_stack

import refmaml.supplements  # noqa: F401 - it adds derivatives to autograd's
from refmaml.containers import Array, Leaves


def value_and_gradient(function: Callable[[Leaves], Array], leaves: Leaves) -> tuple[Array, Leaves]:
    """Return function(leaves) and its gradient with respect to each leaf, in the leaf's own dtype.

    It differs from `autograd.value_and_grad` in two ways. A function that does not depend on a leaf has a zero
    gradient here and no warning, since a cost may ignore the variables that it is differentiated by. And each leaf is
    a root of its own, where autograd would trace the access to a dict of them. Inside an enclosing trace both results
    stay differentiable.
    """
    roots = {chain: VJPNode.new_root() for chain in leaves}
    with trace_stack.new_trace() as trace:
        value = function({chain: new_box(leaf, trace, roots[chain]) for chain, leaf in leaves.items()})
    arrived = {}
    if isbox(value) and value._trace == trace:
        value, arrived = value._value, _pull_back(vspace(value._value).ones(), value._node)
    return value, {chain: _like(leaf, arrived.get(roots[chain])) for chain, leaf in leaves.items()}


def _pull_back(one: Array, end: VJPNode) -> dict[VJPNode, Array]:
    """Run the chain rule from `end` to the roots and return what arrives there: `autograd.core.backward_pass`."""
    arriving = {end: add_outgrads(None, one)}
    for node in toposort(end):
        if node.parents:
            gradient, _ = arriving.pop(node)
            for parent, part in zip(node.parents, node.vjp(gradient), strict=True):
                arriving[parent] = add_outgrads(arriving.get(parent), part)
    return {root: gradient for root, (gradient, _) in arriving.items()}


def _like(leaf: Array, gradient: Array | None) -> Array:
    """Return `gradient` as an array of its own and of the leaf's dtype: autograd promotes where a cost mixes them."""
    dtype = getval(leaf).dtype
    if gradient is None:
        return np.zeros_like(getval(leaf))
    return gradient.astype(dtype)
