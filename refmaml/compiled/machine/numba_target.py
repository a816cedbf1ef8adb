"""What Numba compiles: the driver of a step.

To Numba the bodies that the driver calls are intrinsics, for which it infers no types: calls of functions that are
there when the driver is linked with the instructions of a cost. So Numba compiles a driver once in a process, and a
cost of hundreds of lines costs it nothing. (Written into Numba's own module, each cost took another 0.15 s and 1.5 MiB
that LLVM never gives back, for the same machine code.)
"""

# ruff: noqa: ARG001 - Numba reads the signatures of intrinsics
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import cfunc, extending, types

from refmaml.compiled.code.driver import Driver

_MEMORY: Any = types.CPointer(types.int64)  # type: ignore[no-untyped-call]  # addresses of arrays


@lru_cache
def compiled(driver: Driver, numbers: tuple[tuple[str, int], ...], error_model: str) -> Any:
    """Return a driver as Numba's C function of the address of its arrays' addresses.

    `numbers` has the names of its bodies, and how many numbers each takes beside that address.
    """
    bodies = {name: _body(name, count) for name, count in numbers}
    model: Any = error_model
    return cfunc(types.void(_MEMORY), error_model=model)(driver(**bodies))


def _body(name: str, numbers: int) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.module.globals.get(name) or placeholder(builder.module, args), args)

    def placeholder(module: Any, args: Any) -> Any:
        """Return a function that another definition replaces; without that one, no chunk is there to be claimed."""
        function = ir.Function(module, ir.FunctionType(ir.IntType(64), [arg.type for arg in args]), name)
        function.linkage = "weak"
        ir.IRBuilder(function.append_basic_block()).ret(ir.IntType(64)(-1))
        return function

    def none(typing_context, memory):  # type: ignore[no-untyped-def]  # Numba reads this signature
        return types.int64(memory), generate

    def one(typing_context, memory, x):  # type: ignore[no-untyped-def]
        return types.int64(memory, types.int64), generate

    def two(typing_context, memory, x, y):  # type: ignore[no-untyped-def]
        return types.int64(memory, types.int64, types.int64), generate

    made: Callable[..., Any] = extending.intrinsic((none, one, two)[numbers])
    return made
