"""Training and evaluation in JAX, where a model or a loss says which of the two it is in.

Equinox has a flag in each layer that behaves in two ways, `inference`, which is a leaf of the pytree. In flax and haiku
it is an argument of the call, which a loss can hand on: `def loss(params, batch, train=True)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

#: What a layer calls its flag, and what losses call their argument.
_FLAG = "inference"
_ARGUMENTS = frozenset({"train", "training", "is_training", "deterministic", "inference", "use_running_average"})


def flags_in(paths: list[tuple[Any, Any]]) -> list[int]:
    """Return which leaves of a model are flags, from the leaves with their paths."""
    names = [str(getattr(path[-1], "name", getattr(path[-1], "key", ""))) if path else "" for path, _ in paths]
    return [
        spot for spot, (name, (_, leaf)) in enumerate(zip(names, paths, strict=True))
        if name == _FLAG and isinstance(leaf, bool)
    ]  # fmt: skip


def other_mode_of(loss: Callable[..., Any]) -> dict[str, bool]:
    """Return the arguments with which a loss is in the mode that it is not in without them; none where it has none."""
    try:
        parameters = inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return {}
    return {
        name: not parameter.default
        for name, parameter in parameters.items()
        if name in _ARGUMENTS and isinstance(parameter.default, bool)
    }
