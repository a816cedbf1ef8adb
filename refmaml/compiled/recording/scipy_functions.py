"""Functions of SciPy that autograd has in modules of their own, recorded as others."""

# ruff: noqa: ARG001 - a definition has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from typing import Any

import numpy as np
from autograd.numpy import linalg
from autograd.numpy import numpy_wrapper as anp
from autograd.scipy import integrate, signal
from autograd.scipy import linalg as scipy_linalg

from refmaml.compiled.errors import UnsupportedPrimitive, at, user_line
from refmaml.compiled.recording.definitions import defined


@defined(integrate.odeint)
def odeint(*args: Any, **options: Any) -> Any:
    """Refuse an integrator that chooses its steps by the numbers that it meets."""
    raise UnsupportedPrimitive(
        f"odeint: expected a number of steps that does not depend on data{at(user_line())}. Write the steps of Runge "
        "and Kutta in a loop over np.linspace, or pass on_unsupported='reference'."
    )


@defined(signal.convolve)
def convolve(
    A: Any,  # noqa: N803 - autograd's
    B: Any,  # noqa: N803 - autograd's
    axes: Any = None,
    dot_axes: Any = ((), ()),
    mode: str = "full",
) -> Any:
    """Autograd's convolution: windows of the longer operand times the flipped shorter one (its own order of axes)."""
    if mode not in ("valid", "full"):
        return NotImplemented
    A, B = anp.array(A), anp.array(B)  # noqa: N806
    axes = [list(range(A.ndim)), list(range(A.ndim))] if axes is None else [list(axis) for axis in axes]
    dot_axes = [list(axis) for axis in dot_axes]
    shorter = any(B.shape[b] < A.shape[a] for a, b in zip(*axes, strict=True))
    if shorter and (mode == "valid" or B.size <= A.size):
        first = B.ndim - len(dot_axes[1]) - len(axes[1])
        second = first + A.ndim - len(dot_axes[0]) - len(axes[0])
        order = [*range(first, second), *range(first), *range(second, second + len(axes[0]))]
        return anp.transpose(convolve(B, A, axes[::-1], dot_axes[::-1], mode), order)
    if mode == "full":
        widths = [(0, 0)] * B.ndim
        for a, b in zip(*axes, strict=True):
            widths[b] = (A.shape[a] - 1,) * 2
        B = anp.pad(B, widths, mode="constant")  # noqa: N806
    flipped = [slice(None)] * A.ndim
    for a, b in zip(*axes, strict=True):
        flipped[a] = slice(None, None, -1)
        table = np.arange(A.shape[a])[:, None] + np.arange(abs(B.shape[b] - A.shape[a]) + 1)
        B = anp.moveaxis(B[(slice(None),) * b + (table,)], b + 1, -1)  # noqa: N806
    return anp.tensordot(A[tuple(flipped)], B, [[*axes[0], *dot_axes[0]], [*axes[1], *dot_axes[1]]])


@defined(scipy_linalg.solve_triangular)
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, **options: Any) -> Any:
    """Solve with one triangle of a matrix."""
    if options.pop("unit_diagonal", False):
        return NotImplemented
    triangle = anp.tril(a) if lower else anp.triu(a)
    return linalg.solve(triangle if trans in (0, "N") else anp.transpose(triangle), b)
