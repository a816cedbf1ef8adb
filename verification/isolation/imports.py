"""What a subject imports of the judge and of the reference: the answers are in there."""

from __future__ import annotations

import builtins
import importlib
from typing import Any

_OURS = ("verification", "refmaml")
#: What a subject needs to read a problem, for example to write down the type of its argument.
_INTERFACE = ("verification.problems", "verification.orders")


def watched_imports() -> set[str]:
    """Return the set into which from now on each module of ours goes that somebody else imports."""
    found: set[str] = set()
    original, original_by_name = builtins.__import__, importlib.import_module

    def note(name: str, importer: str) -> None:
        own = importer.partition(".")[0] in _OURS
        if name.partition(".")[0] in _OURS and not own and not name.startswith(_INTERFACE):
            found.add(name)

    def watched(name: str, *rest: Any, **named: Any) -> Any:
        known = rest[0] if rest else named.get("globals")
        if isinstance(name, str) and not (rest[3:] and rest[3]):
            note(name, str((known or {}).get("__name__", "")))
        return original(name, *rest, **named)

    def watched_by_name(name: str, package: str | None = None) -> Any:
        note(str(name), "")
        return original_by_name(name, package)

    builtins.__import__ = watched
    importlib.import_module = watched_by_name
    return found
