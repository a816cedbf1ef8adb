"""A compiled step with what it takes to call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refmaml.compiled.code.bodies import Data, Leaf
from refmaml.compiled.machine.runtime import Native, Run
from refmaml.compiled.program.program import DType


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A compiled step with what it takes to call it."""

    run: Run | Native
    source: str
    leaves: list[Leaf]
    inner_data: tuple[Data, ...]
    outer_data: tuple[Data, ...]
    same_data: bool
    rates: list[Leaf]
    separable: bool  # it is the program of one task out of all that the cost sees at once, with its own variables
    lanes: int  # so many tasks are computed at once: each element of the workspace is one for each of them
    sizes: dict[DType, int]  # of the workspace
    totals: dict[DType, int]  # of all variables
    constants: list[tuple[DType, int, np.ndarray[Any, Any]]]
    cost_dtype: DType
    history: dict[DType, int]  # numbers that each inner step leaves, at the end of the workspace, for the way back
    traced: dict[str, dict[str, Any]]  # by program: cost and gradient on the data that was traced
    precisions: dict[str, DType]  # by program: the coarsest in it
    fingerprints: dict[str, str | None]  # of the recordings
