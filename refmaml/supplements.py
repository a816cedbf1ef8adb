"""Derivatives that autograd lacks, or has for a part of the arguments, added to its table.

For each function y = f(x) here, the vector-Jacobian product is g ↦ (∂y/∂x)ᵀ g, written with functions that autograd
differentiates, so that it has a derivative of every order. `numpy.ogrid` and `numpy.mgrid`, which make constants, get
their place in `autograd.numpy` too. Where autograd ignores an argument, its derivative is refused.
"""

# ruff: noqa: ARG001 - a derivative has the parameters of the function that it is for, needed or not
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy
import numpy as np
from autograd.core import primitive_vjps
from autograd.extend import defvjp, defvjp_argnums, vspace
from autograd.numpy import linalg
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_vjps import untake

Pullback = Callable[[Any], Any]


def along_axis(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """Return the index that reads x[…, indices, …] along one axis of an x of `shape`, as `take_along_axis` does.

    The axes of x and of `indices` have the same lengths, or 1 where they are repeated; `axis` may differ.
    """
    axis %= len(shape)
    sizes = (tuple(1 if k == axis else n for k, n in enumerate(some)) for some in (shape, indices.shape))
    whole = np.broadcast_shapes(*sizes)
    grid = np.ogrid[tuple(slice(1 if k == axis else n) for k, n in enumerate(whole))]
    # A length of 1 is read again and again.
    read = [np.asarray(own) * int(n != 1) for own, n in zip(grid, shape, strict=True)]
    return tuple(indices if k == axis else own for k, own in enumerate(read))


def _take(_ans: Any, x: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Pullback:
    """Y = x[…, i, …], so that the gradient is g added to zeros at i."""
    if out is not None or mode != "raise":
        raise NotImplementedError("take: expected out=None and mode='raise'. Use np.clip(indices, …) for mode='clip'.")
    shape, where = anp.shape(x), np.asarray(indices)
    if axis is None:
        places = np.unravel_index(where % anp.size(x), shape)
        return lambda g: untake(g, places, vspace(x))
    index = (slice(None),) * (axis % len(shape)) + (where,)
    return lambda g: untake(g, index, vspace(x))


def _take_along_axis(_ans: Any, x: Any, indices: Any, axis: Any = -1) -> Pullback:
    """The same, with an index for each row."""
    shape, where = anp.shape(x), np.asarray(indices)
    if axis is None:
        places = np.unravel_index(where % anp.size(x), shape)
        return lambda g: untake(g, places, vspace(x))
    index = along_axis(shape, where, axis)
    return lambda g: untake(g, index, vspace(x))


def _sort(_ans: Any, x: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Pullback:
    """The result is x in another order, and the gradient is g in the order of x."""
    shape = anp.shape(x)
    if axis is None:
        back = np.argsort(anp.argsort(anp.ravel(x), kind=kind))
        return lambda g: anp.reshape(g[back], shape)
    index = along_axis(shape, np.argsort(anp.argsort(x, axis, kind), axis), axis)
    return lambda g: g[index]


def _convolve(argnum: int, _ans: Any, a: Any, v: Any, mode: str = "full") -> Pullback:
    """yₖ = Σᵢ aᵢ vₖ₋ᵢ of the full convolution, so that ∂/∂aᵢ is Σₖ gₖ vₖ₋ᵢ; the other modes leave out its ends."""
    lengths = len(a), len(v)
    other, short = (v, a)[argnum], min(lengths)
    start = {"full": 0, "same": (short - 1) // 2, "valid": short - 1}[mode]

    def pull_back(g: Any) -> Any:
        whole = anp.pad(g, (start, sum(lengths) - 1 - start - len(g)), mode="constant")
        return anp.convolve(whole, other[::-1], mode="valid")

    return pull_back


def _norm(ans: Any, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Pullback:  # noqa: A002
    """‖x‖ₚ = (Σ|xᵢ|ᵖ)^(1/p): the gradient is g xᵢ |xᵢ|^(p−2) / ‖x‖ₚ^(p−1).

    For p = 1 it is g sign(x), and for p = ∞ the elements of the largest size share it. Of matrices there are the
    Frobenius norm, p = 2 over both axes, and the nuclear one, whose gradient is U Vᵀ.
    """
    dimensions = anp.ndim(x)
    axes = tuple(range(dimensions)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    shape = tuple(1 if k in {place % dimensions for place in axes} else n for k, n in enumerate(anp.shape(x)))
    matrix = len(axes) == 2 and ord is not None
    if matrix and ord not in ("fro", "nuc"):
        raise NotImplementedError(f"norm: expected the Frobenius or the nuclear norm of a matrix, but got ord={ord!r}.")
    if ord == 0 or (ord is not None and not isinstance(ord, str) and ord < 1):
        raise NotImplementedError(f"norm: expected an order of 1 or more, but got ord={ord!r}.")

    x = anp.conj(x)  # autograd's gradient of a real function of complex numbers is the conjugate's
    if ord == "nuc":
        last = anp.moveaxis(x, axes, (-2, -1))
        u, _, vt = linalg.svd(last, full_matrices=False)
        return lambda g: anp.reshape(g, shape) * anp.moveaxis(anp.matmul(u, vt), (-2, -1), axes)
    if ord == 1:
        return lambda g: anp.reshape(g, shape) * anp.sign(x)
    if ord is not None and ord == np.inf:
        largest = anp.abs(x) == anp.max(anp.abs(x), axis=axes, keepdims=True)
        share = anp.sign(x) * largest / anp.sum(largest, axis=axes, keepdims=True)
        return lambda g: anp.reshape(g, shape) * share
    if ord in (None, 2, "fro"):
        return lambda g: anp.reshape(g / ans, shape) * x
    return lambda g: anp.reshape(g / ans ** (ord - 1), shape) * x * anp.abs(x) ** (ord - 2)


#: What to write in the place of an option of reductions, by its name.
REWRITES = {
    "where": (
        "Write np.sum(np.where(mask, x, 0.0)) for np.sum(x, where=mask), divide by np.sum(mask) for the mean, and "
        "write np.max(np.where(mask, x, -np.inf)) for the largest"
    ),
    "initial": "Write np.sum(x) + a for np.sum(x, initial=a), and np.maximum(np.max(x), a) for np.max(x, initial=a)",
}
#: What the derivatives of reductions know. They take more, such as `where`, but are then those of another function:
#: that of np.sum(x, where=mask) is 1 everywhere in autograd 1.9.1.
_KNOWN = {"axis", "dtype", "keepdims"}
_REDUCTIONS = {
    **dict.fromkeys(("sum", "prod", "mean", "max", "min", "amax", "amin"), _KNOWN),
    **dict.fromkeys(("var", "std"), _KNOWN | {"ddof"}),
}


def _refusing_others(name: str, known: set[str], pull_back: Callable[..., Any]) -> Callable[..., Any]:
    """Return the derivative of a reduction, which raises NotImplementedError for an argument that it would ignore."""

    def guarded(argnums: Any, ans: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        ignored = sorted(kwargs.keys() - known)
        if ignored:
            advice = [f"{REWRITES[option]}." for option in ignored if option in REWRITES] or ["Leave it out."]
            raise NotImplementedError(
                f"{name}: expected only {', '.join(sorted(known))} where it is differentiated, but got "
                f"{', '.join(ignored)}, which autograd's derivative ignores. {' '.join(advice)}"
            )
        return pull_back(argnums, ans, args, kwargs)

    return guarded


for _function, _pull_back in list(primitive_vjps.items()):
    _name = getattr(_function, "__name__", "")
    if _name in _REDUCTIONS:
        defvjp_argnums(_function, _refusing_others(_name, _REDUCTIONS[_name], _pull_back))

defvjp(anp.take, _take, argnums=(0,))
defvjp(anp.take_along_axis, _take_along_axis, argnums=(0,))
defvjp(anp.sort, _sort, argnums=(0,))
defvjp(anp.convolve, lambda *args, **options: _convolve(0, *args, **options),
       lambda *args, **options: _convolve(1, *args, **options))  # fmt: skip
defvjp(linalg._primitive_norm, _norm)
for _name in ("ogrid", "mgrid"):
    if not hasattr(autograd.numpy, _name):
        setattr(autograd.numpy, _name, getattr(np, _name))
