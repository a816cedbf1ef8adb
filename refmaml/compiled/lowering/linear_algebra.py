"""Linear algebra: LAPACK's routines on stacks of matrices, and what NumPy makes of their results."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from autograd.numpy import linalg

from refmaml.compiled.lowering.rules import Call, rule
from refmaml.compiled.program.program import DType, Shape, Value

#: From NumPy 2 on, only a right-hand side of one axis is a vector; before, one with an axis less than the matrices.
_ONE_AXIS = np.lib.NumpyVersion(np.__version__) >= "2.0.0b1"
Parts = dict[str, tuple[int, int]]


def _stacked(call: Call, value: Value, lead: Shape) -> Value:
    """Return matrices as [B, rows, columns], repeated along leading axes where the other operand has more."""
    whole = call.b.broadcast(value, (*lead, *value.shape[-2:]))
    return call.b.reshape(whole, (prod(lead), *value.shape[-2:]))


def _part(call: Call, factors: Value, parts: Parts, name: str, shape: Shape, result: Shape) -> Value:
    """Return a part of LAPACK's result, which has Fortran's order, as an array of shape `result`."""
    start, size = parts[name]

    def read(a: Any) -> Any:
        return np.swapaxes(a[:, start : start + size].reshape(len(a), *shape[::-1]), -1, -len(shape))

    return call.b.reshape(call.b.view(factors, read), result)


def _solved(call: Call, a: Value, b: Value) -> Value:
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    factors, parts = call.b.factor("solve", _stacked(call, a, lead), _stacked(call, b, lead))
    shape = b.shape[-2:]
    return _part(call, factors, parts, "x", shape, (*lead, *shape))


@rule(linalg.solve)
def solve(call: Call, a: Any, b: Any) -> Value:
    """X of A X = B, or of A x = b."""
    left, right = (call.value(arg, call.dtype) for arg in (a, b))
    vector = len(right.shape) == (1 if _ONE_AXIS else len(left.shape) - 1)
    right = call.b.reshape(right, (*right.shape, 1)) if vector else right
    return call.b.reshape(_solved(call, left, right), call.shape)


@rule(linalg.inv)
def inv(call: Call, a: Any) -> Value:
    """X of A X = 1, as NumPy computes it."""
    value = call.value(a, call.dtype)
    return _solved(call, value, call.value(np.eye(value.shape[-1]), call.dtype))


@rule(linalg.cholesky)
def cholesky(call: Call, a: Any, **options: Any) -> Value:
    """The lower factor L of A = L Lᵀ, by the lower triangle of A."""
    call.only(options, upper=False)
    value, dtype = call.value(a, call.dtype), call.dtype
    factors, parts = call.b.factor("cholesky", _stacked(call, value, value.shape[:-2]))
    whole = _part(call, factors, parts, "a", value.shape[-2:], value.shape)
    mask = call.value(np.broadcast_to(np.tri(value.shape[-1], dtype=bool), value.shape))
    return call.b.map("where", mask, whole, call.value(0, dtype), dtype=dtype)


def _sign_and_logarithm(call: Call, a: Any, dtype: DType) -> tuple[Value, Value]:
    """Return the sign and log |det A|, from the diagonal of the triangular factor and the permutation."""
    value = call.value(a, dtype)
    lead = value.shape[:-2]
    factors, parts = call.b.factor("lu", _stacked(call, value, lead))
    whole = _part(call, factors, parts, "a", value.shape[-2:], value.shape)
    diagonal = call.b.view(whole, lambda v: np.diagonal(v, axis1=-2, axis2=-1))
    turned = _part(call, factors, parts, "sign", (1,), lead)
    sign = call.b.reduce("prod", call.b.map("sign", diagonal, dtype=dtype), (-1,))
    size = call.b.map("log", call.b.map("absolute", diagonal, dtype=dtype), dtype=dtype)
    return call.b.map("multiply", turned, sign, dtype=dtype), call.b.reduce("sum", size, (-1,))


@rule(linalg.slogdet)
def slogdet(call: Call, a: Any) -> list[Value]:
    """The sign and log |det A|."""
    return list(_sign_and_logarithm(call, a, call.dtypes[0]))


@rule(linalg.det)
def det(call: Call, a: Any) -> Value:
    """Sign · exp(log |det A|), as NumPy computes it."""
    sign, logarithm = _sign_and_logarithm(call, a, call.dtype)
    return call.b.map("multiply", sign, call.b.map("exp", logarithm, dtype=call.dtype), dtype=call.dtype)


def _eigen(call: Call, a: Any, triangle: str, dtype: DType) -> tuple[Value, Value]:
    value = call.value(a, dtype)
    if triangle not in ("L", "U"):
        call.refuse("UPLO='L' or 'U'")
    if triangle == "U":
        value = call.b.view(value, lambda v: np.swapaxes(v, -1, -2))
    factors, parts = call.b.factor("eigh", _stacked(call, value, value.shape[:-2]))
    n = value.shape[-1]
    vectors = _part(call, factors, parts, "a", (n, n), value.shape)
    return _part(call, factors, parts, "values", (n,), value.shape[:-1]), vectors


@rule(linalg.eigh)
def eigh(call: Call, a: Any, UPLO: str = "L") -> list[Value]:  # noqa: N803 - NumPy's
    """Eigenvalues in ascending order, and eigenvectors, of a symmetric matrix."""
    return list(_eigen(call, a, UPLO, call.dtypes[0]))


@rule(linalg.eigvalsh)
def eigvalsh(call: Call, a: Any, UPLO: str = "L") -> Value:  # noqa: N803 - NumPy's
    """Eigenvalues in ascending order of a symmetric matrix."""
    return _eigen(call, a, UPLO, call.dtype)[0]


@rule(linalg.svd)
def svd(call: Call, a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Singular values in descending order, with the thin U and Vᵀ around them."""
    dtype = call.dtypes[0] if compute_uv else call.dtype
    value = call.value(a, dtype)
    rows, columns = value.shape[-2:]
    if hermitian or (compute_uv and full_matrices and rows != columns):
        call.refuse("full_matrices=False and hermitian=False")
    lead, few = value.shape[:-2], min(rows, columns)
    factors, parts = call.b.factor("svd", _stacked(call, value, lead))
    s = _part(call, factors, parts, "s", (few,), (*lead, few))
    if not compute_uv:
        return s
    u = _part(call, factors, parts, "u", (rows, few), (*lead, rows, few))
    return [u, s, _part(call, factors, parts, "vt", (few, columns), (*lead, few, columns))]
