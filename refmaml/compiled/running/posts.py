"""Where a helper waits for work: offering it, taking it, and waiting for a moment, in machine code.

A `Post` is three numbers in memory: a state, the function to run and its argument. Its helper waits without Python's
lock, so that work is taken within a microsecond while it waits; after a while it parks itself, and has to be woken.
Whoever offered the work takes it back where the helper has not begun.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np

from refmaml.compiled.running.native import OFFERED, PARKED, RUNNING, WAITING, functions


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
    """Where one helper waits for work."""

    def __init__(self) -> None:
        self._memory = np.zeros(16, np.int64)  # a cache line of its own
        self._place = self._memory.ctypes.data
        self._functions = functions()
        self._spins = _spins_in_a_second()

    @property
    def state(self) -> int:
        """What the helper is doing."""
        return int(self._memory[0])

    def offer(self, function: int, argument: int) -> bool:
        """Offer work, and tell whether the helper has to be woken for it."""
        self._memory[1], self._memory[2] = function, argument
        if self._functions["swap"](self._place, WAITING, OFFERED) == WAITING:
            return False
        self._functions["swap"](self._place, PARKED, OFFERED)
        return True

    def withdraw(self, seconds: float) -> bool:
        """Take the work back, or wait so long for its end; tell whether the helper has left it."""
        if self._functions["swap"](self._place, OFFERED, WAITING) == OFFERED:
            return True
        return self._functions["wait"](self._place, RUNNING, int(seconds * self._spins)) != RUNNING

    def serve(self, seconds: float) -> None:
        """Do what is offered, until nothing has been for so long."""
        self._functions["swap"](self._place, PARKED, WAITING)
        self._functions["serve"](self._place, int(seconds * self._spins))
