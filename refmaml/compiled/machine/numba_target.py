"""What Numba compiles: the driver of a step, and what a user's own code calls around one.

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
from numba.core import cgutils

from refmaml.compiled.code.driver import Driver

_WORD = ir.IntType(64)
_tools: Any = cgutils
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


def _note(typing_context, variables, batch, gradients, addresses, sizes):  # type: ignore[no-untyped-def]
    """Write down where the arrays of three tuples are, and how many numbers they have, in two arrays of int64.

    For Numba to infer a loop over arrays of several types takes longer than all the rest.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [pair for kinds, tuples in zip(signature.args[:3], args[:3], strict=True)
                  for pair in zip(kinds, _tools.unpack_tuple(builder, tuples), strict=True)]  # fmt: skip
        places, counts = (
            _array(context, builder, *pair).data for pair in zip(signature.args[3:], args[3:], strict=True)
        )
        for index, (kind, value) in enumerate(arrays):
            array = _array(context, builder, kind, value)
            for numbers, number in ((places, builder.ptrtoint(array.data, _WORD)), (counts, array.nitems)):
                builder.store(number, builder.gep(numbers, [_WORD(index)]))
        return context.get_dummy_value()

    return types.void(variables, batch, gradients, addresses, sizes), generate


def _array(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value)


def _run(typing_context, function, memory):  # type: ignore[no-untyped-def]
    """Call machine code by its address."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_WORD]).as_pointer()
        builder.call(builder.inttoptr(args[0], kind), [args[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _put(typing_context, address, number):  # type: ignore[no-untyped-def]
    """Write a number to an address, in the number's own type."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], args[1].type.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, number), generate


def _get(typing_context, address):  # type: ignore[no-untyped-def]
    """Read a float64 at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], ir.DoubleType().as_pointer()))

    return types.float64(types.int64), generate


def _copy(typing_context, target, source, size):  # type: ignore[no-untyped-def]
    """Copy bytes from address to address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bytes_at = ir.IntType(8).as_pointer()
        _tools.raw_memcpy(builder, *(builder.inttoptr(at, bytes_at) for at in args[:2]), args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _means(typing_context, target, source, size, rows, apart, many):  # type: ignore[no-untyped-def]
    """Write the sums of `size` columns, row by row, divided by `many`; in the type of `many`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[5].type
        to, out = (builder.inttoptr(at, kind.as_pointer()) for at in args[:2])
        total = _tools.alloca_once(builder, kind)
        with _tools.for_range(builder, args[2]) as column:
            builder.store(kind(0.0), total)
            with _tools.for_range(builder, args[3]) as row:
                place = builder.gep(out, [builder.add(builder.mul(row.index, args[4]), column.index)])
                builder.store(builder.fadd(builder.load(total), builder.load(place)), total)
            builder.store(builder.fdiv(builder.load(total), args[5]), builder.gep(to, [column.index]))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, many), generate


_intrinsic: Any = extending.intrinsic
note, run, put, get, copy, means = map(_intrinsic, (_note, _run, _put, _get, _copy, _means))
