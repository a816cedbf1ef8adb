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

from refmaml.compiled.running.native import (
    ACQUIRE,
    ARGUMENT,
    FUNCTION,
    LOCK,
    NEXT,
    RELEASE,
    RUNNING,
    SPINS,
    STATE,
    functions,
)

#: Seconds for which a helper looks for more work before it sleeps.
WATCH = 2e-4

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
        lock = _allocate()
        _acquire(lock, 1)
        self._numbers = (ctypes.c_int64 * 16)()  # a cache line of its own
        self._numbers[LOCK], self._numbers[SPINS] = lock, int(WATCH * _spins_in_a_second())
        for index, function in ((ACQUIRE, _acquire), (RELEASE, _release)):
            self._numbers[index] = ctypes.cast(function, ctypes.c_void_p).value or 0
        self.place = ctypes.addressof(self._numbers)

    @property
    def state(self) -> int:
        """What the helper is doing."""
        return self._numbers[STATE]

    def prepare(self, function: int, argument: int, after: int) -> int:
        """Write down what is to be done, and the post that comes after; return the place of this one."""
        numbers = self._numbers
        numbers[FUNCTION], numbers[ARGUMENT], numbers[NEXT] = function, argument, after
        return self.place

    def wait(self, seconds: float) -> bool:
        """Wait so long for the end of what the helper has begun; tell whether it has ended."""
        return functions()["wait"](self.place, RUNNING, int(seconds * _spins_in_a_second())) != RUNNING

    def serve(self) -> None:
        """Do what is offered, for ever."""
        functions()["serve"](self.place)


def share(function: int, mine: int, first: int, seconds: float) -> int:
    """Offer the work of `first` and the posts after it, do one's own part, and wait so long for what others have begun.

    Returns:
        How many have not finished by then.
    """
    return functions()["share"](function, mine, first, int(seconds * _spins_in_a_second()))
