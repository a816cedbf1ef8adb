"""Where a helper waits for work: offering it, taking it, and taking it back, without Python's global lock.

A `Post` is a few numbers in memory: a state, the function to run and its argument. Its helper sleeps on a lock of
CPython's, by the C function behind `threading.Lock`, from machine code that it never leaves. So it does not take the
global lock when it wakes, which would keep the caller waiting for it where another process holds its core: for 5 ms,
the interval at which the interpreter lets another thread have it, and more. Whoever offered the work takes it back
where the helper has not begun.
"""

from __future__ import annotations

import ctypes
import time
from functools import lru_cache
from typing import Any

import numpy as np

from refmaml.compiled.running.native import IDLE, OFFERED, RUNNING, WITHDRAWN, functions

_allocate = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))
_acquire = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(("PyThread_acquire_lock", ctypes.pythonapi))
_release = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyThread_release_lock", ctypes.pythonapi))


@lru_cache(maxsize=1)
def _spins_in_a_second() -> float:
    memory, spins = np.zeros(1, np.int64), 2000
    fastest = min(_timed(memory.ctypes.data, spins) for _ in range(5))
    return spins / fastest


def _timed(place: int, spins: int) -> float:
    began = time.perf_counter()
    functions()["wait"](place, 0, spins)
    return time.perf_counter() - began


def is_noted(flags: np.ndarray[Any, Any], index: int) -> bool:
    """Tell whether another thread has set a flag, and with it finished what it did before."""
    return functions()["wait"](flags.ctypes.data + 8 * index, 0, 0) != 0


class Post:
    """Where one helper waits for work; it stays for the life of the process, and so does its lock."""

    def __init__(self) -> None:
        self._lock = _allocate()
        _acquire(self._lock, 1)
        self._memory = np.zeros(16, np.int64)  # a cache line of its own
        self._memory[3] = ctypes.cast(_acquire, ctypes.c_void_p).value or 0
        self._memory[4] = self._lock
        self._place = self._memory.ctypes.data
        self._functions = functions()
        self._spins = _spins_in_a_second()

    @property
    def state(self) -> int:
        """What the helper is doing."""
        return int(self._memory[0])

    def offer(self, function: int, argument: int) -> None:
        """Offer work, and wake the helper; one that has yet to wake for work that was withdrawn finds the new one."""
        self._memory[1], self._memory[2] = function, argument
        swap = self._functions["swap"]
        if swap(self._place, WITHDRAWN, OFFERED) != WITHDRAWN:
            swap(self._place, IDLE, OFFERED)
            _release(self._lock)

    def withdraw(self, seconds: float) -> bool:
        """Take the work back, or wait so long for its end; tell whether the helper has left it."""
        if self._functions["swap"](self._place, OFFERED, WITHDRAWN) == OFFERED:
            return True
        return self._functions["wait"](self._place, RUNNING, int(seconds * self._spins)) != RUNNING

    def serve(self) -> None:
        """Do what is offered, for ever."""
        self._functions["serve"](self._place)
