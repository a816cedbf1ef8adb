"""Programs to be judged, and a look at what they leave behind."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

HOSTILE = Path(__file__).parent / "hostile.py"


def with_token(token: str) -> list[int]:
    """Return the processes that inherited a token in their environment; those that only wait to be reaped have none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.fixture
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[int]]]:
    """Return a function that lists what the test has started and is still running; at its end there must be nothing."""
    token = uuid4().hex
    monkeypatch.setenv("PROTOCOL_TEST", token)
    yield lambda: with_token(token)
    assert with_token(token) == []


@pytest.fixture
def hostile() -> Callable[..., str]:
    """Return a function from a mode of hostile.py to the command that runs it."""

    def command(*mode: str) -> str:
        return shlex.join([sys.executable, "-S", "-u", str(HOSTILE), *mode])

    return command
