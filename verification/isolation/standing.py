"""What the judge stands on where it shares a process with somebody's code: functions that must stay what they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

_PACKAGES = ("verification", "refmaml", "numpy", "autograd", "builtins", "json", "math")
#: What programs exchange for good reasons, and the judge does not compute with.
_FREE = frozenset({"builtins.__import__", "builtins.input", "builtins.open", "builtins.print"})


class Standing:
    """The functions and classes of the judge, and of the packages that it computes with, as they are now."""

    def __init__(self) -> None:
        self._known = {(id(holder), name): (path, holder, value) for path, holder, name, value in _functions()}

    def exchanged(self) -> list[str]:
        """Return the names of those that are other ones now, or gone."""
        return [
            path
            for (_, name), (path, holder, value) in self._known.items()
            if vars(holder).get(name) is not value and path not in _FREE
        ]


def _functions() -> Iterator[tuple[str, Any, str, Any]]:
    """Yield functions and classes with the modules, and for the judge's own also the classes, that they stand in."""
    for place, module in list(sys.modules.items()):
        package = place.partition(".")[0]
        if package not in _PACKAGES or module is None:
            continue
        for name, value in list(vars(module).items()):
            if not callable(value):
                continue
            yield f"{place}.{name}", module, name, value
            if isinstance(value, type) and value.__module__ == place and package == "verification":
                yield from (
                    (f"{place}.{name}.{inner}", value, inner, part)
                    for inner, part in list(vars(value).items())
                    if callable(part) or isinstance(part, property)
                )
