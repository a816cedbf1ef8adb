"""The engine's own machine code, besides that of the steps: how threads meet.

It is written in LLVM's instructions, and compiled (in ten milliseconds) where a process needs its first helper.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from refmaml.compiled.machine import cache

IDLE, OFFERED, WITHDRAWN, RUNNING = range(4)

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

define i64 @refmaml_serve(i64* %post) {{
entry:
  %acquire_place = getelementptr i64, i64* %post, i64 3
  %acquire_number = load i64, i64* %acquire_place
  %acquire = inttoptr i64 %acquire_number to i32 (i64, i32)*
  %lock_place = getelementptr i64, i64* %post, i64 4
  %lock = load i64, i64* %lock_place
  br label %sleep
sleep:
  %woken = call i32 %acquire(i64 %lock, i32 1)
  br label %look
look:
  %state = call i64 @refmaml_swap(i64* %post, i64 {OFFERED}, i64 {RUNNING})
  %mine = icmp eq i64 %state, {OFFERED}
  br i1 %mine, label %run, label %leave
run:
  %function_place = getelementptr i64, i64* %post, i64 1
  %function_number = load i64, i64* %function_place
  %function = inttoptr i64 %function_number to void (i64)*
  %argument_place = getelementptr i64, i64* %post, i64 2
  %argument = load i64, i64* %argument_place
  call void %function(i64 %argument)
  store atomic i64 {IDLE}, i64* %post seq_cst, align 8
  br label %sleep
leave:
  %was = call i64 @refmaml_swap(i64* %post, i64 {WITHDRAWN}, i64 {IDLE})
  %again = icmp eq i64 %was, {OFFERED}
  br i1 %again, label %look, label %sleep
}}
"""


@lru_cache(maxsize=1)
def functions() -> dict[str, Callable[..., int]]:
    """Return the functions by name."""
    _kept.append(engine := cache.built(_CODE))
    kinds = {"swap": 3, "wait": 3, "serve": 1}
    return {
        name: ctypes.CFUNCTYPE(*[ctypes.c_int64] * (1 + count))(engine.get_function_address(f"refmaml_{name}"))
        for name, count in kinds.items()
    }


_kept: list[Any] = []  # the code stays loaded for the life of the process
