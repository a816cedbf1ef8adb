"""Exceptions of a subject, in words that can always be printed."""

from __future__ import annotations


def described(error: BaseException) -> str:
    """Return an exception's type, message and notes."""
    try:
        message = str(error)
    except Exception:  # the subject's own exception may be as broken as the subject
        message = "(its message cannot be shown)"
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    # Half a surrogate pair, which Python has in undecodable file names, can be neither printed nor written.
    return f"{type(error).__name__}: {message}{notes}".encode("utf-8", "backslashreplace").decode()


class ProgramError(Exception):
    """A program gave no answer that can be compared; the message is a sentence about it, without its full stop."""


class SkippedError(Exception):
    """A subject will not answer this problem, and says why; that is no verdict on it."""
