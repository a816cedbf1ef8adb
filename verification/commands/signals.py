"""Signals that ask the command to end: it ends what it has started first."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End as a shell expects it; on the way out each program that is being asked is killed."""
    for worker in multiprocessing.active_children():
        worker.kill()
    raise SystemExit(128 + number)


def end_on_signals() -> Callable[[], None]:
    """Have SIGTERM and SIGHUP end the command with all that it started; return what puts their handlers back."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    own = [number for number, handler in before.items() if handler is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in own:
        signal.signal(number, _end)

    def put_back() -> None:
        for number in own:
            signal.signal(number, before[number])

    return put_back
