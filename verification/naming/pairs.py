"""Pairs of faults: a scale on top of any fault, and any fault that answers a misread question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from verification.faults import AnswerFunction, Outcome, Question
from verification.faults.place import scaled
from verification.faults.question import Misreading
from verification.naming.evidence import Evidence, Observation
from verification.naming.fits import Named, ratio, returned, vector

Pair = tuple[tuple[str, str], str, AnswerFunction]

_SCALES = {"D01", "D02", "D11", "D05", "G03", "G07"}  # a scale on a scale is one scale
_STEADY = 1e-3  # relative; factors of float32 answers agree to 1e-5, those of a coincidence do not


def pairs(
    evidence: Evidence, singles: Sequence[Named], misreadings: Sequence[tuple[str, str, Misreading]]
) -> Iterator[Pair]:
    """Yield the pairs that give the first wrong answers; the caller holds them against all."""
    telling = [
        observation
        for observation in evidence.deciding
        if not evidence.matches(observation, evidence.right(observation))
    ]
    if not telling:
        return
    for id_, detail, answer in singles:
        if id_ not in _SCALES:
            yield from under_a_scale(evidence, telling, id_, detail, answer)
    for outer_id, outer_detail, outer in singles:
        if outer_id in _SCALES:
            continue
        for inner_id, inner_detail, inner in misreadings:
            if inner_id != outer_id and not _mirrored(outer, outer_id, inner_id):
                together = after(outer, inner)
                if evidence.matches(telling[0], evidence.predict(telling[0], together)):
                    words = ", ".join(word for word in (inner_detail, outer_detail) if word)
                    yield (inner_id, outer_id), words, together


def after(outer: AnswerFunction, inner: Misreading) -> AnswerFunction:
    """Return the fault `outer` answering the question that the misreading `inner` makes of what was asked."""
    return lambda question: outer(inner.change(question))


def under(factor: Any, answer: AnswerFunction) -> AnswerFunction:
    """Return a fault's answer multiplied by a factor, which may depend on the question."""

    def multiplied(question: Question) -> Outcome:
        return scaled(answer(question), factor(question))

    return multiplied


def _mirrored(outer: AnswerFunction, outer_id: str, inner_id: str) -> bool:
    """Two misreadings are tried in one order only: most commute."""
    return isinstance(outer, Misreading) and outer_id < inner_id


def under_a_scale(
    evidence: Evidence, telling: list[Observation], id_: str, detail: str, answer: AnswerFunction
) -> Iterator[Pair]:
    """Look for one factor, T or 1/T on every telling answer, or the same number on all."""
    factors = []
    for observation in telling:
        got, question = returned(observation), evidence.question(observation)
        predicted = evidence.predict(observation, answer)
        if got is None or any(leaf is None for leaf in predicted.gradients.values()):
            return
        factor = ratio(got, vector(predicted)) if got.shape == vector(predicted).shape else None
        if not factor or not evidence.matches(observation, scaled(predicted, factor)):
            return
        factors.append((factor, question))
    kinds: list[tuple[str, str, Any]] = [
        ("D01", "", lambda question: question.tasks),
        ("D02", "", lambda question: 1 / question.tasks),
        ("D11", f"c = {factors[0][0]:.6g}", lambda _: factors[0][0]),
    ]
    for scale_id, words, factor_of in kinds:
        if all(abs(factor / factor_of(question) - 1) <= _STEADY for factor, question in factors):
            text = ", ".join(word for word in (words, detail) if word)
            yield (scale_id, id_), text, under(factor_of, answer)
            return
