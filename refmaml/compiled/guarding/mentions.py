"""What code mentions: names, and modules that it imports when it runs."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator
from importlib.util import resolve_name

_KEPT = 4096
_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


@functools.lru_cache(_KEPT)
def names_in(code: types.CodeType) -> frozenset[str]:
    """Return the names that code mentions, with the code inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return frozenset(names)


@functools.lru_cache(_KEPT)
def globals_in(code: types.CodeType) -> frozenset[str]:
    """Return the names that code looks up among the globals and then the builtins, with the code inside it."""
    names = {instruction.argval for instruction in dis.get_instructions(code) if instruction.opname in _GLOBAL}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= globals_in(constant)
    return frozenset(names)


@functools.lru_cache(_KEPT)
def imported_in(code: types.CodeType, package: str) -> tuple[str, ...]:
    """Return the names of what code imports, members that may be modules too, with the code inside it."""
    return tuple(_imported_in(code, package))


def _imported_in(code: types.CodeType, package: str) -> Iterator[str]:
    listing = list(dis.get_instructions(code))
    for level, members, third in zip(listing, listing[1:], listing[2:], strict=False):
        if third.opname == "IMPORT_NAME" and (package or not level.argval):
            name = resolve_name("." * level.argval + third.argval, package)
            yield name
            yield from (f"{name}.{member}" for member in members.argval or ())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imported_in(constant, package)
