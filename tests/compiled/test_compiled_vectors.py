"""The golden vectors in the compiled engine: a sample of every family and step, or all of them.

    REFMAML_ALL_VECTORS=1 pytest tests/compiled/test_compiled_vectors.py

runs all 533, compiled, in five to ten minutes, and with NUMBA_DISABLE_JIT=1 interpreted.
"""

from __future__ import annotations

import json
import os

import pytest
from numba import config

import refmaml.compiled as engine
from verification.vectors import DATA, Vector, check

pytestmark = pytest.mark.once  # arithmetic

STEPS = {"fomaml": engine.fomaml_step, "maml": engine.maml_step, "reptile": engine.reptile_step}
ALL = bool(os.environ.get("REFMAML_ALL_VECTORS"))
IS_SHORT = not (ALL or config.DISABLE_JIT)
OF_EACH_FILE = 1 if IS_SHORT else 3
FILES = [
    entry["file"]
    for entry in json.loads((DATA / "manifest.json").read_text("utf-8"))["files"]
    if ".fomaml." in entry["file"] or not IS_SHORT
]


def chosen(file: str) -> list[Vector]:
    """Return the vectors of a file, or three of them: other ones in each file, so that every setting has its turn."""
    vectors = [Vector(content["id"], content) for content in json.loads((DATA / file).read_text("utf-8"))["vectors"]]
    if ALL:
        return vectors
    begin, stride = FILES.index(file), len(vectors) // OF_EACH_FILE
    return [vectors[(begin + n * stride) % len(vectors)] for n in range(OF_EACH_FILE)]


@pytest.mark.parametrize("file", FILES)
def test_the_engine_answers_every_vector_within_its_bound(file: str) -> None:
    """In each precision that a golden vector may be run in the engine's answer is within the vector's bound."""
    wrong = {
        (vector.id, dtype): found
        for vector in chosen(file)
        for dtype in vector.dtypes
        if (found := check(STEPS[vector.problem["step"]], vector, dtype=dtype))
    }
    assert wrong == {}


@pytest.mark.skipif(IS_SHORT, reason="one compiled vector of each family has not every setting")
def test_the_sample_has_every_setting() -> None:
    """Every number of inner steps and tasks, both modes, and averages are among the chosen."""
    problems = [vector.problem for file in FILES for vector in chosen(file)]
    assert {problem["steps"] for problem in problems} >= {0, 1, 2, 3, 5, 20}
    assert {problem["num_tasks"] for problem in problems} >= {1, 2, 3, 5}
    assert {problem["batched"] for problem in problems} == {True, False}
    assert any(problem["average"] for problem in problems)
