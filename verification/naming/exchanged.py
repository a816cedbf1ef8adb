"""Gradients that came in one another's places, each with the shape of its own variable: put back, then named.

Whatever else is wrong is then found as in any other answer, so that this mistake combines with all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from verification.faults.order import right
from verification.faults.pairing import Pairing, exchanged, pairings, without_gradient
from verification.naming.candidates import Candidate
from verification.naming.evidence import Evidence, Observation
from verification.naming.scaling import joined

_ID = "F05"


def put_back(evidence: Evidence) -> Iterator[tuple[Pairing, Evidence]]:
    """Yield the pairings that explain the shapes of all answers, with the gradients in their own places."""
    if not any(_is_misshapen(observation) for observation in evidence.deciding):
        return
    known = []
    for way in pairings():
        pairs = [_pairs(evidence, observation, way) for observation in evidence.deciding]
        found = [_put_back(evidence, *both) for both in zip(evidence.deciding, pairs, strict=True)]
        if pairs not in known and not any(map(_is_misshapen, found)):
            known.append(pairs)
            yield way, evidence.of(found)


def explained(evidence: Evidence, way: Pairing, found: Sequence[Candidate]) -> list[Candidate]:
    """Return what explains the answers as they came, from what explains them put back: if they are right, nothing."""
    if all(map(evidence.is_right, evidence.deciding)):
        return [_as_it_came(Candidate((), "", right), way)]
    return [_as_it_came(candidate, way) for candidate in found]


def _as_it_came(candidate: Candidate, way: Pairing) -> Candidate:
    words = joined(candidate.detail, f"in the answer, {way}")
    return Candidate(
        (*candidate.faults, _ID), words, lambda question: exchanged(way, candidate.answer(question), question)
    )


def _is_misshapen(observation: Observation) -> bool:
    returned, problem = observation.reply.returned, observation.problem
    return any(leaf is not None and leaf.shape != problem.shape(chain) for chain, leaf in returned.items())


def _pairs(evidence: Evidence, observation: Observation, way: Pairing) -> dict[str, str | None]:
    question, came = evidence.question(observation), observation.reply.returned
    spots = {chain: where for chain, where in question.spots().items() if chain in came}
    return way.pairs(spots, without_gradient(question))


def _put_back(evidence: Evidence, observation: Observation, pairs: dict[str, str | None]) -> Observation:
    """Return an answer with each gradient at the variable that it belongs to, and 0 where None or a 0 may stand."""
    without, came = without_gradient(evidence.question(observation)), observation.reply.returned
    shape = observation.problem.shape
    returned = {chain: np.zeros(shape(chain)) if chain in without else None for chain in came}
    for chain, other in pairs.items():
        if other is not None and (other not in without or np.any(came[chain])):
            returned[other] = came[chain]
    return replace(observation, reply=replace(observation.reply, returned=returned))
