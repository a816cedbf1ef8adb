"""What a step returned, and arithmetic with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Key chain to array.
Arrays = dict[str, Array]


@dataclass(frozen=True)
class StepAnswer:
    """What a step returned, in NumPy: `adapted`, where there is one, has a leading task axis."""

    cost: float
    gradients: Arrays
    adapted: Arrays | None = None

    def parts(self) -> dict[str, Array]:
        """Return every array under a name: "cost", "gradients, w", "adapted, w"."""
        parts = {"cost": np.asarray(self.cost)}
        parts.update({f"gradients, {chain}": leaf for chain, leaf in self.gradients.items()})
        parts.update({f"adapted, {chain}": leaf for chain, leaf in (self.adapted or {}).items()})
        return parts


def norm(arrays: Arrays) -> float:
    """Return the 2-norm of all the leaves together."""
    return float(np.sqrt(sum(float(np.sum(np.asarray(leaf, np.float64) ** 2)) for leaf in arrays.values())))


def dot(one: Arrays, other: Arrays) -> float:
    """Return the inner product over the leaves of `one`."""
    return float(sum(np.sum(np.asarray(leaf, np.float64) * other[chain]) for chain, leaf in one.items()))


def mean(answers: Sequence[StepAnswer]) -> StepAnswer:
    """Return the answer for all tasks together from those for each: means, and rows of φ_K one after the other."""
    count = len(answers)
    chains = list(dict.fromkeys(chain for answer in answers for chain in answer.gradients))
    rows = [answer.adapted for answer in answers if answer.adapted is not None]
    return StepAnswer(
        cost=sum(answer.cost for answer in answers) / count,
        gradients={
            c: _total([answer.gradients[c] for answer in answers if c in answer.gradients]) / count for c in chains
        },
        adapted={c: np.concatenate([row[c] for row in rows]) for c in rows[0]} if rows else None,
    )


def _total(leaves: Sequence[Array]) -> Array:
    total = leaves[0]
    for leaf in leaves[1:]:
        total = total + leaf
    return total


def scaled(answer: StepAnswer, factor: float) -> StepAnswer:
    """Return the answer with cost and gradients multiplied."""
    gradients = {chain: factor * leaf for chain, leaf in answer.gradients.items()}
    return StepAnswer(factor * answer.cost, gradients, answer.adapted)
