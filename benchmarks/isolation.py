"""What a process of its own costs a quick verdict: `refmaml verify SUBJECT` with it and with `--in-process`, in turn.

`python -m benchmarks --parts isolation`. The seconds are those of the whole command, with its imports.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

_ROUNDS = 5
_REFMAML = (sys.executable, "-m", "refmaml")
_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
#: Where each framework's subject is; what `refmaml init numpy` prints is written down first.
_SUBJECTS = {"numpy": "numpy_subject.py:subject", "torch": f"{_EXAMPLES / 'torch_fomaml.py'}:subject"}


def isolation() -> dict[str, dict[str, float]]:
    """Return the median seconds of a quick verdict in a process of its own and without, by framework."""
    with tempfile.TemporaryDirectory() as folder:
        template = subprocess.run([*_REFMAML, "init", "numpy"], capture_output=True, check=True)
        (Path(folder) / "numpy_subject.py").write_bytes(template.stdout)
        found = {name: _medians(where, folder) for name, where in _SUBJECTS.items() if find_spec(name)}
    for name, seconds in found.items():
        apart = seconds["isolated"] - seconds["in process"]
        print(f"isolation, {name}: {apart:+.2f} s, {seconds['isolated']:.2f} s for {seconds['in process']:.2f} s")
    return found


def _medians(where: str, folder: str) -> dict[str, float]:
    times: dict[str, list[float]] = {"isolated": [], "in process": []}
    for _ in range(_ROUNDS):
        for name, options in (("isolated", ()), ("in process", ("--in-process",))):
            began = time.perf_counter()
            command: list[Any] = [*_REFMAML, "verify", where, *options]
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - began)
    return {name: float(np.median(seconds)) for name, seconds in times.items()}
