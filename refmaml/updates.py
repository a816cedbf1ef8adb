"""Inner optimisation steps: how one step of the inner loop moves the adapted variables."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from refmaml.containers import Array, Container, children, map_leaves, owned, unbox


class InnerOptimizationStep(Protocol):
    """What `inner_optimization_step` has to be: containers in, a container of the same nesting out."""

    def __call__(self, w: Container, dcdw: Container, lr: Container, /, *, stop_gradients: bool) -> Container:
        """Return the variables after one step of the inner loop."""


def gradient_descent_update(
    w: Container, dcdw: Container, lr: Container, /, *, stop_gradients: bool = True
) -> Container:
    """Take one step of plain gradient descent, w ← w − lr · dc/dw.

    This is the inner update of Finn, Abbeel and Levine (2017), algorithm 1, line 6.

    Args:
        w: container of variables.
        dcdw: their gradients, with the nesting and shapes of `w`.
        lr: the learning rate: a number, an array that broadcasts against every leaf, or a container with the nesting
            of `w` and one learning rate per leaf. It is rounded to the dtype of the leaf, so that dtypes stay.
        stop_gradients: whether to return plain arrays even inside an enclosing autograd trace.

    Returns:
        A new container with the nesting, shapes and dtypes of `w`.
    """
    rates = lr if children(lr) is not None else map_leaves(lambda _: lr, w)
    return map_leaves(unbox if stop_gradients else _same, map_leaves(_descend, w, dcdw, rates))


def _descend(w: Array, dcdw: Array, rate: Array) -> Array:
    return w - cast(rate, w.dtype) * dcdw


def _same(leaf: Array) -> Array:
    return leaf


def cast(rate: Array, dtype: np.dtype) -> Array:
    """Return a learning rate as an array of `dtype`, so that it does not promote what it multiplies."""
    return owned(rate).astype(dtype)
