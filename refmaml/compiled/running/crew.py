"""Threads that help with one call, in time that nobody else wants, and are never waited for where they do not come.

Whoever calls does the work too, by claiming chunks until none is left. A helper that another process keeps from running
claims nothing, and the caller has then done everything itself and takes the helper's job back. A helper that loses its
processor in the middle of a chunk is waited for about as long as a chunk takes; then the caller computes that chunk
again, elsewhere, and leaves the helper behind.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from refmaml.compiled.running.native import RUNNING
from refmaml.compiled.running.posts import Post, share

#: Seconds for which the end of the process waits for a helper that was left behind.
_LAST = 1.0


class Helper:
    """A thread that stays for the life of the process, and the post where it gets its work."""

    def __init__(self) -> None:
        self.post = Post()
        self.keeps: Any = None  # what the helper may read and write: it must outlive an interrupted caller
        threading.Thread(target=self._serve, daemon=True, name="refmaml").start()

    def _serve(self) -> None:
        if hasattr(os, "sched_setscheduler"):  # so that it takes no time from the caller, whose core it may wake on
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self.post.serve()


class Crew:
    """The helpers of this process."""

    def __init__(self) -> None:
        self._free: deque[Helper] = deque()
        self._process = os.getpid()
        self._left: list[Helper] = []

    def share(self, function: int, mine: int, theirs: Sequence[int], keeps: Any, seconds: float) -> bool:
        """Run a function on `mine`, while helpers run it on `theirs`; tell whether all that was begun is finished.

        Fewer help where others have yet to finish what they began. What nobody has begun when this thread is through is
        taken back, and for the rest it waits so long.
        """
        helpers = self._engage(len(theirs))
        first = 0
        for helper, argument in zip(helpers, theirs, strict=False):
            helper.keeps = keeps
            first = helper.post.prepare(function, argument, first)
        late = share(function, mine, first, seconds)
        if late:
            self._left = [helper for helper in {*self._left, *helpers} if helper.post.state == RUNNING]
        for helper in helpers:
            if not late or helper not in self._left:
                helper.keeps = None
        self._free.extend(helpers)
        return not late

    def _engage(self, count: int) -> list[Helper]:
        """Take helpers that have nothing to do, and make more where all are engaged."""
        if self._process != os.getpid():  # a fork has no threads
            self._free, self._left, self._process = deque(), [], os.getpid()
        engaged: list[Helper] = []
        busy: list[Helper] = []
        while len(engaged) < count and len(busy) < count:
            try:
                helper = self._free.pop()
            except IndexError:
                helper = Helper()
            (busy if helper.post.state == RUNNING else engaged).append(helper)
        self._free.extendleft(busy)
        return engaged

    def rest(self) -> None:
        """Wait for helpers that were left behind, since what they read goes with the process."""
        for helper in self._left:
            helper.post.wait(_LAST)


CREW = Crew()
atexit.register(CREW.rest)


def default_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
