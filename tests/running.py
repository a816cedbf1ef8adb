"""How the tests run: in how many processes, and which of a test's many parameters stand for the others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

#: Each worker has one core, so that a second thread of BLAS costs more than it gives.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def sample(choices: Mapping[str, Mapping[str, int]], count: int) -> set[str]:
    """Return `count` of the names, chosen by chance that is the same every day.

    Args:
        choices: for the name of a test with its parameters, which value it has of each, by its place in the list.
        count: how many to choose. First come those that have a value which none before has.
    """
    by_chance = sorted(choices, key=lambda name: crc32(name.encode()))
    chosen: set[str] = set()
    had: set[tuple[str, int]] = set()
    for name in by_chance:
        values = set(choices[name].items())
        if len(chosen) < count and values - had:
            chosen.add(name)
            had |= values
    rest = [name for name in by_chance if name not in chosen]
    return chosen | set(rest[: max(0, count - len(chosen))])


def run_in_workers(option: Any, arguments: Sequence[str], *, is_worker: bool) -> None:
    """Have pytest-xdist run whole folders in a process for each core, where nobody has said how to run them.

    An option that needs one process, or that says what to do, is left as it is: `-n`, `--dist`, `--pdb`, `-s`, `--cov`,
    which has begun to measure before it could know of workers, and single files, which workers take longer to start for
    than to run.
    """
    if is_worker or getattr(option, "numprocesses", 0) is not None:  # no such option: no xdist
        return
    is_told = option.dist != "no" or option.tx or option.usepdb or option.capture == "no" or option.collectonly
    if is_told or getattr(option, "cov_source", None):
        return
    if all(Path(argument).is_dir() for argument in arguments):
        option.numprocesses, option.dist = "auto", "worksteal"
        for name in _THREADS:
            os.environ.setdefault(name, "1")
