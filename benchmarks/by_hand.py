"""What the engine does by hand, against the library that could do it: the same work, by turns in one process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from benchmarks.contestants import refmaml_compiled
from benchmarks.measure import Call, held_core, interleaved
from benchmarks.workloads import WORKLOADS
from refmaml.compiled.code import source as emission
from refmaml.compiled.code.places import Header
from refmaml.compiled.code.source import Emitted
from refmaml.compiled.machine import cache, runtime, vectormath
from refmaml.compiled.program import schedule
from refmaml.compiled.program.kernels import MatMul, RowSum
from refmaml.compiled.program.program import FLOAT32, FLOAT64, DType
from refmaml.compiled.running import execution

_FUNCTIONS = ("tanh", "exp", "log", "log1p")
_LENGTH = 4096
_PRODUCTS = ((10, 40, 40), (5, 256, 128), (5, 784, 256))
_TIMES = 50
_NEVER = 10**9


def by_hand(seconds: float) -> dict[str, dict[str, list[float]]]:
    """Return the microseconds of a call for each part, by hand and by each library: 10th, 50th and 90th percentile."""
    found = {}
    for name, calls, gap in _parts():
        # Threads are awake in a loop of calls of their own.
        pair = () if "one thread" in calls else tuple(calls)
        times = interleaved(calls, seconds / 4, gap, pair=pair)
        found[name] = {way: (1e6 * np.quantile(sample, [0.1, 0.5, 0.9])).tolist() for way, sample in times.items()}
        hand = found[name]["by hand"]
        texts = [
            f"{way} {own[0]:.2f} µs ({', '.join(f'{a / b:.2f}' for a, b in zip(own, hand, strict=True))})"
            for way, own in found[name].items()
        ]
        print(f"{name:<40} {'; '.join(texts)}", flush=True)
    return found


def _parts() -> Iterator[tuple[str, dict[str, Call], float]]:
    for function in _FUNCTIONS:
        for dtype in (FLOAT32, FLOAT64):
            yield f"{function} of {_LENGTH} {dtype}", _elementwise(function, dtype), 0.0
    for shape in _PRODUCTS:
        yield f"product {'×'.join(map(str, shape))} float32, {_TIMES} times", _products(*shape), 0.0
    for length in (10, 100):
        yield f"sums of {length} float32, {_TIMES} times", _sums(length), 0.0
    yield "transpositions of sinusoid-5", _steps("sinusoid-5-float32", vars(schedule), "_WIDE", _NEVER), 0.0
    yield "several tasks at once of many-small", _steps("many-small", vars(emission), "_SMALL", 0), 0.0
    yield "a helper woken for nothing", _helpers(), 0.0
    for name in ("sinusoid-5-float32", "many-small", "many-tasks-1024"):
        for is_held in (False, True):
            for gap in (0.0, 3e-3):
                held = ", a core held" if is_held else ""
                with held_core(60.0) if is_held else nullcontext():
                    yield f"threads of {name}, gap {1e3 * gap:g} ms{held}", _threads(name), gap


def _once(body: Callable[..., Any]) -> Callable[..., Any]:
    """Return a driver that calls its body."""

    def step(memory: Any) -> None:
        body(memory)

    return step


def _compiled(body: str, header: Header, dtype: DType, size: int) -> tuple[Call, np.ndarray[Any, Any]]:
    """Return a function that runs a body on a workspace, and the workspace."""
    name = f"w{dtype.itemsize}"
    source = f"def body(memory):\n    {name} = memory.{name}\n{body}"
    native = runtime.executable(Emitted(source, header, {name: dtype}, _once))
    if not isinstance(native, runtime.Native):
        raise SystemExit("expected machine code, which NUMBA_DISABLE_JIT and NUMBA_BOUNDSCHECK leave out.")
    memory = np.random.default_rng(0).uniform(0.1, 1.0, size).astype(dtype)
    block = np.array([memory.ctypes.data])
    at = block.ctypes.data
    call, keeps = native.call, (native, block, memory)
    return lambda: (call(at), keeps), memory


def _elementwise(function: str, dtype: DType) -> dict[str, Call]:
    name = f"w{dtype.itemsize}"
    body = f"    for i in range({_LENGTH}):\n        {name}[{_LENGTH} + i] = {function}({name}[i])\n"
    header = Header(functions={function})
    hand, memory = _compiled(body, header, dtype, 2 * _LENGTH)
    with _instead(vectormath._FUNCTIONS, function, vectormath.library(function)):
        c_library, _ = _compiled(body + "    pass\n", header, dtype, 2 * _LENGTH)  # other source, another cache entry
    numpy, result = getattr(np, function), np.empty(_LENGTH, dtype)
    return {"by hand": hand, "libm": c_library, "NumPy": lambda: numpy(memory[:_LENGTH], result)}


def _products(rows: int, summed: int, columns: int) -> dict[str, Call]:
    kernel = MatMul(rows, columns, summed, (summed, 1), (columns, 1), 4, "rows", accumulate=True)
    a, b = 0, rows * summed
    c = b + summed * columns
    body = f"    one = f4(1.0)\n    for i in range({_TIMES}):\n        product(w4, {c}, {a}, {b}, one)\n"
    hand, _ = _compiled(body, Header(kernels={"product": kernel}), FLOAT32, c + rows * columns)
    return {"by hand": hand, "BLAS": _blas(rows, summed, columns)}


def _sums(length: int) -> dict[str, Call]:
    loop, size = f"    for i in range({_TIMES}):\n", (length + 1) * _TIMES
    body = f"{loop}        w4[{length * _TIMES} + i] = row(w4, {length} * i)\n"
    hand, _ = _compiled(body, Header(kernels={"row": RowSum(length, 4)}), FLOAT32, size)
    summed = f"        s = f4(0.0)\n        for j in range({length}):\n            s = s + w4[{length} * i + j]\n"
    plain, _ = _compiled(f"{loop}{summed}        w4[{length * _TIMES} + i] = s\n", Header(), FLOAT32, size)
    return {"by hand": hand, "LLVM": plain}


def _blas(rows: int, summed: int, columns: int) -> Call:
    """Return the same number of products by BLAS, called from machine code."""
    from numba import njit

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, summed), (summed, columns)))
    c = np.empty((rows, columns), np.float32)

    def multiply(a: Any, b: Any, c: Any) -> None:
        for _ in range(_TIMES):
            np.dot(a, b, c)

    compiled = njit(multiply)
    return lambda: compiled(a, b, c)


def _steps(name: str, names: dict[str, Any], constant: str, value: Any) -> dict[str, Call]:
    """Return a workload's steps with a kind of kernel and without it, where LLVM makes what it can of plain loops."""
    workload = next(workload for workload in WORKLOADS if workload.name == name)
    with _instead(names, constant, value):
        plain = refmaml_compiled(workload, 1)
        plain()
    return {"by hand": refmaml_compiled(workload, 1), "LLVM": plain}


class _Executor:
    """The crew of helpers, as a thread pool of Python's."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(16)

    def share(self, function: int, mine: int, theirs: Sequence[int], _keeps: Any, _seconds: float) -> bool:
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function)
        helpers = [self._pool.submit(call, argument) for argument in theirs]
        call(mine)
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        return True


def _threads(name: str) -> dict[str, Call]:
    workload = next(workload for workload in WORKLOADS if workload.name == name)
    call, one, pool = refmaml_compiled(workload), refmaml_compiled(workload, 1), _Executor()

    def by_pool() -> Any:
        with _instead(vars(execution), "CREW", pool):
            return call()

    return {"by hand": call, "ThreadPoolExecutor": by_pool, "one thread": one}


def _helpers() -> dict[str, Call]:
    """Return what it takes beside the work to have a helper do something, and to know that it is done."""
    code, pool = cache.built("define void @nothing(i64 %x) {\n  ret void\n}"), _Executor()
    nothing = code.get_function_address("nothing")

    def by(crew: Any) -> Call:
        return lambda: (crew.share(nothing, 0, [0], None, 1e-3), code)

    return {"by hand": by(execution.CREW), "ThreadPoolExecutor": by(pool)}


@contextmanager
def _instead(names: dict[str, Any], name: str, value: Any) -> Iterator[None]:
    before, names[name] = names[name], value
    try:
        yield
    finally:
        names[name] = before
