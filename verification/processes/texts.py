"""What a program wrote, in a form that may be printed: no control characters, and not much of it."""

from __future__ import annotations

import json

from verification.texts import visible

_LONGEST = 200


def shown(value: object) -> str:
    """Return a JSON value for a message, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # nested too deeply to be written
        text = type(value).__name__
    return printable(text)


def printable(text: str | bytes, longest: int = _LONGEST) -> str:
    """Return a text with its control characters escaped, shortened in its middle."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} … {text[-longest // 3 :]}"
    return visible(text).replace("\n", "\\n")
