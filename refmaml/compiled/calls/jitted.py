"""A compiled step as a function that the user's own Numba code calls: arrays in, arrays out, and no Python between.

What a call of `fomaml_step` does in Python, `running.execution` and `calls.shortcut`, stands here as one function that
Numba compiles around the machine code of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from refmaml.compiled.calls.arguments import Call
from refmaml.compiled.calls.groups import prepared
from refmaml.compiled.calls.plans import plan_for
from refmaml.compiled.code.driver import OWN
from refmaml.compiled.code.source import PARAMETERS
from refmaml.compiled.errors import UnsupportedPrimitive
from refmaml.compiled.machine.runtime import Native
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64, DType
from refmaml.compiled.running.execution import chunks_of
from refmaml.compiled.running.plan import Plan

_LINE = 64  # bytes of a cache line, where workspaces begin
#: The workspaces, as the machine code takes them.
_MEMORY = (FLOAT32, FLOAT64, INT64, BOOL)
_PRECISIONS = (FLOAT32, FLOAT64)
_SLACK = 16  # numbers that vector instructions may read beyond the end of a workspace


def jitted(call: Call) -> Callable[..., Any]:
    """Return the step of a call in loop mode as a function for Numba's nopython code.

    Raises:
        UnsupportedPrimitive: the tasks are of several shapes, or Numba does not compile; and as for any call.
    """
    ready = prepared(call)
    if len(ready.groups) != 1:
        raise UnsupportedPrimitive("batch: expected tasks of one shape, since Numba compiles the step for one.")
    plan = plan_for(call.kind, ready, ready.groups[0])[1].plan
    kinds = [leaf.dtype for leaf in plan.leaves]
    theta = tuple(map(np.ascontiguousarray, ready.theta.values(), kinds))
    # What batch functions return for the tasks is stacked, with an axis more than the batch has.
    rows = ready.groups[0].data
    rows = rows if plan.same_data else [array.reshape(-1, *array.shape[2:]) for array in rows]
    return _around(plan, theta, tuple(map(np.ascontiguousarray, rows)), bool(call.average_across_steps))


@lru_cache(maxsize=1)
def _parts() -> tuple[Any, ...]:
    """Return the parts of every such function that depend on no step, for Numba to compile once."""
    from numba import literal_unroll, njit

    def memory(size: Any, places: Any, numbers: Any) -> Any:
        room = np.zeros(size + _LINE, numbers.dtype)
        room = room[(-room.ctypes.data % _LINE) // room.itemsize :]
        for index in range(len(places)):
            room[places[index]] = numbers[index]
        return room

    def keep(*_arrays: Any) -> None:
        """Numba frees an array after its last use, and the machine code has addresses alone."""

    def note(arrays: Any, sizes: Any, block: Any) -> Any:
        """Write addresses into the block; tell whether every array has its size."""
        index, right = 0, True
        for array in literal_unroll(arrays):
            right &= array.size == sizes[index]
            block[index] = array.ctypes.data
            index += 1  # noqa: SIM113 - Numba cannot enumerate what it unrolls
        return right

    def share(gradients: Any, starts: Any, out4: Any, out8: Any, many: Any) -> None:
        """Write the means over the slots, which are added up in their order."""
        index = 0
        for gradient in literal_unroll(gradients):
            flat, start = gradient.reshape(gradient.size), starts[index]
            for place in range(gradient.size):
                single, double = np.float32(0.0), 0.0
                for chunk in range(len(out4)):
                    if gradient.itemsize == 4:
                        single += out4[chunk, start + place]
                    else:
                        double += out8[chunk, start + place]
                flat[place] = single / np.float32(many) if gradient.itemsize == 4 else double / many
            index += 1  # noqa: SIM113 - as above

    return tuple(map(njit, (memory, keep, note, share, chunks_of)))


def _around(plan: Plan, theta: tuple[Any, ...], data: tuple[Any, ...], average: bool) -> Callable[..., Any]:
    """Return the function that makes the workspaces of a call, runs the machine code, and adds its slots up."""
    from numba import njit, typeof, types

    if not isinstance(plan.run, Native):
        raise UnsupportedPrimitive(
            "jitted_step: expected machine code, which NUMBA_DISABLE_JIT and NUMBA_BOUNDSCHECK leave out."
        )
    memory, keep, note, share, shared_out = _parts()
    run: Any = plan.run.call  # Numba passes an array's `ctypes` where ctypes takes an address
    number, first = plan.cost_dtype.type, len(PARAMETERS)
    read = (*plan.inner_data, *(() if plan.same_data else plan.outer_data))
    rows = np.array([prod(array.shape) for array in read])
    sizes = np.array([leaf.size for leaf in plan.leaves])
    starts = np.array([leaf.start for leaf in plan.leaves])
    total4, total8 = (plan.totals.get(dtype, 0) for dtype in _PRECISIONS)
    space4, space8, space_i, space_b = (plan.sizes.get(dtype, 0) + _SLACK for dtype in _MEMORY)
    path4, path8 = (plan.history.get(dtype, 0) for dtype in _PRECISIONS)
    paths = np.array([plan.sizes[dtype] for dtype in _PRECISIONS if plan.totals.get(dtype)])
    (at4, of4), (at8, of8), (at_i, of_i), (at_b, of_b) = (_constants(plan, dtype) for dtype in _MEMORY)

    def step(variables: Any, batch: Any, steps: Any, rate: Any, gradients: Any) -> Any:
        if steps < 0:
            raise ValueError("inner_grad_steps: expected 0 or more.")
        tasks = len(batch[0])
        block = np.zeros(first + len(variables) + len(batch), np.uint64)
        if not note(gradients, sizes, block[first:]):
            raise ValueError("gradients: expected arrays of the sizes of the variables.")
        if not note(variables, sizes, block[first:]):
            raise ValueError("variables: expected arrays of the sizes with which the step was made.")
        if not note(batch, tasks * rows, block[first + len(variables) :]):
            raise ValueError("batch: expected arrays of the sizes with which the step was made, for all tasks.")
        chunks, size = shared_out(tasks, 4 * total4 + 8 * total8)
        counter, costs, n = np.zeros(1 + chunks, np.int64), np.zeros(8 * chunks), np.zeros(16, np.int64)
        n[0], n[1], n[2], n[3], n[4] = chunks, size, tasks, steps, average
        n[OWN + 1 : OWN + 1 + len(paths)] = paths
        w4, w8 = memory(space4 + path4 * (steps + 1), at4, of4), memory(space8 + path8 * (steps + 1), at8, of8)
        wi, wb = memory(space_i, at_i, of_i), memory(space_b, at_b, of_b)
        rates4, rates8 = np.full(2, -rate, np.float32), np.full(2, -rate, np.float64)
        out4, out8 = np.zeros((chunks, total4), np.float32), np.zeros((chunks, total8), np.float64)
        block[0], block[1] = counter.ctypes.data, n.ctypes.data
        block[2], block[3], block[4], block[5] = w4.ctypes.data, w8.ctypes.data, wi.ctypes.data, wb.ctypes.data
        block[6], block[7] = rates4.ctypes.data, rates8.ctypes.data
        block[8], block[9], block[10] = out4.ctypes.data, out8.ctypes.data, costs.ctypes.data
        run(block.ctypes)
        keep(counter, n, w4, w8, wi, wb, rates4, rates8, block)
        if costs[1::8].any():
            raise ValueError("the costs meet an error of NumPy's, such as an index outside of its axis.")
        many = tasks * (steps + 1 if average else 1)
        share(gradients, starts, out4, out8, many)
        return number(costs[::8].sum() / many)

    step.keeps = plan.run  # type: ignore[attr-defined]  # the machine code stays loaded as long as the function
    kinds, read_kinds = typeof(theta), typeof(data)  # type: ignore[no-untyped-call]  # Numba has no types
    compiled: Callable[..., Any] = njit((kinds, read_kinds, types.int64, types.float64, kinds), nogil=True)(step)
    return compiled


def _constants(plan: Plan, dtype: DType) -> tuple[Any, Any]:
    """Return the places and numbers of the constants in the workspace of a dtype."""
    parts = [(start, array.ravel()) for kind, start, array in plan.constants if kind == dtype]
    places = [np.arange(start, start + array.size) for start, array in parts]
    empty = np.zeros(0, dtype)
    return np.concatenate([empty.astype(np.int64), *places]), np.concatenate([empty, *(array for _, array in parts)])
