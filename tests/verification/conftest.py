"""What the tests of the judge have in common; in every folder below, `shared` and `implementations` are importable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from verification.processes import partner, process


@pytest.fixture
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print on a terminal that cuts no line."""
    monkeypatch.setenv("COLUMNS", "200")


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
    monkeypatch.setenv("STARTED_BY_TEST", token)
    yield lambda: with_token(token)
    assert with_token(token) == []


class Clock:
    """A clock for the judge's waits, so that no verdict depends on how fast the machine is.

    It all but stands still, however long a program takes to start or to answer, and runs fast while a program holds the
    lock that hostile.py takes when it hangs. What the judge itself sleeps passes in full.
    """

    SLOWER = 100  # and not still, so that a hang that does not say so ends as well
    STEP = 0.25

    def __init__(self, lock: Path) -> None:
        """Take the file on which the lock is held."""
        self._lock = lock
        self._passed = 0.0

    def monotonic(self) -> float:
        """Return the time; every look at it while a program hangs lets some pass."""
        if self._is_held():
            self._passed += self.STEP
        return self._passed + time.monotonic() / self.SLOWER

    def sleep(self, seconds: float) -> None:
        """Sleep as `time.sleep` does."""
        time.sleep(seconds)
        self._passed += seconds

    def _is_held(self) -> bool:
        import fcntl

        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


@pytest.fixture
def in_vain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """Give the judge a `Clock`, and return the list of the seconds that it has waited for answers that never came."""
    clock, waits = Clock(tmp_path / "hangs"), []
    monkeypatch.setenv("PROTOCOL_HANGS", str(tmp_path / "hangs"))
    monkeypatch.setattr(process, "time", clock)
    monkeypatch.setattr(partner, "time", clock)
    exchange = process.Child.exchange

    def observed(child: process.Child, line: bytes, seconds: float, command: str) -> bytes:
        try:
            return exchange(child, line, seconds, command)
        except process.HangError:
            waits.append(seconds)
            raise

    monkeypatch.setattr(process.Child, "exchange", observed)
    return waits
