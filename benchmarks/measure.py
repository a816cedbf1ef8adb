"""Interleaved medians, first calls in processes of their own, and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.workloads import Workload

Call = Callable[[], Any]
#: How often the libraries take turns.
_BLOCKS = 8
_OTHER = np.random.default_rng(0).normal(size=(60, 60))


def interleaved(
    calls: dict[str, Call], seconds: float, gap: float = 0.0, pair: tuple[str, ...] = ()
) -> dict[str, list[float]]:
    """Return the times of each call, in blocks that take turns so that the machine's moods meet all alike.

    A library's threads spin for a while after its call, on the cores that the next one needs: the first calls of a
    block are not counted, so that each library is measured as it is used, by itself. `gap`: seconds of other work
    before each call. Calls of a `pair` have their blocks together, and take turns in them.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    block = seconds / len(calls) / _BLOCKS
    for _ in range(_BLOCKS):
        for names in [(name,) for name in calls if name not in pair] + [pair] * bool(pair):
            together = {name: calls[name] for name in names}
            for name, found in _block(together, block * len(names), gap).items():
                times[name] += found
    return times


def _block(calls: dict[str, Call], seconds: float, gap: float) -> dict[str, list[float]]:
    """Return the times of the calls within so many seconds, three at least, without those of the first tenth."""
    end, settled = time.perf_counter() + seconds, time.perf_counter() + seconds / 10
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    while time.perf_counter() < end or len(min(times.values(), key=len)) < 3:
        for name, call in calls.items():
            _work(gap)
            began = time.perf_counter()
            call()
            now = time.perf_counter()
            if began > settled:
                times[name].append(now - began)
    return times


def _work(seconds: float) -> None:
    """Do for so long what a training loop does between two steps: NumPy's arithmetic."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        _OTHER.dot(np.tanh(_OTHER))


_HOLD = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
"""


@contextmanager
def held_core(longest: float) -> Iterator[None]:
    """Have another process hold a core meanwhile, for `longest` seconds at most."""
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(longest)]) as process:
        try:
            yield
        finally:
            process.kill()


def disagreement(answers: dict[str, Any], dtype: str) -> float:
    """Return the largest normwise distance of any two gradients, in units of rounding."""
    names = list(answers)
    worst = 0.0
    for other in names[1:]:
        for key, leaf in answers[names[0]][1].items():
            distance = np.linalg.norm(np.asarray(answers[other][1][key], float) - np.asarray(leaf, float))
            worst = max(worst, float(distance / np.linalg.norm(leaf) / np.finfo(dtype).eps))
    return worst


_START = """
import json, re, sys, time
from pathlib import Path
def clocks():
    return time.perf_counter(), time.process_time()
began = clocks()
{imports}
imported = [after - before for before, after in zip(began, clocks())]
from benchmarks.workloads import EVERY
from benchmarks.contestants import CONTESTANTS
workload = next(workload for workload in EVERY if workload.name == sys.argv[2])
call = CONTESTANTS[sys.argv[1]](workload)
"""
_TIMED = """
began = clocks()
call()
print(json.dumps([spent + after - before for spent, before, after in zip(imported, began, clocks())]))
"""
_WEIGHED = """
def kibibytes(name):
    return int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
before = kibibytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak that making the batch has left
call()
call()
print(json.dumps(kibibytes("VmHWM") - before))
"""
_IMPORTS = {"refmaml.compiled": "import refmaml.compiled", "jax": "import jax.numpy", "torch": "import torch"}


def _in_a_process(script: str, contestant: str, workload: Workload, folder: str) -> Any:
    """Run a script in a process of its own, whose compilers keep their caches in `folder`."""
    home = os.path.join(folder, "cache")
    environment = {**os.environ, "REFMAML_CACHE_DIR": home, "TORCHINDUCTOR_CACHE_DIR": home}
    done = subprocess.run(
        [sys.executable, "-c", _START.format(imports=_IMPORTS[contestant]) + script, contestant, workload.name],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def first_calls(contestant: str, workload: Workload) -> dict[str, tuple[float, float]]:
    """Return the seconds, and those of processor time, that an import and a first call take.

    "cold" is with an empty disk cache, "warm" with what that has left.
    """
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (_in_a_process(_TIMED, contestant, workload, folder) for _ in range(2))
    return {"cold": tuple(cold), "warm": tuple(warm)}


def peak_memory(contestant: str, workload: Workload) -> float:
    """Return by how much steps raise the peak memory of a process that has the batch, in MiB.

    Compilers find their disk cache filled, so that the memory that they take is not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        _in_a_process(_TIMED, contestant, workload, folder)
        return float(_in_a_process(_WEIGHED, contestant, workload, folder)) / 1024


def batch_size(workload: Workload) -> float:
    """Return the size of the batch in MiB."""
    return sum(leaf.nbytes for leaf in workload.data()[0].values()) / 2**20
