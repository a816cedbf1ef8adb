"""The packages of the extra `vectors`, which only the generator needs."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtraError(ImportError):
    """A package that the generator needs is not installed."""


def needed(module: str, package: str) -> Any:
    """Import a module of the extra `vectors`; where it is missing, say what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"The generator of the golden vectors needs the package {package}, which is not installed here. "
            f"Install it, for example with: python -m pip install {package}. Reading the vectors does not need it."
        ) from error
