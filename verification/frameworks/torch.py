"""PyTorch's tensors, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import Arrays, Cost, Framework, optional


def make() -> Framework:
    """Return the framework.

    Raises:
        MissingFrameworkError: PyTorch is not installed.
    """
    torch = optional("torch", "torch")

    def to_numpy(value: Any) -> NDArray[Any]:
        return np.asarray(value.detach().cpu().resolve_neg().numpy() if torch.is_tensor(value) else value)

    def gradient(cost: Cost, data: Arrays, variables: Arrays) -> Arrays:
        found: Arrays = torch.func.grad(lambda v: cost(torch, data, v))(variables)
        return found

    return Framework("torch", torch, torch.tensor, to_numpy, gradient, has_views=True)
