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
from verification.subjects.hints import how_to_name, what_there_is, what_to_do, where_raised

#: Before the name of a file that is loaded as a module.
PREFIX = "subject_"


def is_loaded_file(module: ModuleType) -> bool:
    """Return whether a module is a file that was loaded as a subject."""
    return module.__name__.rpartition(".")[2].startswith(PREFIX)


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
        raise _misnamed(where, place or where, name)
    module = _imported(place, name)
    try:
        return attrgetter(name)(module)
    except Exception as error:  # whatever it is: a module may define its attributes by code
        public = [attribute for attribute in vars(module) if not attribute.startswith("_")]
        raise SubjectError(f"{place} has no {name!r} ({described(error)}). {what_there_is(name, public)}") from error


def search(folder: str = "") -> None:
    """Let a package in a folder, the current one, be loaded, which need not be installed: as with `python -m`."""
    import refmaml  # noqa: F401  # before the path changes: a file of that name must not become the judge's reference

    if folder not in sys.path:
        sys.path.insert(0, folder)


def _misnamed(where: str, place: str, name: str) -> SubjectError:
    return SubjectError(
        f"expected package.module:name or path/to/file.py:name, but got {where!r}.{how_to_name(place, name)}"
    )


def _imported(place: str, name: str) -> ModuleType:
    if not place.endswith(".py") and (place.endswith(":") or {"/", "\\"} & set(place) or Path(place).is_file()):
        raise _misnamed(f"{place}:{name}", place, name)  # no module has such a name
    try:
        return _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except SubjectError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an exception of its own may be derived from that
        said = f"{described(error)}{where_raised(error, place)}{what_to_do(error, place)}"
        raise SubjectError(f"importing {place} raised {said}") from error


class _SourceLoader(SourceFileLoader):
    """Loads what the file says now: compiled code of a second ago may have its size and its time."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file, compiled now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _package_of(folder: Path) -> tuple[str, Path]:
    """Return the package that a folder is, with a dot at its end, and the folder to import it from; "" for none."""
    if not (folder / "__init__.py").is_file() or folder.parent == folder:
        return "", folder
    package, root = _package_of(folder.parent)
    return f"{package}{folder.name}.", root


def _from_file(path: Path) -> ModuleType:
    """Import a file, with its folder on the path, as running it would; in a package, as a module of it."""
    if not path.is_file():
        raise SubjectError(f"there is no file {path}.")
    package, root = _package_of(path.resolve().parent)
    for folder in dict.fromkeys((root, path.resolve().parent)):
        search(str(folder))
    name = f"{package}{PREFIX}{path.stem}"  # its own, so that no module of the same name is replaced
    spec = ModuleSpec(name, loader := _SourceLoader(name, str(path)), origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by its name
    loader.exec_module(module)
    return module
