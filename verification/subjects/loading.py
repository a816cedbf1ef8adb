"""Finding a subject by its name: ``package.module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from operator import attrgetter
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from verification.subjects.exceptions import described

#: Before the name of a file that is loaded as a module.
PREFIX = "subject_"


class SubjectError(Exception):
    """A subject cannot be used at all; the message says why and what to do."""


def load(where: str) -> Callable[..., Any]:
    """Return the function that ``package.module:name`` or ``path/to/file.py:name`` names.

    Raises:
        SubjectError: there is no such module, file or name, importing it raises, or it is not a function.
    """
    found = load_object(where)
    if not callable(found):
        raise SubjectError(f"{where} is not a function but {type(found).__name__}.")
    result: Callable[..., Any] = found
    return result


def load_object(where: str) -> Any:
    """Return whatever ``package.module:name`` or ``path/to/file.py:name`` names.

    Raises:
        SubjectError: there is no such module, file or name, or importing it raises.
    """
    place, colon, name = where.rpartition(":")
    if not (colon and place and name):
        raise SubjectError(f"expected package.module:name or path/to/file.py:name, but got {where!r}.")
    module = _imported(place)
    try:
        return attrgetter(name)(module)
    except Exception as error:  # whatever it is: a module may define its attributes by code
        public = ", ".join(attribute for attribute in vars(module) if not attribute.startswith("_"))
        raise SubjectError(f"{place} has no {name!r} ({described(error)}). It has: {public or 'nothing'}.") from error


def search(folder: str = "") -> None:
    """Let a package in a folder, the current one, be loaded, which need not be installed: as with `python -m`."""
    import refmaml  # noqa: F401  # before the path changes: a file of that name must not become the judge's reference

    if folder not in sys.path:
        sys.path.insert(0, folder)


def _imported(place: str) -> ModuleType:
    try:
        return _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except SubjectError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an exception of its own may be derived from that
        raise SubjectError(f"importing {place} raised {described(error)}") from error


class _SourceLoader(SourceFileLoader):
    """Loads what the file says now: compiled code of a second ago may have its size and its time."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file, compiled now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _from_file(path: Path) -> ModuleType:
    """Import a file, with its folder on the path, as running it would."""
    if not path.is_file():
        raise SubjectError(f"there is no file {path}.")
    search(str(path.resolve().parent))
    name = f"{PREFIX}{path.stem}"  # its own, so that no module of the same name is replaced
    spec = ModuleSpec(name, loader := _SourceLoader(name, str(path)), origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by its name
    loader.exec_module(module)
    return module
