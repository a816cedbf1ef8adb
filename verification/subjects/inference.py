"""Which framework a subject works in, where nobody says: by its annotations, what it uses, and what it imports."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import CodeType, ModuleType
from typing import Any

#: The framework of what a package defines, in the order in which they are preferred. The reference works on autograd's.
_PACKAGES = {
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "autograd": "autograd",
    "refmaml": "autograd",
}
_DEFAULT = "autograd"


def framework_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the framework of a subject, and what it was inferred from, in words.

    What says most is looked at first: the annotations of the function, the names in its code, then its module, and last
    the modules of what it calls. Nothing is imported or run for it.
    """
    plain = _plain(function)
    known = getattr(plain, "__globals__", None) or vars(sys.modules.get(str(plain.__module__), ModuleType("nothing")))
    used = [known[name] for name in _names(plain) if name in known]
    sources: list[tuple[str, Iterable[Any]]] = [
        ("its annotations name", _annotated(plain, known)),
        ("its code uses", [*used, *_imported_inside(plain)]),
        ("its module imports", list(known.values())),
        ("what it calls is in a module that imports", _beyond(used)),
    ]
    for words, values in sources:
        found = {framework for value in values if (framework := _framework(value))}
        for framework in _PACKAGES.values():
            if framework in found:
                return framework, f"{words} {framework}"
    return _DEFAULT, "it uses no other, and autograd's arrays are NumPy's"


def _plain(function: Any) -> Any:
    """Return the Python function inside of partial ones, wrappers, methods and objects that can be called."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def _framework(value: Any) -> str | None:
    """Return the framework that a value of a module belongs to."""
    if isinstance(value, str):
        name = value
    elif isinstance(value, ModuleType):
        name = value.__name__
    else:
        name = getattr(value, "__module__", None) or type(value).__module__
    return _PACKAGES.get(str(name).partition(".")[0])


def _annotated(function: Any, known: dict[str, Any]) -> Iterator[Any]:
    for annotation in getattr(function, "__annotations__", {}).values():
        if not isinstance(annotation, str):
            yield annotation
        else:
            yield from (known[name] for name in re.findall(r"(?<![\w.])[A-Za-z_]\w*", annotation) if name in known)


def _codes(function: Any) -> Iterator[CodeType]:
    waiting = [code] if isinstance(code := getattr(function, "__code__", None), CodeType) else []
    while waiting:
        yield (code := waiting.pop())
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _names(function: Any) -> list[str]:
    return [name for code in _codes(function) for name in code.co_names]


def _imported_inside(function: Any) -> list[str]:
    """Return the packages that the code of a function imports when it runs."""
    return [name for name in _names(function) if name.partition(".")[0] in _PACKAGES and name in sys.modules]


def _beyond(used: Iterable[Any]) -> Iterator[Any]:
    """Yield what is in the modules of the functions and classes, or of the modules, that a function uses."""
    for value in used:
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        module = sys.modules.get(str(name))
        if module is not None and module.__name__.partition(".")[0] not in sys.stdlib_module_names:
            yield from list(vars(module).values())
