"""The engine's own machine code, besides that of the steps: how threads meet.

`serve` is the life of a helper. `share` is what a caller does: it offers work to the helpers of some posts, does its
own part, takes back what nobody has begun, waits so long for the rest, and returns how many have not finished.

It is written in LLVM's instructions, and compiled (in ten milliseconds) where a process needs its first helper.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from refmaml.compiled.machine import cache

#: The states of a post. IDLE: its helper sleeps. OFFERED: there is work for it, and WITHDRAWN: no longer, but the
#: helper has not noticed. RUNNING: it works. AWAKE: it looks for more, `SPINS` times, before it sleeps.
IDLE, OFFERED, WITHDRAWN, RUNNING, AWAKE = range(5)
#: The numbers of a post, in memory; `NEXT` is the address of another post that gets a part of the same work, or 0.
STATE, FUNCTION, ARGUMENT, NEXT, LOCK, ACQUIRE, RELEASE, SPINS = range(8)

_PAUSES = {
    "x86_64": ("llvm.x86.sse2.pause", "", ""), "AMD64": ("llvm.x86.sse2.pause", "", ""),
    "aarch64": ("llvm.aarch64.hint", "i32", "i32 1"), "arm64": ("llvm.aarch64.hint", "i32", "i32 1"),
}  # fmt: skip
_PAUSE, _KIND, _HINT = _PAUSES.get(platform.machine(), ("llvm.donothing", "", ""))
_CODE = f"""
declare void @{_PAUSE}({_KIND})
define internal i64 @refmaml_swap(i64* %place, i64 %old, i64 %new) {{
  %pair = cmpxchg i64* %place, i64 %old, i64 %new seq_cst seq_cst
  %found = extractvalue {{ i64, i1 }} %pair, 0
  ret i64 %found
}}

define internal i64 @refmaml_get(i64* %post, i64 %index) {{
  %place = getelementptr i64, i64* %post, i64 %index
  %number = load i64, i64* %place
  ret i64 %number
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

define void @refmaml_serve(i64* %post) {{
entry:
  %acquire_number = call i64 @refmaml_get(i64* %post, i64 {ACQUIRE})
  %acquire = inttoptr i64 %acquire_number to i32 (i64, i32)*
  %lock = call i64 @refmaml_get(i64* %post, i64 {LOCK})
  %spins = call i64 @refmaml_get(i64* %post, i64 {SPINS})
  br label %sleep
sleep:
  %woken = call i32 %acquire(i64 %lock, i32 1)
  br label %look
look:
  %state = call i64 @refmaml_swap(i64* %post, i64 {OFFERED}, i64 {RUNNING})
  %mine = icmp eq i64 %state, {OFFERED}
  br i1 %mine, label %run, label %leave
run:
  %function_number = call i64 @refmaml_get(i64* %post, i64 {FUNCTION})
  %function = inttoptr i64 %function_number to void (i64)*
  %argument = call i64 @refmaml_get(i64* %post, i64 {ARGUMENT})
  call void %function(i64 %argument)
  store atomic i64 {AWAKE}, i64* %post seq_cst, align 8
  br label %watch
leave:
  %was = call i64 @refmaml_swap(i64* %post, i64 {WITHDRAWN}, i64 {AWAKE})
  %again = icmp eq i64 %was, {OFFERED}
  br i1 %again, label %look, label %watch
watch:
  %spin = phi i64 [ 0, %run ], [ 0, %leave ], [ %next, %pause ]
  %now = load atomic i64, i64* %post seq_cst, align 8
  %offered = icmp eq i64 %now, {OFFERED}
  br i1 %offered, label %look, label %pause
pause:
  call void @{_PAUSE}({_HINT})
  %next = add i64 %spin, 1
  %more = icmp slt i64 %next, %spins
  br i1 %more, label %watch, label %rest
rest:
  %still = call i64 @refmaml_swap(i64* %post, i64 {AWAKE}, i64 {IDLE})
  %nothing = icmp eq i64 %still, {AWAKE}
  br i1 %nothing, label %sleep, label %look
}}

define internal void @refmaml_offer(i64* %post) {{
entry:
  %awake = call i64 @refmaml_swap(i64* %post, i64 {AWAKE}, i64 {OFFERED})
  %looks = icmp eq i64 %awake, {AWAKE}
  br i1 %looks, label %done, label %next
next:
  %withdrawn = call i64 @refmaml_swap(i64* %post, i64 {WITHDRAWN}, i64 {OFFERED})
  %will_look = icmp eq i64 %withdrawn, {WITHDRAWN}
  br i1 %will_look, label %done, label %wake
wake:
  %idle = call i64 @refmaml_swap(i64* %post, i64 {IDLE}, i64 {OFFERED})
  %release_number = call i64 @refmaml_get(i64* %post, i64 {RELEASE})
  %release = inttoptr i64 %release_number to void (i64)*
  %lock = call i64 @refmaml_get(i64* %post, i64 {LOCK})
  call void %release(i64 %lock)
  br label %done
done:
  ret void
}}

define i64 @refmaml_share(i64 %function_number, i64 %mine, i64 %first, i64 %spins) {{
entry:
  br label %offering
offering:
  %post_number = phi i64 [ %first, %entry ], [ %second, %offer ]
  %offered = icmp eq i64 %post_number, 0
  br i1 %offered, label %work, label %offer
offer:
  %post = inttoptr i64 %post_number to i64*
  call void @refmaml_offer(i64* %post)
  %second = call i64 @refmaml_get(i64* %post, i64 {NEXT})
  br label %offering
work:
  %function = inttoptr i64 %function_number to void (i64)*
  call void %function(i64 %mine)
  br label %ending
ending:
  %other_number = phi i64 [ %first, %work ], [ %third, %ended ]
  %late = phi i64 [ 0, %work ], [ %later, %ended ]
  %all = icmp eq i64 %other_number, 0
  br i1 %all, label %done, label %withdraw
withdraw:
  %other = inttoptr i64 %other_number to i64*
  %third = call i64 @refmaml_get(i64* %other, i64 {NEXT})
  %state = call i64 @refmaml_swap(i64* %other, i64 {OFFERED}, i64 {WITHDRAWN})
  %began = icmp eq i64 %state, {RUNNING}
  br i1 %began, label %wait, label %ended
wait:
  %now = call i64 @refmaml_wait(i64* %other, i64 {RUNNING}, i64 %spins)
  %runs = icmp eq i64 %now, {RUNNING}
  %one = zext i1 %runs to i64
  br label %ended
ended:
  %more = phi i64 [ 0, %withdraw ], [ %one, %wait ]
  %later = add i64 %late, %more
  br label %ending
done:
  ret i64 %late
}}
"""


@lru_cache(maxsize=1)
def functions() -> dict[str, Callable[..., int]]:
    """Return the functions by name."""
    _kept.append(engine := cache.built(_CODE))
    kinds = {"wait": 3, "serve": 1, "share": 4}
    return {
        name: ctypes.CFUNCTYPE(*[ctypes.c_int64] * (1 + count))(engine.get_function_address(f"refmaml_{name}"))
        for name, count in kinds.items()
    }


_kept: list[Any] = []  # the code stays loaded for the life of the process
