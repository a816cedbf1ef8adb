"""The frameworks that a model can be of, and which of them a model is of."""

from __future__ import annotations

from typing import Any

from verification.models.interface import Adapter
from verification.models.jax_adapter import JaxAdapter
from verification.models.numpy_adapter import NumpyAdapter
from verification.models.torch_adapter import TorchAdapter

#: By name, in the order in which a model is offered to them.
ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (TorchAdapter(), JaxAdapter(), NumpyAdapter())}


def adapter_of(model: Any, framework: str | None = None) -> Adapter:
    """Return the adapter of a framework, or of the one that a model is of.

    Raises:
        ValueError: there is no such framework.
        TypeError: the model is not of the framework, or of none.
    """
    if framework is not None and framework not in ADAPTERS:
        raise ValueError(f"framework: expected one of {', '.join(map(repr, ADAPTERS))}, but got {framework!r}.")
    offered = ADAPTERS.values() if framework is None else [ADAPTERS[framework]]
    for adapter in offered:
        if adapter.takes(model, is_named=framework is not None):
            return adapter
    raise TypeError(
        f"model: expected {' or '.join(adapter.model for adapter in offered)}, but got {type(model).__name__}."
    )
