"""Answers to golden vectors as evidence: there are hundreds, of which a few tell as much as all."""

from __future__ import annotations

from collections.abc import Sequence

from verification.judging.tolerances import norm
from verification.naming.evidence import Observation
from verification.vectors import Vector
from verification.vectors.standard import VectorStandard

_MOST = 24  # that are held against the catalogue, beside the built-in problems that were answered


def vector_of(observation: Observation) -> Vector | None:
    """Return the golden vector that an observation answers; None where it is another problem."""
    return observation.standard.vector if isinstance(observation.standard, VectorStandard) else None


def telling(observations: Sequence[Observation]) -> list[Observation]:
    """Return answers to vectors, wrong ones of all kinds, and right ones that refute as many faults as can be."""
    mine = [one for one in observations if one.reply.returned and _is_evidence(vector_of(one))]
    mine = [one for one in mine if one.dtype == "float64"] or mine  # single precision decides nothing beside it
    wrong, right = ([one for one in mine if bool(one.wrong) is is_wrong] for is_wrong in (True, False))
    return [*wrong[:: max(1, -(-len(wrong) // (_MOST // 2)))], *_refuting(right, _MOST // 2)]


def _refuting(right: list[Observation], most: int) -> list[Observation]:
    """Return those right answers first that differ from what the most faults give, beyond those chosen before."""
    chosen: list[Observation] = []
    left, refuted = list(right), set[str]()
    while left and len(chosen) < most:
        best = max(left, key=lambda one: len(_killed(one) - refuted))
        left.remove(best)
        chosen.append(best)
        refuted |= _killed(best)
    return chosen


def _killed(observation: Observation) -> set[str]:
    vector = vector_of(observation)
    return set(vector.kills[observation.dtype]) if vector else set()


def _is_evidence(vector: Vector | None) -> bool:
    """Return whether a vector's rates are not 0, and its numbers can be squared."""
    if vector is None or not all(float.fromhex(rate) for rate in vector.problem["rates"].values()):
        return False  # faults of the rate are told by their factor
    sizes = [norm(leaf) for leaf in vector.expected.gradients.values()]
    return all(not size or 1e-100 < size < 1e100 for size in sizes)
