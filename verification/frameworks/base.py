"""What an array framework is: the namespace that costs are evaluated in, and how arrays get in and out of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from operator import getitem
from typing import Any, TypeAlias

from numpy.typing import NDArray

#: Arrays by name.
Arrays: TypeAlias = dict[str, Any]
#: A scalar of (array namespace, data, variables).
Cost: TypeAlias = Callable[[Any, Arrays, Arrays], Any]


class MissingFrameworkError(ImportError):
    """A framework that a run asked for is not installed."""


def _any_precision(_dtype: Any) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True)
class Framework:
    """An array framework.

    `xp` is the array namespace; `array` makes a native array of a NumPy one, and `to_numpy` the way back. `gradient`
    returns the derivative of a cost in each of its variables, 0 where it uses one not, and works under the framework's
    own transformations. `compiled` makes one function of data and variables of a cost, for frameworks where calling
    operation by operation takes long. Code that works in a precision runs within `precision`, which is a setting of
    some frameworks; `preamble` has the lines by which a script of its own makes it, by dtype. `cut` takes rows of an
    array, as a view where the framework has views: what is written into a task's batch is written into the whole.
    `has_views` says whether arrays can be views of others, `promotes` whether float32 times float64 is float64, and no
    error, and `has_subnormals` whether it computes with subnormal numbers, and not with 0 in their place.
    """

    name: str
    xp: Any
    array: Callable[[NDArray[Any]], Any]
    to_numpy: Callable[[Any], NDArray[Any]]
    gradient: Callable[[Cost, Arrays, Arrays], Arrays]
    compiled: Callable[[Cost], Callable[[Arrays, Arrays], Any]] | None = None
    precision: Callable[[Any], AbstractContextManager[Any]] = _any_precision
    has_views: bool = False
    promotes: bool = True
    has_subnormals: bool = True
    preamble: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cut: Callable[[Any, slice], Any] = getitem


def optional(module: str, package: str) -> Any:
    """Return a module of a package that a plain installation does not have.

    Raises:
        MissingFrameworkError: it is not installed; the message says how to install it.
    """
    found = sys.modules.get(module)
    if found is not None:  # importing again takes as long as some operations
        return found
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingFrameworkError(
            f"The framework {module.partition('.')[0]} needs the package {package}, which is not installed here "
            f"({error}). Install it, for example with: python -m pip install {package}"
        ) from error
