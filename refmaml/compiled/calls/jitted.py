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
_FIRST = len(PARAMETERS)
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


def _check(found: Any, sizes: Any, leaves: Any, tasks: Any, steps: Any) -> None:
    """Raise an error where the arrays do not have their sizes."""
    if steps < 0:
        raise ValueError("inner_grad_steps: expected 0 or more.")
    for index in range(leaves):
        if found[len(found) - leaves + index] != sizes[index]:
            raise ValueError("gradients: expected arrays of the sizes of the variables.")
        if found[index] != sizes[index]:
            raise ValueError("variables: expected arrays of the sizes with which the step was made.")
    for index in range(leaves, len(sizes)):
        if found[index] != tasks * sizes[index]:
            raise ValueError("batch: expected arrays of the sizes with which the step was made, for all tasks.")


@lru_cache(maxsize=1)
def _evaluate() -> Callable[..., Any]:
    """Return what every such function calls; it depends on no step, for Numba to compile it once."""
    from numba import njit

    from refmaml.compiled.machine.numba_target import copy, get, means, put, run

    shared_out: Any = njit(chunks_of)
    checked: Any = njit(_check)

    # Addresses and numbers: Numba takes a tenth of a second and more for each way of using an array.
    def evaluate(
        function: Any, image: Any, addresses: Any, found: Any, sizes: Any, starts: Any, widths: Any, spaces: Any,
        layout: Any, average: Any, tasks: Any, steps: Any, rate: Any,
    ) -> Any:  # fmt: skip
        leaves = len(starts)
        given = len(found) - leaves
        checked(found, sizes, leaves, tasks, steps)
        total4, total8 = layout[4], layout[5]
        chunks, size = shared_out(tasks, 4 * total4 + 8 * total8, layout[6])
        # Bytes of the arrays of `PARAMETERS`, and then the places of the arrays.
        counter, n, w4, rates4, rates8, out4, out8, costs = 0, 1, 2, 6, 7, 8, 9, 10
        places = np.zeros(_FIRST + given, np.int64)
        places[counter], places[n], places[costs] = 8 * (1 + chunks), 128, 64 * chunks
        for index in range(4):
            places[w4 + index] = spaces[index] + layout[index] * (steps + 1)
        places[rates4], places[rates8] = 8, 16
        places[out4], places[out8] = 4 * chunks * total4, 8 * chunks * total8
        room = _LINE
        for index in range(_FIRST):
            room += (places[index] + _LINE - 1) // _LINE * _LINE
        whole = np.zeros(room // 8, np.int64)
        start = whole.ctypes.data
        start += -start % _LINE
        for index in range(_FIRST):
            length, places[index] = places[index], start
            start += (length + _LINE - 1) // _LINE * _LINE
        for index in range(given):
            places[_FIRST + index] = addresses[index]
        for index in range(4):
            copy(places[w4 + index], image, spaces[index])
            image += spaces[index]
        for index in range(2):
            put(places[rates4] + 4 * index, np.float32(-rate))
            put(places[rates8] + 8 * index, -rate)
        numbers = places[n]
        for index, number in enumerate((chunks, size, tasks, steps, average, 0, 0, layout[6], layout[7], layout[8])):
            put(numbers + 8 * index, number)
        run(function, places.ctypes.data)
        many = tasks * (steps + 1) if average else tasks
        for index in range(leaves):
            target, begin = addresses[given + index], starts[index]
            if widths[index] == 4:
                means(target, places[out4] + begin, sizes[index], chunks, total4, np.float32(many))
            else:
                means(target, places[out8] + begin, sizes[index], chunks, total8, np.float64(many))
        cost = failed = 0.0
        for chunk in range(chunks):
            cost += get(places[costs] + 64 * chunk)
            failed += get(places[costs] + 64 * chunk + 8)
        if failed + 0 * whole[0] > 0.0:  # Numba frees an array after its last use, and the machine code has addresses
            raise ValueError("the costs meet an error of NumPy's, such as an index outside of its axis.")
        return cost / many

    compiled: Callable[..., Any] = njit(evaluate)
    return compiled


def _around(plan: Plan, theta: tuple[Any, ...], data: tuple[Any, ...], average: bool) -> Callable[..., Any]:
    """Return the function that finds out where the arrays of a call are, and has the machine code run on them."""
    from numba import njit, typeof, types

    from refmaml.compiled.machine.numba_target import note

    if not isinstance(plan.run, Native):
        raise UnsupportedPrimitive(
            "jitted_step: expected machine code, which NUMBA_DISABLE_JIT and NUMBA_BOUNDSCHECK leave out."
        )
    evaluate, function, number = _evaluate(), np.int64(plan.run.address), plan.cost_dtype.type
    read = (*plan.inner_data, *(() if plan.same_data else plan.outer_data))
    sizes = np.array([leaf.size for leaf in plan.leaves] + [prod(array.shape) for array in read])
    starts = np.array([leaf.start * leaf.dtype.itemsize for leaf in plan.leaves])
    widths = np.array([leaf.dtype.itemsize for leaf in plan.leaves])
    images = [_image(plan, dtype) for dtype in _MEMORY]
    begin = np.frombuffer(b"".join(images), np.uint8)
    image, spaces = np.int64(begin.ctypes.data), np.array([len(part) for part in images])
    layout = np.array([
        *(plan.history.get(dtype, 0) * dtype.itemsize for dtype in _MEMORY),
        *(plan.totals.get(dtype, 0) for dtype in _PRECISIONS),
        plan.lanes,
        *[plan.sizes[dtype] for dtype in _PRECISIONS if plan.totals.get(dtype)], 0,
    ][:9])  # fmt: skip
    is_average, many = np.int64(average), 2 * len(theta) + len(data)

    def step(variables: Any, batch: Any, steps: Any, rate: Any, gradients: Any) -> Any:
        addresses, found = np.zeros(many, np.int64), np.zeros(many, np.int64)
        note(variables, batch, gradients, addresses, found)
        return number(evaluate(
            function, image, addresses, found, sizes, starts, widths, spaces, layout, is_average, len(batch[0]), steps,
            rate,
        ))  # fmt: skip

    step.keeps = (plan.run, begin)  # type: ignore[attr-defined]  # both stay as long as the function
    kinds, read_kinds = typeof(theta), typeof(data)  # type: ignore[no-untyped-call]  # Numba has no types
    compiled: Callable[..., Any] = njit((kinds, read_kinds, types.int64, types.float64, kinds), nogil=True)(step)
    return compiled


def _image(plan: Plan, dtype: DType) -> bytes:
    """Return how the workspace of a dtype begins: its constants, and zeros."""
    memory = np.zeros((plan.sizes.get(dtype, 0) + _SLACK, plan.lanes), dtype)
    for kind, start, array in plan.constants:
        if kind == dtype:
            memory[start : start + array.size] = array.reshape(-1, 1)
    return memory.tobytes()
