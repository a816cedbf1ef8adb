"""Finding a subject by its name: ``package.module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


class SubjectError(Exception):
    """A subject cannot be used at all; the message says why and what to do."""


def load(where: str) -> Callable[..., Any]:
    """Return the function that ``package.module:name`` or ``path/to/file.py:name`` names.

    Raises:
        SubjectError: there is no such module, file or name, importing it raises, or it is not a function.
    """
    place, colon, name = where.rpartition(":")
    if not (colon and place and name):
        raise SubjectError(f"expected package.module:name or path/to/file.py:name, but got {where!r}.")
    module = _imported(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = ", ".join(each for each in vars(module) if not each.startswith("_"))
            raise SubjectError(f"{place} has no {name!r}. It has: {public}.")
        found = getattr(found, part)
    if not callable(found):
        raise SubjectError(f"{where} is not a function but {type(found).__name__}.")
    result: Callable[..., Any] = found
    return result


def _imported(place: str) -> ModuleType:
    try:
        return _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except SubjectError:
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(f"importing {place} raised {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> ModuleType:
    """Import a file under its own name, with its folder on the path, as running it would."""
    if not path.is_file():
        raise SubjectError(f"there is no file {path}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:  # pragma: no cover  # a name that ends in .py always has a loader
        raise SubjectError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec.loader.exec_module(module)
    return module
