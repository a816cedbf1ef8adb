"""Array frameworks: the namespace that costs are evaluated in, and how arrays get in and out of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class MissingFrameworkError(ImportError):
    """A framework that a run asked for is not installed."""


@dataclass(frozen=True)
class Framework:
    """`xp` is the array namespace; `array` makes a native array of a NumPy one, and `to_numpy` the way back."""

    name: str
    xp: Any
    array: Callable[[NDArray[Any]], Any]
    to_numpy: Callable[[Any], NDArray[Any]]


def _numpy(name: str, module: str) -> Framework:
    return Framework(name, importlib.import_module(module), np.array, np.asarray)


def _torch() -> Framework:
    torch = _optional("torch", "torch")

    def to_numpy(value: Any) -> NDArray[Any]:
        return np.asarray(value.detach().cpu().numpy() if torch.is_tensor(value) else value)

    return Framework("torch", torch, torch.tensor, to_numpy)


def _optional(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingFrameworkError(
            f"The framework {extra} needs the package {module}, which is not installed here. "
            f'Install it, for example with: pip install "refmaml[{extra}]"'
        ) from error


_MAKERS: dict[str, Callable[[], Framework]] = {
    "autograd": lambda: _numpy("autograd", "autograd.numpy"),
    "numpy": lambda: _numpy("numpy", "numpy"),
    "torch": _torch,
}
FRAMEWORKS = tuple(_MAKERS)


def framework(name: str) -> Framework:
    """Return the framework of that name; a `MissingFrameworkError` says what to install."""
    if name not in _MAKERS:
        raise ValueError(f"framework: expected one of {', '.join(FRAMEWORKS)}, but got {name!r}.")
    return _MAKERS[name]()
