"""The implicit meta-gradient of iMAML, where an author means it.

The inner problem is S(φ) + ½ λ ‖φ − θ‖², and what differentiates its solution φ* by θ is (I + ∇²S(φ*)/λ)⁻¹: Rajeswaran,
Finn, Kakade and Levine, 2019, lemma 1. Algorithm 2 there takes it at the point that K inner steps reach, and solves by
conjugate gradients from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FlatArray = NDArray[Any]
#: u ↦ H u.
Product = Callable[[FlatArray], FlatArray]


@dataclass(frozen=True, kw_only=True)
class Implicit:
    """λ, and the number of steps of conjugate gradients, 0 where the system is solved to rounding."""

    strength: float
    cg_steps: int = 0

    def matrix(self, hessian: NDArray[Any]) -> NDArray[Any]:
        """Return I + H/λ."""
        found: NDArray[Any] = np.eye(len(hessian), dtype=hessian.dtype) + hessian / hessian.dtype.type(self.strength)
        return found

    def exactly(self, hessian: NDArray[Any], u: FlatArray) -> FlatArray:
        """Return (I + H/λ)⁻¹ u; NaN where I + H/λ is not positive definite, for φ is no minimum then."""
        matrix = self.matrix(hessian)
        if not np.all(np.linalg.eigvalsh(matrix) > 0):
            return np.full_like(u, np.nan)
        found: FlatArray = np.linalg.solve(matrix, u)
        return found

    def by_conjugate_gradients(self, product: Product, u: FlatArray) -> FlatArray:
        """Return what the steps of conjugate gradients reach from 0, with the Hessian in products alone."""
        found, residual = np.zeros_like(u), u
        direction, square = residual, residual @ residual
        for _ in range(self.cg_steps or 2 * len(u)):
            if square <= (np.finfo(u.dtype).eps * np.linalg.norm(u)) ** 2:
                break
            image = direction + product(direction) / u.dtype.type(self.strength)
            length = square / (direction @ image)
            found = found + length * direction
            residual = residual - length * image
            before, square = square, residual @ residual
            direction = residual + square / before * direction
        return found
