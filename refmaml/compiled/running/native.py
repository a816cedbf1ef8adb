"""The engine's own machine code, besides that of the steps: how threads meet, and how their sums are added.

It is written in LLVM's instructions, compiled once and kept in the disk cache.
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


_SUM = """
define i64 @refmaml_sum_{bits}(i64 %rows_number, i64 %count, i64 %columns, i64 %result_number) {{
entry:
  %rows = inttoptr i64 %rows_number to {kind}*
  %result = inttoptr i64 %result_number to {kind}*
  br label %row
row:
  %r = phi i64 [ 0, %entry ], [ %next_r, %row_done ]
  %start = mul i64 %r, %columns
  br label %column
column:
  %j = phi i64 [ 0, %row ], [ %next_j, %column ]
  %at = add i64 %start, %j
  %from = getelementptr {kind}, {kind}* %rows, i64 %at
  %to = getelementptr {kind}, {kind}* %result, i64 %j
  %number = load {kind}, {kind}* %from
  %total = load {kind}, {kind}* %to
  %new = fadd {kind} %total, %number
  store {kind} %new, {kind}* %to
  %next_j = add i64 %j, 1
  %more_j = icmp slt i64 %next_j, %columns
  br i1 %more_j, label %column, label %row_done
row_done:
  %next_r = add i64 %r, 1
  %more_r = icmp slt i64 %next_r, %count
  br i1 %more_r, label %row, label %done
done:
  ret i64 0
}}
"""
_CODE += _SUM.format(bits=32, kind="float") + _SUM.format(bits=64, kind="double")


@lru_cache(maxsize=1)
def functions() -> dict[str, Callable[..., int]]:
    """Return the functions by name."""
    return _loaded()[1]


@lru_cache(maxsize=1)
def _loaded() -> tuple[Any, dict[str, Callable[..., int]]]:
    """Return what keeps the code loaded, and its functions."""
    key = cache.key(_CODE, "", [])
    machine = cache.load(key)
    if machine is None:
        machine = cache.Machine("refmaml_serve", cache.machine_code(_CODE))
        cache.store(key, machine)
    engine, _ = cache.linked(machine)
    kinds = {"swap": 3, "wait": 3, "serve": 1, "sum_32": 4, "sum_64": 4}
    return engine, {
        name: ctypes.CFUNCTYPE(*[ctypes.c_int64] * (1 + count))(engine.get_function_address(f"refmaml_{name}"))
        for name, count in kinds.items()
    }
