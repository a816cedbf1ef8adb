"""What a process started, and what that started: seen while its parent runs, and known by it for good.

A process is known by its number and the time it began, so that one that has got the number since is never taken for
it. Only systems with a /proc tell children; on others nothing is seen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

#: Where Linux tells of processes.
PROC = Path("/proc")


class _Status(NamedTuple):
    parent: int
    began: int
    is_running: bool  # rather than ended, and waiting for its parent to notice


class Descendants:
    """The descendants of a process that were seen, to be found again when they have left it."""

    def __init__(self, root: int, proc: Path = PROC) -> None:
        """Take the number of a child of ours that nobody waits for: until then it is nobody else's."""
        self._root, self._proc = root, proc
        self._began: dict[int, int] = {}

    def look(self) -> None:
        """Note the descendants that there are now."""
        parents = [self._root, *self._began]
        for parent in parents:
            for child in _children(self._proc, parent):
                status = _status(self._proc, child)
                if child not in parents and status and status.parent == parent and self._is_ours(parent):
                    self._began[child] = status.began
                    parents.append(child)

    def running(self) -> list[int]:
        """Return those that were seen and are still running."""
        for number in list(self._began):
            status = _status(self._proc, number)
            if not status or status.began != self._began[number]:
                del self._began[number]  # it has ended, and its number may be another's
        return [number for number in self._began if (status := _status(self._proc, number)) and status.is_running]

    def memory(self) -> int:
        """Return how many bytes the root and the descendants that were seen hold in memory; 0 where nobody knows.

        What they share is counted for each of them.
        """
        return sum(_memory(self._proc, number) for number in (self._root, *self._began) if self._is_ours(number))

    def kill(self, number: int) -> None:
        """End one of them; a process that has got its number since is left alone."""
        with contextlib.suppress(OSError):  # it has ended, or it is another user's
            if sys.platform == "linux" and hasattr(os, "pidfd_open"):
                held = os.pidfd_open(number)  # from here on it is one process, whatever becomes of its number
                try:
                    if self._is_ours(number):
                        signal.pidfd_send_signal(held, signal.SIGKILL)
                finally:
                    os.close(held)
            elif self._is_ours(number):
                os.kill(number, signal.SIGKILL)

    def _is_ours(self, number: int) -> bool:
        if number == self._root:
            return True
        status = _status(self._proc, number)
        return status is not None and status.began == self._began.get(number)


def _children(proc: Path, number: int) -> list[int]:
    found: list[int] = []
    for listed in (proc / f"{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found += map(int, listed.read_bytes().split())
    return found


def _memory(proc: Path, number: int) -> int:
    try:
        return int((proc / f"{number}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # it has ended; a process that waits to be noticed has no memory
        return 0


def _status(proc: Path, number: int) -> _Status | None:
    """Return what /proc says of a process, or None where there is none."""
    try:
        line = (proc / f"{number}/stat").read_bytes()
    except OSError:
        return None
    state, parent, *rest = line[line.rindex(b")") + 2 :].split()  # the name, in parentheses, may have spaces
    return _Status(int(parent), int(rest[17]), state not in (b"Z", b"X"))
