"""Exceptions of a subject, in words that can always be printed."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any


def described(error: BaseException) -> str:
    """Return an exception's type, message and notes."""
    try:
        message = str(error)
    except Exception:  # the subject's own exception may be as broken as the subject
        message = "(its message cannot be shown)"
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    # Half a surrogate pair, which Python has in undecodable file names, can be neither printed nor written.
    return f"{type(error).__name__}: {message}{notes}".encode("utf-8", "backslashreplace").decode()


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


class ProgramError(Exception):
    """A program gave no answer that can be compared; the message is a sentence about it, without its full stop."""


class SkippedError(Exception):
    """A subject will not answer this problem, and says why; that is no verdict on it."""
