"""Exceptions of a subject, in words that can always be printed."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from verification.processes.limits import LONGEST_TEXT


def described(error: BaseException) -> str:
    """Return an exception's type, message and notes, shortened where they are long."""
    try:
        message = str(error)
    except Exception:  # the subject's own exception may be as broken as the subject
        message = "(its message cannot be shown)"
    try:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    except Exception:
        notes = ""
    # Half a surrogate pair, which Python has in undecodable file names, can be neither printed nor written.
    text = shortened(f"{shortened(type(error).__name__)}: {shortened(message)}{shortened(notes)}")
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text without its middle, where it is longer than anybody reads."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"


def place_of(error: BaseException, function: Callable[..., Any]) -> str:
    """Return the file and line where a subject's code raised: the last in the subject's own file, or nothing."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None) or getattr(type(function).__call__, "__code__", None)
    lines = [
        line for frame, line in traceback.walk_tb(error.__traceback__) if code and _file(frame) == code.co_filename
    ]
    return f"{Path(code.co_filename).name}, line {lines[-1]}" if code and lines else ""


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


class SkippedError(Exception):
    """A subject will not answer this problem, and says why; that is no verdict on it."""
