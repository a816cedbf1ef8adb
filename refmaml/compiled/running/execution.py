"""Calling a compiled step: its workspaces, its results, and the work shared out over threads."""

from __future__ import annotations

import ctypes
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from refmaml.compiled.code.driver import CHUNKS, HISTORY, LANES
from refmaml.compiled.machine.runtime import Native
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64
from refmaml.compiled.running.crew import CREW
from refmaml.compiled.running.plan import Plan
from refmaml.compiled.running.posts import WATCH, is_noted

Numbers = np.ndarray[Any, Any]
_MEMORY = (FLOAT32, FLOAT64, INT64, BOOL)
_PRECISIONS = (FLOAT32, FLOAT64)
#: Where an array has the address of its data: after Python's own part of the object (`PyArrayObject_fields`).
_DATA = object.__basicsize__
#: Slots for sums of gradients: enough to share out among threads, and few enough for the memory not to grow with T.
#: Writing and adding up a slot costs about as much as a small task, so more than the fewest are for many tasks only.
_SLOTS = (16, 32)
_FILLED = 8  # tasks in each, where there are more than the fewest slots
#: Bytes that all slots of a call may take, unless eight slots alone take more.
_SLOT_BYTES = 1 << 23
#: Seconds of work for each helper that is woken: what it costs to wake one, and to compute again what one has begun and
#: does not finish, has to be small beside them. docs/engine.md has the measurements.
_WORTH_WAKING = 1e-3
#: The same where the last call has just ended, as in a loop of calls: then helpers are awake after the second.
_WORTH_SHARING = 4e-5
#: Seconds added to the time of a chunk, when a helper is waited for.
_PATIENCE = 2e-5


def chunks_of(tasks: int, bytes_each: int, lanes: int) -> tuple[int, int]:
    """Return (chunks, tasks in each); they depend on the problem alone, so that the result does too."""
    fewest, most = _SLOTS
    slots = min(most, max(fewest, tasks // (_FILLED * lanes)))
    slots = max(8, min(slots, _SLOT_BYTES // max(bytes_each, 1)))
    size = -(-tasks // (slots * lanes)) * lanes
    return -(-tasks // size), size


class StepFailed(Exception):  # noqa: N818 - what happened, not what is wrong with the engine
    """A step met what is an error in NumPy: an index outside of its axis, or a matrix that has no factors."""


class Buffers:
    """The arrays of one call on one number of tasks; kept for the next."""

    def __init__(self, plan: Plan, tasks: int, steps: int) -> None:
        self.plan, self.tasks, self.steps = plan, tasks, steps
        totals = {dtype: plan.totals.get(dtype, 0) for dtype in _PRECISIONS}
        size = sum(count * dtype.itemsize for dtype, count in totals.items())
        self.chunks, self.chunk_size = chunks_of(tasks, size, plan.lanes)
        self.counter = np.zeros(1 + self.chunks, np.int64)  # the next chunk, and which are finished
        self.n = np.zeros(16, np.int64)
        self.out = {dtype: np.zeros((self.chunks, count), dtype) for dtype, count in totals.items()}
        self.costs = np.zeros(8 * self.chunks)  # each chunk's in a cache line of its own
        self.rates = {dtype: np.zeros(2 + sum(rate.size + 16 for rate in plan.rates), dtype) for dtype in _PRECISIONS}
        self.present = [dtype for dtype in _PRECISIONS if plan.totals.get(dtype)]
        for position, dtype in enumerate(self.present):  # where the history of φ begins
            self.n[HISTORY + position] = plan.sizes[dtype]
        self.nothing = {dtype: np.empty((0, 0), dtype) for dtype in _PRECISIONS}
        self._fixed: list[tuple[list[Numbers], Numbers]] = []
        self._blocks: list[int] = []

    def arguments(self, worker: int, kept: Sequence[Numbers], given: Sequence[Numbers]) -> list[Numbers]:
        """Return the arrays that one thread gets; `given` are variables and data."""
        fixed, _ = self._workspace(worker)
        return [*fixed, *(_writable_flat(numbers) for numbers in (*kept, *given))]

    def addresses(self, worker: int, ends: Sequence[int]) -> int:
        """Return the address of the addresses that one thread gets; `ends` are those that a call alone has."""
        fixed, block = self._workspace(worker)
        block[len(fixed) :] = ends
        return self._blocks[worker]

    def _workspace(self, worker: int) -> tuple[list[Numbers], Numbers]:
        while len(self._fixed) <= worker:
            arrays = [
                self.counter, self.n, *(self._memory(dtype) for dtype in _MEMORY), *self.rates.values(),
                *(numbers.reshape(-1) for numbers in self.out.values()), self.costs,
            ]  # fmt: skip
            count = len(arrays) + 2 + len(self.plan.leaves) + len(self.plan.inner_data) + len(self.plan.outer_data)
            block = np.zeros(count, np.int64)
            block[: len(arrays)] = [array.ctypes.data for array in arrays]
            self._fixed.append((arrays, block))
            self._blocks.append(block.ctypes.data)
        return self._fixed[worker]

    def _memory(self, dtype: Any) -> Numbers:
        plan = self.plan
        history = plan.history.get(dtype, 0) * (self.steps + 1)
        memory = _aligned((plan.sizes.get(dtype, 0) + history + 16) * plan.lanes, dtype)
        for kind, start, array in plan.constants:
            if kind == dtype:
                memory.reshape(-1, plan.lanes)[start : start + array.size] = array.reshape(-1, 1)
        return memory


def _aligned(size: int, dtype: Any) -> Numbers:
    """Return zeros that begin at a cache line."""
    memory = np.zeros(size + 64, dtype)
    skip = -memory.ctypes.data % 64 // memory.itemsize
    return memory[skip : skip + size]


class Execution:
    """A plan with the buffers that calls of it have left behind."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._idle: deque[Buffers] = deque(maxlen=4)
        self._pace = 0.0  # seconds that one thread takes for one evaluation of a task, as measured; 0 before that
        self._ended = 0.0  # when the last call did, in seconds of time.perf_counter()

    def _buffers(self, tasks: int, steps: int) -> Buffers:
        try:
            buffers = self._idle.pop()
        except IndexError:
            return Buffers(self.plan, tasks, steps)
        fits = buffers.tasks == tasks and (buffers.steps == steps or not self.plan.history)
        return buffers if fits else Buffers(self.plan, tasks, steps)

    def run(
        self, theta: Sequence[Any], data: Sequence[Numbers], descent: float, rates: Sequence[Any], tasks: int,
        steps: int, average: bool, adapted: int, threads: int,
    ) -> tuple[float, dict[Any, Numbers], dict[Any, Numbers]]:  # fmt: skip
        """Return the sum of the tasks' costs, of their gradients by dtype, and the adapted variables of `adapted`."""
        buffers = self._buffers(tasks, steps)
        self._fill(buffers, descent, rates)
        buffers.counter[:] = 0
        own = self.plan.separable
        lanes = self.plan.lanes
        buffers.n[: LANES + 1] = (buffers.chunks, buffers.chunk_size, tasks, steps, average, adapted, own, lanes)
        variables = zip(theta, self.plan.leaves, strict=True)
        given = [*(np.ascontiguousarray(array, leaf.dtype) for array, leaf in variables), *data]
        kept = buffers.nothing
        if adapted:
            kept = {dtype: np.empty((adapted, self.plan.totals.get(dtype, 0)), dtype) for dtype in _PRECISIONS}
        run = self.plan.run
        if isinstance(run, Native):
            evaluations = ((2 if average else 1) * steps + 1) * tasks
            if not self._shared_out(run, buffers, kept, given, threads, evaluations):
                buffers, kept = self._made_again(run, buffers, kept, given)
        else:
            run(buffers.arguments(0, list(kept.values()), given))
        if buffers.costs[1::8].any():
            self._idle.append(buffers)
            raise StepFailed
        cost = 0.0
        for part in buffers.costs[::8].tolist():  # from Python 3.12 on `sum` compensates, and the bits would be others
            cost += part
        sums = {dtype: np.add.reduce(buffers.out[dtype], axis=0) for dtype in buffers.present}  # slot by slot, in order
        self._idle.append(buffers)
        return cost, sums, kept

    def _shared_out(
        self, run: Native, buffers: Buffers, kept: dict[Any, Numbers], given: Sequence[Numbers], threads: int,
        evaluations: int,
    ) -> bool:  # fmt: skip
        """Run all chunks, with helpers; return False where one of them has not finished what it began."""
        ends = _ends(buffers, kept, given)
        mine = buffers.addresses(0, ends)
        expected = self._pace * evaluations
        began = time.perf_counter()
        worth = _WORTH_SHARING if began - self._ended < WATCH else _WORTH_WAKING
        helpers = min(threads - 1, buffers.chunks - 1, int(expected / worth))
        if helpers > 0:
            theirs = [buffers.addresses(worker, ends) for worker in range(1, helpers + 1)]
            patience = 2 * expected / buffers.chunks + _PATIENCE
            finished = CREW.share(run.address, mine, theirs, (buffers, kept, given), patience)
        else:
            run.call(mine)
            finished = True
        self._ended = time.perf_counter()
        # What all of them may have taken together: more than one thread alone takes, so the least is the best.
        seconds = (self._ended - began) * (1 + max(helpers, 0))
        self._pace = min(self._pace or seconds, seconds / evaluations)
        return finished

    def _made_again(
        self, run: Native, late: Buffers, kept: dict[Any, Numbers], given: Sequence[Numbers]
    ) -> tuple[Buffers, dict[Any, Numbers]]:
        """Compute unfinished chunks once more, in other memory than that which a late helper still writes to."""
        buffers = Buffers(self.plan, late.tasks, late.steps)
        if kept is not late.nothing:
            kept = {dtype: numbers.copy() for dtype, numbers in kept.items()}
        finished = [is_noted(late.counter, 1 + chunk) for chunk in range(late.chunks)]
        for dtype in _PRECISIONS:
            buffers.rates[dtype][:] = late.rates[dtype]
            buffers.out[dtype][:] = late.out[dtype]
        buffers.costs[:] = late.costs
        buffers.n[:] = late.n
        mine = buffers.addresses(0, _ends(buffers, kept, given))
        for chunk in range(late.chunks):
            if not finished[chunk]:
                buffers.counter[0], buffers.n[CHUNKS] = chunk, chunk + 1
                run.call(mine)
        return buffers, kept

    def _fill(self, buffers: Buffers, descent: float, rates: Sequence[Any]) -> None:
        for dtype in _PRECISIONS:
            buffers.rates[dtype][0] = descent
        for rate, value in zip(self.plan.rates, rates, strict=True):
            buffers.rates[rate.dtype][2 + rate.start : 2 + rate.start + rate.size] = np.ravel(value)


def _address(array: Numbers) -> int:
    """Return where an array's data begins, as NumPy's ABI has it; its attributes take six times as long."""
    return ctypes.c_int64.from_address(id(array) + _DATA).value


def _ends(buffers: Buffers, kept: dict[Any, Numbers], given: Sequence[Numbers]) -> list[int]:
    """Return the addresses of what a call alone has."""
    adapted = [0, 0] if kept is buffers.nothing else [_address(numbers) for numbers in kept.values()]
    return [*adapted, *[_address(numbers) for numbers in given]]


def _writable_flat(array: Numbers) -> Numbers:
    return array.reshape(-1) if array.size else np.zeros(1, array.dtype)


def leaf_of(plan: Plan, sums: dict[Any, Numbers], index: int) -> Any:
    """Return one leaf of an array that holds all variables of its dtype."""
    leaf = plan.leaves[index]
    block = sums[leaf.dtype]
    return block[..., leaf.start : leaf.start + leaf.size].reshape(*block.shape[:-1], *leaf.shape)
