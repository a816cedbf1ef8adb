"""Texts of others in a form that can be shown: nothing that a terminal obeys, nothing that a stream cannot write."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")

#: How the letters and signs of formulas are written where a stream has only ASCII, or a code page without them.
_SPELLINGS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "η": "eta", "θ": "theta", "κ": "kappa",
    "φ": "phi", "Σ": "sum ", "∇": "grad ", "∂": "d", "√": "sqrt ", "‖": "|", "·": "*", "−": "-", "–": "-", "±": "+-",
    "½": "1/2", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "↦": "->", "→": "->", "←": "<-", "…": "...", "⋯": "...",
    "ᵀ": "^T", "ᴷ": "^K", "⁻": "^-", "⁰": "^0", "¹": "^1", "²": "^2", "³": "^3", "⁴": "^4", "⁵": "^5", "⁶": "^6",
    "⁷": "^7", "⁸": "^8", "⁹": "^9", "\N{COMBINING MACRON}": "_mean", "ḡ": "g_mean", "×": "x", "█": "#", "∞": "inf",
}  # fmt: skip
_BEFORE_COMMAND = re.compile(r"\n(?=\s*::)")
#: The error handler of a codec that spells out what an encoding lacks.
SPELLED = "spelled-out"


def visible(text: str) -> str:
    """Return a text in which every character can be seen: escapes, controls and marks of direction are spelled out.

    A terminal obeys escape sequences, and a mark of direction makes a text read as what it is not. Line feeds stay, but
    for those before two colons: a runner of GitHub obeys a line that begins with them.
    """
    text = _BEFORE_COMMAND.sub(r"\\n", text)
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


def spelled(text: str, encoding: str) -> str:
    """Return a text in characters that an encoding has: φ becomes phi, what has no spelling its code point."""
    return text.encode(encoding, SPELLED).decode(encoding)


def with_texts(value: T, change: Callable[[str], str]) -> T:
    """Return a value with every text in it changed: in lists, tuples, dictionaries and data classes, at any depth."""
    return _with_texts(value, change)  # type: ignore[no-any-return]  # it returns what it gets


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_with_texts(entry, change) for entry in value)
    if isinstance(value, dict):
        return {_with_texts(key, change): _with_texts(entry, change) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{field.name: _with_texts(getattr(value, field.name), change) for field in fields(value)}
        )
    return value


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Spell what a codec cannot write."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelling, error.object[error.start : error.end])), error.end


def _spelling(character: str) -> str:
    return _SPELLINGS.get(character) or character.encode("ascii", "backslashreplace").decode()


codecs.register_error(SPELLED, _spell)

#: Where the documentation is published: `.readthedocs.yaml` says how it is built.
_DOCUMENTATION = "https://refmaml.readthedocs.io/en/latest"
#: An issue or pull request as sources name it: owner/name#number.
ISSUE = re.compile(r"\b([\w-]+/[\w.-]+)#(\d+)")


def issue_address(repository: str, number: str) -> str:
    """Return the address of an issue or pull request; GitHub leads from one to the other."""
    return f"https://github.com/{repository}/issues/{number}"


def fault_address(fault: str) -> str:
    """Return the address of the page on a fault; mistakes in reading a golden vector have one together."""
    page = "vectors.html#the-named-faults" if fault.startswith("V") else f"faults/{fault}.html"
    return f"{_DOCUMENTATION}/{page}"
