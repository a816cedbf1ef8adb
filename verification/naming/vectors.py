"""Answers as vectors: all leaves one after the other, as least squares take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import AnswerFunction, Outcome
from verification.naming.evidence import Evidence, Observation

Named = tuple[str, str, AnswerFunction]


def vector(outcome: Outcome) -> NDArray[Any]:
    """Return all gradients of an outcome in one vector, None as nothing."""
    return np.concatenate([np.zeros(0), *(np.ravel(leaf) for leaf in outcome.gradients.values() if leaf is not None)])


def beyond(outcome: Outcome, got: NDArray[Any]) -> NDArray[Any]:
    """Return all gradients of an outcome less an answer; infinity where the outcome has lost a leaf."""
    found = vector(outcome)
    return found - got if found.size == got.size else np.full_like(got, np.inf)


def returned(
    observation: Observation, *, none_is_zero: bool = False, like: Outcome | None = None
) -> NDArray[Any] | None:
    """Return all gradients of an answer in one vector, or None where one is missing or not of its shape.

    The shapes are those of the variables, or those that an outcome has.
    """
    parts = []
    for chain, given in observation.reply.returned.items():
        expected = like.gradients[chain] if like else None
        shape = observation.problem.shape(chain) if expected is None else expected.shape
        leaf = np.zeros(shape) if given is None and none_is_zero else given
        if leaf is None or leaf.shape != shape or not np.all(np.isfinite(leaf)):
            return None
        parts.append(np.ravel(leaf).astype(np.float64))
    return np.concatenate(parts)


def ratio(got: NDArray[Any], predicted: NDArray[Any]) -> float | None:
    """Return the c that makes c · predicted nearest to `got`."""
    size = float(np.max(np.abs(predicted), initial=0.0))
    if not size:
        return None
    part = predicted / size  # whose square does not overflow, where an inner loop ran away
    return float((got / size) @ part) / float(part @ part)


def least_squares(columns: NDArray[Any], got: NDArray[Any]) -> tuple[NDArray[Any], int] | None:
    """Return the weights of columns that come nearest to `got`, and their rank; None where some entry is no number."""
    if not (np.all(np.isfinite(columns)) and np.all(np.isfinite(got))):
        return None
    weights, _, rank, _ = np.linalg.lstsq(columns, got, rcond=1e-10)
    return weights, int(rank)


def wrong_ones(evidence: Evidence) -> list[Observation]:
    """Return the observations whose gradients are wrong, the cheapest first."""
    return [observation for observation in evidence.deciding if not evidence.is_right(observation)]


def first_wrong(evidence: Evidence) -> Observation | None:
    """Return the cheapest wrong answer with all its leaves."""
    wrong = wrong_ones(evidence)
    return next((one for one in wrong if all(leaf is not None for leaf in one.reply.returned.values())), None)
