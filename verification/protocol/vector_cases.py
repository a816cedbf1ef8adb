"""Golden vectors as cases of a report: the same comparison and the same words as for the built-in problems."""

from __future__ import annotations

from functools import cache
from typing import Any

from verification.cases import Case, verdict_on
from verification.judging import tolerances
from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.judging.tolerances import Sensitivity, norm, unit_roundoff
from verification.judging.truth import Truth
from verification.naming.evidence import Observation
from verification.orders import Order
from verification.problems.answers import Answer
from verification.protocol.subject import ProgramSubject
from verification.subjects import Reply, ask
from verification.vectors import Vector, VectorSet, load
from verification.vectors.matrix import MARGIN, distance


@cache
def golden() -> VectorSet:
    """Return the golden vectors, read once."""
    return load()


def vector_case(
    subject: ProgramSubject, vector: Vector, order: Order, dtype: str, declared: Declared
) -> tuple[Case, Reply]:
    """Ask a vector and compare; the reply comes back too, as evidence.

    Raises:
        SkippedError: the program skipped it.
    """
    reply = ask(subject, vector.to_problem("numpy", dtype))
    expected = vector.expected
    answer = Answer(float(expected.cost), dict(expected.gradients), dict(expected.adapted))
    truth = Truth("the certified answer", answer, dict.fromkeys(expected.gradients, 0.0))
    standard = Standard(vector.to_problem(), certified=truth, allowance=_allowance(vector, dtype))
    findings, worst = compare(standard, dtype, reply, [truth], declared)
    case = Case(
        problem=vector.id, order=order, dtype=dtype, verdict=verdict_on(findings), findings=findings,
        worst=worst, separation=_separation(vector, dtype), snippet="", group="vectors",
    )  # fmt: skip
    return case, reply


def observation(vector: Vector, dtype: str, reply: Reply) -> Observation:
    """Return the answer to a vector as evidence for the name of a mistake."""
    return Observation(Standard(vector.to_problem()), dtype, reply, is_frozen=True)


def _allowance(vector: Vector, dtype: str) -> Sensitivity:
    """Return what makes the bounds of the comparison those of the vector."""

    def moves(part: Any, name: str | None = None) -> float:
        return vector.bound(part, name, dtype) / (tolerances.FACTOR * unit_roundoff(dtype))

    expected = vector.expected
    return Sensitivity(
        cost=moves("cost"),
        gradients={name: moves("gradients", name) for name in expected.gradients},
        adapted={name: moves("adapted", name) for name in expected.adapted},
        sizes={name: norm(leaf) for name, leaf in expected.gradients.items()},
    )


def _separation(vector: Vector, dtype: str) -> float:
    """Return how far the nearest fault that the vector kills is, in bounds; each vector kills one."""
    apart = [distance(vector, wrong, dtype) for _, wrong in vector.counterfactuals]
    return min((bounds for bounds in apart if bounds > MARGIN), default=float("inf"))
