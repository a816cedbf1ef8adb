"""The hot loops that emitted source calls: matrix products with literal shapes, and sums of long rows.

Each is described by a small frozen record, which the emitted source names, and exists twice: as plain Python, which
says what it computes and runs when the jit is off, and as vector code, written by `machine.microkernels`,
which Numba puts into the place of the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows of A up to which a product of long rows is one of "dots".
_FEW_ROWS = 6


@dataclass(frozen=True)
class MatMul:
    """C[m, n] (+)= α Σ_k A[m, k] B[k, n], with strides in elements; C's rows are contiguous.

    `form` is "rows" where rows of B are contiguous (vectors run along n), and "dots" where rows of A and columns of B
    are (vectors run along k).
    """

    rows: int
    columns: int
    summed: int
    a: tuple[int, int]
    b: tuple[int, int]
    itemsize: int
    form: str
    accumulate: bool

    @property
    def reaches(self) -> tuple[int, ...]:
        """How far beyond each of the places where it starts the kernel goes."""
        m, n, k = self.rows - 1, self.columns - 1, self.summed - 1
        return (self.rows * self.columns - 1, m * self.a[0] + k * self.a[1], k * self.b[0] + n * self.b[1])

    def plain(self, w: NDArray[Any], c: int, a: int, b: int, alpha: Any) -> None:
        """Compute the product with NumPy."""
        left = _strided(w, a, (self.rows, self.summed), self.a)
        right = _strided(w, b, (self.summed, self.columns), self.b)
        result = _strided(w, c, (self.rows, self.columns), (self.columns, 1))
        if self.accumulate:
            result += alpha * (left @ right)
        else:
            result[...] = left @ right


@dataclass(frozen=True)
class RowSum:
    """Σ of `length` neighbours, in as many partial sums as there are lanes in four vectors."""

    length: int
    itemsize: int

    @property
    def reaches(self) -> tuple[int, ...]:
        """As for a product."""
        return (self.length - 1,)

    def plain(self, w: NDArray[Any], start: int) -> Any:
        """Sum with NumPy."""
        return w[start : start + self.length].sum()


@dataclass(frozen=True)
class Turn:
    """C[columns, rows] = Aᵀ, where A's rows are contiguous and `stride` apart."""

    rows: int
    columns: int
    stride: int
    itemsize: int

    @property
    def reaches(self) -> tuple[int, ...]:
        """As for a product."""
        return (self.rows * self.columns - 1, (self.rows - 1) * self.stride + self.columns - 1)

    def plain(self, w: NDArray[Any], c: int, a: int) -> None:
        """Transpose with NumPy."""
        source = _strided(w, a, (self.rows, self.columns), (self.stride, 1))
        _strided(w, c, (self.columns, self.rows), (self.rows, 1))[...] = source.T


@dataclass(frozen=True)
class Factors:
    """A routine of LAPACK on a matrix A[rows, columns], with strides in elements, in a place of `length` elements.

    The place has the results, each in Fortran's order, and then what the routine works with: `parts` says where.

    - "solve": X of A X = B, with B[rows, right];
    - "lu": the factors of A, and the sign of the permutation;
    - "cholesky": the lower factor (above it is what A has there);
    - "eigh": eigenvectors and eigenvalues of a symmetric A, by its lower triangle;
    - "svd": U, the singular values and Vᵀ.
    """

    routine: str
    rows: int
    columns: int
    right: int
    a: tuple[int, int]
    b: tuple[int, int]
    itemsize: int

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """Where each part begins, and its number of elements; one holds an integer of 32 bits."""
        return parts_of_factors(self.routine, self.rows, self.columns, self.right)

    @property
    def reaches(self) -> tuple[int, ...]:
        """As for a product."""
        m, n, k = self.rows - 1, self.columns - 1, max(self.right - 1, 0)
        return (self.parts["end"][0] - 1, m * self.a[0] + n * self.a[1], m * self.b[0] + k * self.b[1])

    def plain(self, w: NDArray[Any], c: int, a: int, b: int) -> int:
        """Compute the factors with NumPy and SciPy; return 0, or another number where there are none."""
        import scipy.linalg

        matrix = _strided(w, a, (self.rows, self.columns), self.a)
        results: dict[str, Any] = {}
        try:
            if self.routine == "solve":
                results["x"] = np.linalg.solve(matrix, _strided(w, b, (self.rows, self.right), self.b))
            elif self.routine == "lu":
                factors, pivots = scipy.linalg.lu_factor(matrix, check_finite=False)
                swaps = np.count_nonzero(pivots != np.arange(self.rows))
                results = {"a": factors, "sign": np.array([(-1.0) ** swaps])}
            elif self.routine == "cholesky":
                results["a"] = np.linalg.cholesky(matrix)
            elif self.routine == "eigh":
                results["values"], results["a"] = np.linalg.eigh(matrix)
            else:
                results["u"], results["s"], results["vt"] = np.linalg.svd(matrix, full_matrices=False)
        except np.linalg.LinAlgError:
            return 1
        for name, result in results.items():
            start, size = self.parts[name]
            w[c + start : c + start + size] = result.T.reshape(-1)
        return 0


@cache
def parts_of_factors(routine: str, rows: int, columns: int, right: int) -> dict[str, tuple[int, int]]:
    """Return where the parts of a place of `Factors` begin, with their sizes; "end" begins where the place ends.

    The work spaces are the smallest ones that LAPACK's documentation allows.
    """
    n, few, many = rows, min(rows, columns), max(rows, columns)
    sizes = {
        "solve": {"x": n * right, "a": n * n, "pivots": n},
        "lu": {"a": n * n, "sign": 1, "pivots": n},
        "cholesky": {"a": n * n},
        "eigh": {"a": n * n, "values": n, "work": 1 + 6 * n + 2 * n * n, "integers": 3 + 5 * n},
        "svd": {
            "u": rows * few, "s": few, "vt": few * columns, "a": rows * columns,
            "work": 4 * few * few + 7 * few + 3 * few + many, "integers": 8 * few,
        },
    }[routine]  # fmt: skip
    parts, start = {}, 0
    for name, size in {**sizes, "arguments": 8, "end": 0}.items():
        parts[name] = (start, size)
        start += size
    return parts


Kernel = MatMul | RowSum | Turn | Factors


def _strided(w: NDArray[Any], start: int, shape: tuple[int, int], strides: tuple[int, int]) -> NDArray[Any]:
    return np.lib.stride_tricks.as_strided(w[start:], shape, tuple(n * w.itemsize for n in strides))


def multiply_form(a: tuple[int, int], b: tuple[int, int], rows: int, columns: int, summed: int) -> str | None:
    """Return the form of a product of operands with these strides, or None where B has to be transposed first."""
    if columns > 1 and b[1] == 1:
        return "rows"
    along = (a[1] == 1 and b[0] == 1) or summed == 1
    if along and (columns == 1 or (rows <= _FEW_ROWS and summed >= 64)):
        return "dots"
    return "rows" if columns == 1 else None
