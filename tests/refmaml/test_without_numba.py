"""What works where Numba cannot be imported: everything but the compiled steps."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Numba and the LLVM that comes with it raise when they are imported, as where they are not installed.
_WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
_STEPS = """
import numpy as np
batch = {"x": np.array([[1.0, 2.0], [3.0, -1.0]])}
cost = lambda batch, v: ((v["w"] - batch["x"]) ** 2).mean()
found = [
    steps.fomaml_step(batch, cost, None, {"w": np.array(0.5)}, 2, 0.25, batched=False),
    steps.maml_step(batch, cost, None, {"w": np.array(0.5)}, 2, 0.25, batched=False),
    steps.reptile_step(batch, cost, {"w": np.array(0.5)}, 2, 0.25, batched=False),
]
print([round(float(result[1]["w"]), 6) for result in found])
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _WITHOUT + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["refmaml", "refmaml.reference"])
def test_the_reference_needs_no_numba(module: str) -> None:
    """The steps of the reference are imported and answer where Numba cannot be imported.

    Up to constants the tasks' costs are (w − 1.5)² and (w − 1)². An inner step with rate 0.25 halves the distance d
    to the centre, so the gradients are the means of 2d/4 (first order), of 2d/16 (second order) and, for Reptile, of
    what both steps move, divided by the rate: 3d. With d = −1 and −0.5 they are −0.375, −0.09375 and −2.25.
    """
    done = _run(f"import {module} as steps{_STEPS}")
    assert done.stderr == ""
    assert done.stdout == "[-0.375, -0.09375, -2.25]\n"


def test_the_compiled_steps_say_what_is_missing() -> None:
    """Importing the compiled steps raises an ImportError that names Numba and what can be used instead."""
    done = _run("import refmaml.compiled")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: refmaml.compiled needs Numba, which is not installed: pip install numba.")
    assert last.endswith("the steps of refmaml have the same arguments and answers.")


def test_the_missing_package_is_told_by_its_name() -> None:
    """The ImportError bears Numba's name, so that a caller can tell it from any other."""
    code = "try:\n    import refmaml.compiled\nexcept ImportError as error:\n    print(error.name)"
    assert _run(code).stdout == "numba\n"
