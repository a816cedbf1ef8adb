"""The kill matrix, faults by vectors, worked out from the recorded answers and not from what the vectors claim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from verification.judging.tolerances import norm
from verification.vectors.layout import Json
from verification.vectors.vector import Arrays, Vector

MARGIN = 2.0  # in bounds: beyond twice the bound no answer within a bound of the fault's can pass


@dataclass(frozen=True)
class KillMatrix:
    """For each fault the ids of the vectors that kill it, and of those whose bounds hide the answer they record."""

    kills: dict[str, list[str]]
    hidden: dict[str, list[str]]

    @property
    def survivors(self) -> list[str]:
        """The faults that no vector kills."""
        return [fault for fault, killers in self.kills.items() if not killers]


def kill_matrix(vectors: Iterable[Vector], faults: Iterable[str], dtype: str = "float64") -> KillMatrix:
    """Return which vectors kill which of the faults in a precision."""
    kills: dict[str, list[str]] = {fault: [] for fault in faults}
    hidden: dict[str, list[str]] = {fault: [] for fault in kills}
    for vector in vectors:
        if dtype not in vector.dtypes:
            continue
        for names, gradients in vector.counterfactuals:
            cell = kills if distance(vector, gradients, dtype) > MARGIN else hidden
            for fault in names:
                cell[fault].append(vector.id)
    return KillMatrix(kills, hidden)


def distance(vector: Vector, wrong: Json, dtype: str = "float64") -> float:
    """Return how far gradients are from the expected ones: the largest distance of an array, in its bounds.

    It is infinite where an array is missing, is no number, or has another shape.
    """
    right: Arrays = vector.expected.gradients
    if set(right) != set(wrong):
        return float("inf")
    largest = 0.0
    for name, leaf in right.items():
        other = wrong[name]
        if other is None or other.shape != leaf.shape:
            return float("inf")
        with np.errstate(over="ignore"):  # near the largest double a difference may be infinite, and that is far
            apart = norm(other - leaf)
        bound = vector.bound("gradients", name, dtype)
        largest = max(largest, apart / bound if bound else (float("inf") if apart else 0.0))
    return largest
