"""The lines that go back and forth: requests as they are written, and the frame of answers as they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from verification.processes.texts import shown

KINDS = ("result", "skipped", "error")


class MalformedError(Exception):
    """An answer is not what the protocol says; the message is a sentence without its full stop."""


def request(command: str, number: int, **rest: Any) -> bytes:
    """Return a request as a line."""
    return json.dumps({"command": command, "id": number, **rest}, ensure_ascii=False).encode() + b"\n"


def envelope(line: bytes, number: int, known: Sequence[str] = KINDS) -> tuple[str, Any]:
    """Return which of the known kinds of answer a line is, and what it holds.

    Raises:
        MalformedError: it is no JSON object, answers another request, or is not of exactly one of the kinds.
    """
    try:
        answer = json.loads(line, parse_constant=_refuse)
    except RecursionError:
        raise MalformedError(f"expected a JSON object on one line, but got {_shown_line(line)}") from None
    except ValueError as error:  # bytes that are not UTF-8 as well
        reason = getattr(error, "msg", None) or str(error)
        raise MalformedError(f"expected a JSON object on one line, but got {_shown_line(line)} ({reason})") from None
    if not isinstance(answer, dict):
        raise MalformedError(f"expected a JSON object on one line, but got {shown(answer)}")
    came = answer.get("id")
    if came != number or isinstance(came, bool):
        raise MalformedError(f"expected the answer to the request with id {number}, but it has {shown(came)}")
    kinds = [kind for kind in known if kind in answer]
    if len(kinds) != 1:
        raise MalformedError(f"expected one of the keys {', '.join(known)}, but it has {shown(sorted(answer))}")
    content = answer[kinds[0]]
    expected: type = dict if kinds[0] == "result" else str
    if not isinstance(content, expected):
        what = "an object" if expected is dict else "a sentence in a string"
        raise MalformedError(f"{kinds[0]}: expected {what}, but got {shown(content)}")
    return kinds[0], content


def _shown_line(line: bytes) -> str:
    """Return a line for a message, shortened before it is looked at: it may be long."""
    return shown((line[:300] + b" ... " + line[-100:] if len(line) > 400 else line).decode("utf-8", "backslashreplace"))


def _refuse(constant: str) -> Any:
    raise ValueError(f"JSON has no {constant}")
