"""What Numba compiles: the driver of a step, around its bodies.

To Numba the bodies are intrinsics, for which it infers no types: calls of functions that are there when the driver is
linked with the instructions of a cost. So Numba compiles a driver once in a process, and a cost of hundreds of lines
costs it nothing. (Written into Numba's own module, each cost takes another 0.15 s and 1.5 MiB that LLVM never gives
back, and the same machine code comes out.) With `NUMBA_BOUNDSCHECK=1` Numba compiles the emitted source instead, with a
check of every access. The kernels and the scalar functions are intrinsics there, and a kernel's reach, which follows
from its literal shapes, is checked before it runs.
"""

# ruff: noqa: ARG001 - Numba reads the signatures of intrinsics
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import cfunc, extending, njit, types

from refmaml.compiled.code.driver import Driver
from refmaml.compiled.code.places import Header
from refmaml.compiled.machine import microkernels, vectormath
from refmaml.compiled.program.kernels import Factors, Kernel, MatMul, RowSum, Turn

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


def names_of(header: Header) -> dict[str, Any]:
    """Return what emitted source calls, as Numba knows it."""
    kernels = {name: _kernel(kernel) for name, kernel in header.kernels.items()}
    return {
        "next_below": _next_below(),
        "finished": _finished(),
        "i8": njit(nogil=True)(_integer),
        **kernels,
        **{name: _function(name) for name in header.functions},
    }


def _integer(x: Any) -> Any:
    """Return a number or a truth value as int64; NaN and what is too large are the smallest one."""
    number = np.float64(x)
    return np.int64(number) if -(2.0**63) <= number < 2.0**63 else np.int64(-(2**63))


def _data(context: Any, builder: Any, kind: Any, array: Any) -> tuple[Any, Any]:
    """Return (address, number of elements) of an array."""
    view = context.make_array(kind)(context, builder, array)
    return view.data, view.nitems


def _inside(context: Any, builder: Any, size: Any, starts: Any, reaches: tuple[int, ...]) -> None:
    """Raise IndexError where a kernel would read or write beyond its workspace."""
    for start, reach in zip(starts, reaches, strict=False):
        last = builder.add(start, context.get_constant(types.int64, reach))
        below = builder.icmp_signed("<", start, context.get_constant(types.int64, 0))
        with builder.if_then(builder.or_(below, builder.icmp_signed(">=", last, size)), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("a kernel reaches beyond its workspace",))


def _reaches(kernel: Kernel) -> tuple[int, ...]:
    """Return how far beyond each of its starting places a kernel goes."""
    if isinstance(kernel, RowSum):
        return (kernel.length - 1,)
    if isinstance(kernel, Turn):
        return (kernel.rows * kernel.columns - 1, (kernel.rows - 1) * kernel.stride + kernel.columns - 1)
    if isinstance(kernel, Factors):
        m, n, k = kernel.rows - 1, kernel.columns - 1, max(kernel.right - 1, 0)
        a, b = kernel.a, kernel.b
        return (kernel.parts["end"][0] - 1, m * a[0] + n * a[1], m * b[0] + k * b[1])
    m, n, k = kernel.rows - 1, kernel.columns - 1, kernel.summed - 1
    a, b = kernel.a, kernel.b
    return (kernel.rows * kernel.columns - 1, m * a[0] + k * a[1], k * b[0] + n * b[1])


def _kernel(kernel: Kernel) -> Callable[..., Any]:
    number = types.float32 if kernel.itemsize == 4 else types.float64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory, size = _data(context, builder, signature.args[0], args[0])
        _inside(context, builder, size, args[1:], _reaches(kernel))
        result = microkernels.write(kernel, builder, memory, args[1:])
        return context.get_dummy_value() if result is None else result

    def matmul(typing_context, w, c, a, b, alpha):  # type: ignore[no-untyped-def]  # Numba reads this signature
        return types.void(w, types.int64, types.int64, types.int64, number), generate

    def turn(typing_context, w, c, a):  # type: ignore[no-untyped-def]
        return types.void(w, types.int64, types.int64), generate

    def row_sum(typing_context, w, start):  # type: ignore[no-untyped-def]
        return number(w, types.int64), generate

    def factors(typing_context, w, c, a, b):  # type: ignore[no-untyped-def]
        return types.int64(w, types.int64, types.int64, types.int64), generate

    chosen: Any = {MatMul: matmul, Turn: turn, RowSum: row_sum, Factors: factors}[type(kernel)]
    made: Callable[..., Any] = extending.intrinsic(chosen)
    return made


def _next_below() -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return microkernels.next_below(builder, _data(context, builder, signature.args[0], args[0])[0], args[1])

    @extending.intrinsic
    def next_below(typing_context, counter, limit):  # type: ignore[no-untyped-def]  # Numba reads this signature
        return types.int64(counter, types.int64), generate

    made: Callable[..., Any] = next_below
    return made


def _finished() -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        microkernels.finished(builder, _data(context, builder, signature.args[0], args[0])[0], args[1])
        return context.get_dummy_value()

    @extending.intrinsic
    def finished(typing_context, counter, chunk):  # type: ignore[no-untyped-def]  # Numba reads this signature
        return types.void(counter, types.int64), generate

    made: Callable[..., Any] = finished
    return made


def _function(name: str) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return vectormath.write(name, builder, args)

    def where(typing_context, condition, x, y):  # type: ignore[no-untyped-def]  # Numba reads this signature
        return x(condition, x, y), generate

    def one(typing_context, x):  # type: ignore[no-untyped-def]
        return (types.boolean if name in vectormath.TESTS else x)(x), generate

    def two(typing_context, x, y):  # type: ignore[no-untyped-def]
        return x(x, y), generate

    def three(typing_context, x, y, z):  # type: ignore[no-untyped-def]
        return x(x, y, z), generate

    chosen = where if name == "where" else (one, two, three)[vectormath.arguments_of(name) - 1]
    made: Callable[..., Any] = extending.intrinsic(chosen)
    return made
