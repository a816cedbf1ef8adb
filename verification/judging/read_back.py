"""Gradients that were read back from parameters, by an outer rate β that nobody declared.

Whoever takes an outer step and returns (θ − θ')/β has subtracted two numbers that were each rounded in units of θ. The
error is u ‖θ‖/β, whatever the gradient is: on the scale of a small gradient, or of one that is 0, that looks like a
mistake, and it is none. What tells it from one is that it is *noise*: in units of u ‖θ‖ it is of one size on every
problem, with inner steps or without, and in both precisions. A mistake has the same error in both precisions, so that
in these units its error in float64 is 2²⁹ times that in float32; a lower precision inside, and differences that stand
for derivatives, do not follow u either, and are as large as a gradient or a Hessian is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verification.judging import tolerances
from verification.judging.standard import Standard
from verification.judging.tolerances import norm, unit_roundoff
from verification.orders import DTYPES

#: 1/β at most: in float64 the bound is then 64 · 2⁻⁵³ · 2²⁰ ‖θ‖, or 1e-8 of θ, and every fault of the catalogue shows.
_LARGEST = 2.0**20
#: The noise of a problem, in units of u ‖θ‖, is at least a part of the median over problems. A norm over some ten
#: numbers is rarely off by more than 3; the rest is for means over tasks and for numbers that are exact by chance.
#: Large gradients have the rounding of their own beside it, so that there is no such limit above: the bound that
#: follows from β is one.
_SPREAD = 32.0


@dataclass(frozen=True)
class Noise:
    """How far the gradients of one answer are off, leaf by leaf."""

    standard: Standard
    dtype: str
    errors: dict[str, float]

    @property
    def size(self) -> float:
        """The error of all leaves together, in units of u ‖θ‖."""
        starts = tolerances.starts_over(self.standard.generic, 1.0)
        size = norm([starts[chain] for chain in self.errors])
        return norm(list(self.errors.values())) / (unit_roundoff(self.dtype) * size)


def fitted_rate(noises: Sequence[Noise]) -> float | None:
    """Return the β by which gradients seem to be read back; None where their errors are no such noise.

    Every problem has to be there in both precisions: that the error follows u is what tells it from a mistake.
    """
    double, single = ({noise.standard: noise.size for noise in noises if noise.dtype == dtype} for dtype in DTYPES)
    if not double or single.keys() != double.keys():
        return None
    sizes = [*double.values(), *single.values()]
    usual = float(np.median(sizes))
    return 1 / usual if 0 < usual <= _LARGEST and min(sizes) >= usual / _SPREAD else None
