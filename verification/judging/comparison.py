"""One reply beside the truth: findings, and the largest error over its bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import Outcome
from verification.judging import tolerances
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.judging.tolerances import Sensitivity, apart, norm, over, smallest, unit_roundoff
from verification.judging.truth import Truth
from verification.subjects import Finding, Reply


def compare(
    standard: Standard, dtype: str, reply: Reply, truths: Iterable[Truth], declared: Declared
) -> tuple[list[Finding], float]:
    """Return what is wrong with a reply in a precision, and the largest error over its bound."""
    known = list(truths)
    by_reading = (
        [part for truth in known for part in _measure(standard, dtype, reply, truth, reading)]
        for reading in declared.readings
    )
    measured = min(by_reading, key=lambda parts: max((ratio for _, ratio in parts), default=float("inf")))
    wrong = _first_of_each_leaf(finding for finding, ratio in measured if ratio > 1)
    return [*reply.findings, *wrong], max((ratio for _, ratio in measured), default=float("inf"))


def gradient_errors(standard: Standard, reply: Reply, truths: Iterable[Truth], declared: Declared) -> dict[str, float]:
    """Return how far the gradients of a reply are off, leaf by leaf, in the 2-norm."""
    truth, reading = next(iter(truths)), declared.readings[0]
    expected = _expected(standard, truth, reading)
    parts = _parts(replace(reply, cost=None, adapted=None), truth, expected, standard.sensitivity, reading)
    return {str(part.leaf): part.error for part in parts}


def differences(standard: Standard, dtype: str, first: Reply, second: Reply) -> list[Finding]:
    """Return where the gradients of two replies to one problem differ by more than rounding."""
    moves, unit = standard.sensitivity, unit_roundoff(dtype)
    found = []
    for chain in first.gradients.keys() & second.gradients.keys():
        one, other = first.gradients[chain], second.gradients[chain]
        limit = tolerances.FACTOR * unit * max(norm(one), moves.gradients[chain])
        if not np.array_equal(one, other, equal_nan=True) and not over(apart(other, one), limit) <= 1:
            size = norm(one)
            share = f"by {100 * apart(other, one) / size:.2g} %" if size else "where that is 0"
            found.append(Finding("gradients", f"it differs from the first {share}", chain, one, other))
    return sorted(found, key=lambda finding: str(finding.leaf))


def _first_of_each_leaf(findings: Iterator[Finding]) -> list[Finding]:
    """Keep one finding for each leaf where several sources of the truth agree that it is wrong."""
    kept: dict[tuple[str, str | None], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.what, finding.leaf), finding)
    return list(kept.values())


def _measure(
    standard: Standard, dtype: str, reply: Reply, truth: Truth, declared: Declared
) -> Iterator[tuple[Finding, float]]:
    """Yield a finding for each part of a reply with its error over its bound; above 1 it is wrong."""
    expected = _expected(standard, truth, declared)
    for part in _parts(reply, truth, expected, standard.sensitivity, declared):
        yield _finding(part, dtype, truth.source), over(part.error, part.bound(dtype))


def _expected(standard: Standard, truth: Truth, declared: Declared) -> Outcome:
    """Return what is expected under the conventions."""
    expected = Outcome(truth.answer.cost, dict(truth.answer.gradients))
    if declared.conventions:
        expected = declared.of(expected, standard.question)
    if declared.weights_points and standard.problem.options.average_across_steps:
        expected = declared.right(standard.question)
    return expected


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One array of a reply beside what is expected of it; `moves` is its sensitivity."""

    what: str
    leaf: str | None = None
    expected: NDArray[Any]
    got: NDArray[Any]
    moves: float
    oracle_error: float = 0.0

    @property
    def error(self) -> float:
        return apart(self.got, self.expected)

    def bound(self, dtype: str) -> float:
        return tolerances.bound(self.expected, self.moves, dtype, self.oracle_error)


def _parts(reply: Reply, truth: Truth, expected: Outcome, moves: Sensitivity, declared: Declared) -> Iterator[_Part]:
    answer = truth.answer
    if reply.cost is not None and declared.keep_cost:
        cost, got = np.asarray(answer.cost), np.asarray(reply.cost)
        yield _Part(what="cost", expected=cost, got=got, moves=moves.cost)
    for chain, got in reply.gradients.items():
        right = expected.gradients[chain]
        if right is not None:
            scale = _scale(right, answer.gradients[chain])
            yield _Part(
                what="gradients", leaf=chain, expected=right, got=got,
                moves=scale * moves.gradients[chain], oracle_error=scale * truth.errors[chain],
            )  # fmt: skip
    for chain, got in (reply.adapted or {}).items():
        yield _Part(what="adapted", leaf=chain, expected=answer.adapted[chain], got=got, moves=moves.adapted[chain])


def _scale(declared: NDArray[Any], plain: NDArray[Any]) -> float:
    """Return how much larger a convention makes a leaf, and with it the leaf's rounding."""
    size = norm(plain)
    return max(1.0, norm(declared) / size) if size else 1.0


def _finding(part: _Part, dtype: str, source: str) -> Finding:
    """Return what there is to say of a part where it is wrong."""
    error, size = part.error, norm(part.expected)
    # Rounding to a subnormal number has a least unit of its own.
    unit = max(unit_roundoff(dtype) * (size or 1.0), smallest(dtype))
    units, allowed = error / unit, part.bound(dtype) / unit
    message = f"it is not 0, as it is by {source}"
    if size:
        message = f"it differs from {source} by {100 * error / size:.2g} % "
        message += f"({units:.3g} units of rounding, where {allowed:.3g} are allowed)"
    if not np.all(np.isfinite(part.got)):
        message = f"it holds NaN or infinity, where {source} has finite numbers"
    return Finding(part.what, message, part.leaf, part.expected, part.got, units, allowed)
