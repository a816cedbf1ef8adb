"""Hessian-vector products by differences of gradients, where an author means them: Per-FedAvg (HF).

∇²S(φ) u ≈ (∇S(φ + δu) − ∇S(φ − δu)) / 2δ; Fallah, Mokhtari and Ozdaglar, 2020, section 5. Its error is δ² times a
third derivative of S, and its rounding that of ∇S over δ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class HessianFree:
    """Differences of a length δ: over the norm of u where it is `relative`, from φ itself where they are one-sided."""

    delta: float
    relative: bool = False
    one_sided: bool = False
    #: What δ is multiplied by to divide the difference.
    over: float = 2.0

    def product(self, gradient: Callable[[Any], Any], phi: Any, u: Any) -> Any:
        """Return what stands for the product of the Hessian of a cost at φ with u; `gradient` is that of the cost."""
        size = float(np.linalg.norm(u)) if self.relative else 1.0
        delta = np.asarray(u).dtype.type(self.delta / size if size else self.delta)
        behind = phi if self.one_sided else phi - delta * u
        return (gradient(phi + delta * u) - gradient(behind)) / (self.over * delta)
