"""Standard output, which may be closed, full, without a reader, or without the characters that a report has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO

import click
from rich.console import Console

from verification.texts import spelled


class _Memory(StringIO):
    """A text in memory that is to be written in an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of a text in memory it is None
        return self._encoding


@contextmanager
def screen() -> Iterator[Console]:
    """Yield a console like standard output; what is printed to it goes there at the end, as far as it can be written.

    What is lost there changes no exit code: that is the verdict's.
    """
    like = Console(color_system=None if os.environ.get("NO_COLOR") else "auto")
    memory = _Memory(like.encoding)
    yield Console(
        file=memory, width=like.width, force_terminal=like.is_terminal, color_system=like.color_system,  # type: ignore[arg-type]  # its names
        legacy_windows=False,
    )  # fmt: skip
    if lost := write(spelled(memory.getvalue(), like.encoding)):
        click.echo(f"Standard output cannot be written: {lost}.", err=True)


def write(text: str) -> str:
    """Write a text to standard output, and return why that cannot be done; nothing where it can.

    A reader that has gone away, as of ``| head -1``, has read what it wanted.
    """
    if sys.stdout is None:
        return "it is closed"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up()
    except OSError as error:
        _give_up()
        return str(error.strerror)
    return ""


def _give_up() -> None:
    """Lead standard output to nowhere: what its buffer still holds would fail again when Python exits.

    Source: the note on SIGPIPE in the documentation of Python's module `signal`.
    """
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def subject_printing_aside() -> Iterator[None]:
    """Send to standard error what a subject prints, so that standard output has the report alone."""
    with redirect_stdout(sys.stderr):
        yield
