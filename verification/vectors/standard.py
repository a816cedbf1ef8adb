"""A golden vector as a standard: its certified answer, its own bounds, and how far the faults are that it kills."""

from __future__ import annotations

from dataclasses import dataclass, field

from verification.judging.standard import Standard
from verification.judging.tolerances import Sensitivity, norm
from verification.judging.truth import Truth
from verification.orders import BY_STEP, Order
from verification.problems.answers import Answer
from verification.vectors.matrix import MARGIN, distance
from verification.vectors.reader import golden
from verification.vectors.vector import Vector


@dataclass(frozen=True, eq=False)
class VectorStandard(Standard):
    """What replies to a golden vector are held against; `in_turn` says that it is asked in one precision alone."""

    vector: Vector = field(kw_only=True)
    in_turn: bool = False

    def precisions(self, dtypes: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of some precisions that the vector is asked in."""
        able = tuple(dtype for dtype in dtypes if dtype in self.vector.dtypes)
        if not able or not self.in_turn:
            return able
        return (able[int(self.vector.id[-1], 16) % len(able)],)  # by a digit of the hash that ends the id

    def separation(self, dtype: str) -> float:
        """Return how far the nearest fault that the vector kills is, in bounds; each vector kills one."""
        apart = [distance(self.vector, wrong, dtype) for _, wrong in self.vector.counterfactuals]
        return min((bounds for bounds in apart if bounds > MARGIN), default=float("inf"))


def standard_of(vector: Vector, *, in_turn: bool = False) -> VectorStandard:
    """Return what replies to a vector are held against, in all of its precisions or in one."""
    expected = vector.expected
    answer = Answer(float(expected.cost), dict(expected.gradients), dict(expected.adapted))
    truth = Truth("the certified answer", answer, dict.fromkeys(expected.gradients, 0.0))
    moves = Sensitivity(
        cost=vector.moves("cost"),
        gradients={name: vector.moves("gradients", name) for name in expected.gradients},
        adapted={name: vector.moves("adapted", name) for name in expected.adapted},
        sizes={name: norm(leaf) for name, leaf in expected.gradients.items()},
    )
    return VectorStandard(vector.to_problem(), certified=truth, allowance=moves, vector=vector, in_turn=in_turn)


def standards_of(order: Order, *, in_turn: bool = False) -> list[VectorStandard]:
    """Return the standards of all golden vectors of an order."""
    return [standard_of(vector, in_turn=in_turn) for vector in golden() if BY_STEP[vector.problem["step"]] == order]
