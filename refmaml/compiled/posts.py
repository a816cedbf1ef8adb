"""The few machine instructions with which threads meet: offering work, taking it, and waiting for a moment.

A `Post` is three numbers in memory: a state, the function to run and its argument. Its helper waits in machine code,
without Python's lock, so that work is taken within a microsecond while it waits; after a while it parks itself, and has
to be woken. Whoever offered the work takes it back where the helper has not begun.
"""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from refmaml.compiled import cache

PARKED, WAITING, OFFERED, RUNNING = range(4)

_PAUSES = {
    "x86_64": ("llvm.x86.sse2.pause", "", ""), "AMD64": ("llvm.x86.sse2.pause", "", ""),
    "aarch64": ("llvm.aarch64.hint", "i32", "i32 1"), "arm64": ("llvm.aarch64.hint", "i32", "i32 1"),
}  # fmt: skip
_PAUSE, _KIND, _HINT = _PAUSES.get(platform.machine(), ("llvm.donothing", "", ""))
_CODE = f"""
declare void @{_PAUSE}({_KIND})
define i64 @refmaml_swap(i64* %place, i64 %old, i64 %new) {{
  %pair = cmpxchg i64* %place, i64 %old, i64 %new seq_cst seq_cst
  %found = extractvalue {{ i64, i1 }} %pair, 0
  ret i64 %found
}}

define i64 @refmaml_wait(i64* %place, i64 %value, i64 %spins) {{
entry:
  br label %look
look:
  %spin = phi i64 [ 0, %entry ], [ %next, %again ]
  %now = load atomic i64, i64* %place seq_cst, align 8
  %other = icmp ne i64 %now, %value
  br i1 %other, label %done, label %again
again:
  call void @{_PAUSE}({_HINT})
  %next = add i64 %spin, 1
  %more = icmp slt i64 %next, %spins
  br i1 %more, label %look, label %done
done:
  ret i64 %now
}}

define i64 @refmaml_serve(i64* %post, i64 %spins) {{
entry:
  br label %waiting
waiting:
  %state = call i64 @refmaml_wait(i64* %post, i64 {WAITING}, i64 %spins)
  %new = icmp eq i64 %state, {OFFERED}
  br i1 %new, label %take, label %park
take:
  %before = call i64 @refmaml_swap(i64* %post, i64 {OFFERED}, i64 {RUNNING})
  %mine = icmp eq i64 %before, {OFFERED}
  br i1 %mine, label %run, label %waiting
run:
  %function_place = getelementptr i64, i64* %post, i64 1
  %function_number = load i64, i64* %function_place
  %function = inttoptr i64 %function_number to void (i64)*
  %argument_place = getelementptr i64, i64* %post, i64 2
  %argument = load i64, i64* %argument_place
  call void %function(i64 %argument)
  store atomic i64 {WAITING}, i64* %post seq_cst, align 8
  br label %waiting
park:
  %was = call i64 @refmaml_swap(i64* %post, i64 {WAITING}, i64 {PARKED})
  %offered = icmp eq i64 %was, {OFFERED}
  br i1 %offered, label %take, label %rest
rest:
  ret i64 0
}}
"""


@lru_cache(maxsize=1)
def _functions() -> tuple[Any, dict[str, Callable[..., int]]]:
    """Return what keeps the code loaded, and its functions."""
    key = cache.key(_CODE, "", [])
    machine = cache.load(key)
    if machine is None:
        machine = cache.Machine("refmaml_serve", cache.machine_code(_CODE))
        cache.store(key, machine)
    engine, _ = cache.linked(machine, {})
    kinds = {"swap": 3, "wait": 3, "serve": 2}
    return engine, {
        name: ctypes.CFUNCTYPE(*[ctypes.c_int64] * (1 + count))(engine.get_function_address(f"refmaml_{name}"))
        for name, count in kinds.items()
    }


@lru_cache(maxsize=1)
def _spins_in_a_second() -> float:
    memory, spins = np.zeros(1, np.int64), 2000
    fastest = min(_timed(memory.ctypes.data, spins) for _ in range(5))
    return spins / fastest


def _timed(place: int, spins: int) -> float:
    began = time.perf_counter()
    _functions()[1]["wait"](place, 0, spins)
    return time.perf_counter() - began


def is_noted(flags: np.ndarray[Any, Any], index: int) -> bool:
    """Tell whether another thread has set a flag, and with it finished what it did before."""
    return _functions()[1]["wait"](flags.ctypes.data + 8 * index, 0, 0) != 0


class Post:
    """Where one helper waits for work."""

    def __init__(self) -> None:
        self._memory = np.zeros(16, np.int64)  # a cache line of its own
        self._place = self._memory.ctypes.data
        self._functions = _functions()[1]
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
