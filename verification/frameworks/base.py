"""What an array framework is: the namespace that costs are evaluated in, and how arrays get in and out of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def optional(module: str, extra: str) -> Any:
    """Return a module that a plain installation does not have.

    Raises:
        MissingFrameworkError: it is not installed; the message says which extra to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingFrameworkError(
            f"The framework {extra} needs the package {module}, which is not installed here. "
            f'Install it, for example with: pip install "refmaml[{extra}]"'
        ) from error
