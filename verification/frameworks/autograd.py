"""NumPy's arrays with HIPS autograd's namespace, which the reference works on."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad

from verification.frameworks.base import Arrays, Cost, Framework


def make() -> Framework:
    """Return the framework."""
    return Framework("autograd", anp, np.array, np.asarray, gradient, has_views=True)


def gradient(cost: Cost, data: Arrays, variables: Arrays) -> Arrays:
    """Return the derivative of a cost in each variable."""

    # By leaves: autograd boxes a container as a whole, and a box of a dict is no Mapping to walk.
    def of_leaves(*leaves: Any) -> Any:
        return cost(anp, data, dict(zip(variables, leaves, strict=True)))

    found = grad(of_leaves, argnum=tuple(range(len(variables))))(*variables.values())
    return dict(zip(variables, found, strict=True))
