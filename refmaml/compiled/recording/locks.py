"""The locks of the engine, and what a fork does with them.

A child has no other thread than the one that forked. Were another one tracing meanwhile, the child would wait for it
for ever, and would have autograd's tables as they are while something is recorded. So a fork waits until nothing is
traced, as it waits for the locks of Python's own `logging`; but not for ever, since what is traced could wait for the
thread that forks.
"""

from __future__ import annotations

import os
import threading
from typing import Any

#: autograd's tracer is global: whoever traces with other boxes, or falls back beside that, waits for it.
making = threading.RLock()
#: Inside of that, one thread records at a time.
recording = threading.RLock()
#: Seconds for which a fork waits.
_PATIENCE = 30.0
_held: list[Any] = []


def _take() -> None:
    _held.extend(lock for lock in (making, recording) if lock.acquire(timeout=_PATIENCE))


def _give_back() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_give_back, after_in_child=_give_back)
