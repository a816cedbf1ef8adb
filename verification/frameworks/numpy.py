"""NumPy's arrays, for code that has gradients of its own; those of the problem are autograd's."""

from __future__ import annotations

import numpy as np

from verification.frameworks.autograd import gradient
from verification.frameworks.base import Framework


def make() -> Framework:
    """Return the framework."""
    return Framework("numpy", np, np.array, np.asarray, gradient, has_views=True)
