"""From a wrong answer to the name of the mistake.

Every fault of the catalogue is asked the same problems, and the answers are compared. What matches on every problem is
named, single faults first, then faults with one parameter to fit (a factor, an effective learning rate, a decay, a
clip, a momentum, the variables left out), then pairs: a scale and any fault, and a misreading under any fault. What the
evidence cannot tell apart is said to be so; where nothing matches, the family is told by how the error grows with α.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from verification.faults import CATALOGUE, Fault
from verification.faults.order import right
from verification.faults.question import Misreading
from verification.judging.conventions import Declared
from verification.naming.evidence import Answer, Evidence, Observation, lost
from verification.naming.fits import fitted
from verification.naming.pairs import pairs
from verification.naming.precisions import SINGLE, precision_of
from verification.orders import Order
from verification.problems.problem import Problem

#: In place of a catalogue id where nothing of the catalogue gives the answers.
SEVERAL = "several"


@dataclass(frozen=True)
class Candidate:
    """A fault, or a pair, with the answers it gives; `detail` names the variant or the fitted value."""

    faults: tuple[str, ...]
    detail: str
    answer: Answer


@dataclass(frozen=True)
class Diagnosis:
    """A name for a mistake: catalogue ids, one or a pair, with the evidence and what to do.

    `cannot_tell_from` lists names that match the same evidence as well.
    """

    faults: tuple[str, ...]
    title: str
    formula: str
    evidence: str
    source: str
    advice: str
    cannot_tell_from: tuple[str, ...] = ()
    convention: str | None = None

    @property
    def convincing(self) -> bool:
        """Whether a fault of the catalogue is named, and not only that there is something wrong."""
        return self.faults != (SEVERAL,)

    @property
    def name(self) -> str:
        """The ids, joined: "B02", or "D01 + B02" for a pair."""
        return " + ".join(self.faults)


def diagnose(observations: list[Observation], order: Order, declared: Declared) -> list[Diagnosis]:
    """Return what the evidence singles out, best first; an empty list where nothing of the catalogue fits it."""
    evidence = Evidence(observations, declared)
    beside = _beside_the_gradients(evidence)
    if beside:
        return [several(beside)]
    for kind in (_single, _fitted, _in_one_mode, _paired):
        found = [candidate for candidate in kind(evidence, order) if _explains(evidence, candidate)]
        if found:
            return _told(evidence, found, order)
    return []


def several(told: str) -> Diagnosis:
    """Return what is said where nothing of the catalogue gives the answers, with what is known all the same."""
    return Diagnosis(
        faults=(SEVERAL,),
        title="several mistakes, or one that is not in the catalogue",
        formula="",
        evidence=f"no fault of the catalogue, and no pair of them, gives these answers; {told.removeprefix('; ')}"
        if told
        else "no fault of the catalogue, and no pair of them, gives these answers",
        source="",
        advice="Mend what the details below show first, and run again: a mistake of the catalogue is then named.",
    )


#: What faults do whose formula is none.
_CLAIMS = {
    "D05": "gives in the n-th call the sum of n answers",
    "E02": "gives the right gradients and changes the caller's arrays",
    "E04": "gives what an inner optimizer does that keeps its state",
    "F02": "gives the right gradients with None for zeros",
    "F04": "gives the gradient for the other set of variables",
    "F05": "gives what permuted updates do",
}
_PARTS = {
    "cost": "the cost is wrong",
    "adapted": "the adapted variables are wrong",
    "exception": "an exception was raised",
    "program": "the program broke down",
    "result": "a result is no answer",
    "dtype": "a dtype is another",
    "inputs": "the caller's arrays are changed",
}


def _beside_the_gradients(evidence: Evidence) -> str:
    """Say what is wrong where the gradients that came are right, and no fault of the catalogue is about it.

    It is empty where a gradient is wrong, and where nothing but a lost zero or a change of the caller's arrays is seen.
    """
    if evidence.malformed:
        return "the gradients do not have the form that is expected"
    if not evidence.deciding or not all(evidence.is_right(seen) for seen in evidence.deciding):
        return ""
    wrong = {what for seen in evidence.seen for what in seen.wrong}
    if evidence.unused_raised:
        wrong -= {"exception", "program"}
    words = [word for what, word in _PARTS.items() if what in wrong - {"inputs"}]
    if evidence.not_finite:
        words.append("gradients hold NaN or infinity")
    decided = {id(seen) for seen in evidence.deciding}
    others = [seen for seen in evidence.seen if seen.reply.returned and id(seen) not in decided]
    if not evidence.not_finite and not all(evidence.is_right(seen) for seen in others):
        words.append("gradients of answers that do not, such as those in single precision, are wrong")
    seen_none = any(lost(seen, chain) for seen in evidence.deciding for chain in seen.reply.returned)
    if not words and "gradients" in wrong and not seen_none:
        words.append("they are off by little more than rounding")
    if not words:
        return ""
    words += ["a gradient of 0 is None"] * seen_none + [_PARTS["inputs"]] * ("inputs" in wrong)
    return f"the gradients are right on every answer that decides; {', and '.join(words)}"


def candidates(order: Order) -> Iterator[Candidate]:
    """Yield every variant of every fault that a step of this order can have."""
    for fault in CATALOGUE.values():
        if order in fault.orders:
            for variant, answer in fault.variants.items():
                yield Candidate((fault.id,), variant, answer)


def _single(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    for candidate in candidates(order):
        if candidate.faults[0] != "G11":
            yield candidate
    found = precision_of(evidence)
    if found:
        yield Candidate(("G11",), found, CATALOGUE["G11"].variants["" if found == SINGLE else "half precision"])


#: Parts of an implementation that a fault may be in alone, by the problems that reach it.
_MODES: dict[str, Callable[[Problem], bool]] = {
    "in batched mode alone": lambda problem: problem.options.batched,
    "in loop mode alone": lambda problem: not problem.options.batched,
    "with averaging alone": lambda problem: problem.options.average_across_steps,
    "without averaging alone": lambda problem: not problem.options.average_across_steps,
}


def _in_one_mode(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield single faults in one mode, where only answers of that mode are wrong."""
    wrong = [seen.problem for seen in evidence.deciding if not evidence.is_right(seen)]
    for words, has in _MODES.items():
        if not wrong or not all(has(problem) for problem in wrong):
            continue
        for candidate in candidates(order):
            if candidate.faults[0] != "G11":
                detail = ", ".join(each for each in (candidate.detail, words) if each)
                yield Candidate(candidate.faults, detail, _confined(candidate.answer, words))


@cache
def _confined(answer: Answer, mode: str) -> Answer:
    """Return a fault that is in one mode alone."""
    return lambda asked: answer(asked) if _MODES[mode](asked.problem) else right(asked)


def _fitted(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    for id_, detail, answer in fitted(evidence):
        if order in CATALOGUE[id_].orders:
            yield Candidate((id_,), detail, answer)


def _paired(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    named = [(c.faults[0], c.detail, c.answer) for c in candidates(order) if c.faults[0] != "G11"]
    misreadings = [(id_, detail, answer) for id_, detail, answer in named if isinstance(answer, Misreading)]
    for ids, detail, answer in pairs(evidence, named, misreadings):
        yield Candidate(ids, detail, answer)


def _explains(evidence: Evidence, candidate: Candidate) -> bool:
    """Return whether a candidate gives every answer that was seen, and is not right on all of them."""
    if candidate.faults == ("G11",):
        return True  # told by the size of the errors, not by their values
    if not evidence.matched_by(candidate.answer):
        return False
    if candidate.faults == ("F02",) and evidence.unused_raised:
        return True
    return any(evidence.shows(seen, candidate.answer) for seen in evidence.deciding)


def _unexplained(evidence: Evidence, candidate: Candidate, order: Order) -> tuple[str, ...]:
    """Return the faults that are seen beside a candidate: zeros that are None, and changes of the caller's arrays."""
    predicted = [(seen, evidence.predict(seen, candidate.answer)) for seen in evidence.deciding]
    found = []
    # The gradients for the other set, F04, leave out some that are asked for.
    if candidate.faults != ("F04",) and any(
        lost(seen, chain) and leaf is not None for seen, told in predicted for chain, leaf in told.gradients.items()
    ):
        found.append("F02")
    if any(seen.overwrote for seen, _ in predicted) and all(told.overwritten is None for _, told in predicted):
        found.append("E02")
    return tuple(id_ for id_ in found if order in CATALOGUE[id_].orders and id_ not in candidate.faults)


def _told(evidence: Evidence, found: list[Candidate], order: Order) -> list[Diagnosis]:
    """Rank by what else agrees: side effects, adapted variables, costs. Equal ones cannot be told apart."""
    # Among equals the usual form of a fault comes before a variant of another.
    ranked = sorted(found, key=lambda candidate: (_disagreements(evidence, candidate), bool(candidate.detail)))
    least = _disagreements(evidence, ranked[0])
    equal = [each for each in ranked if _disagreements(evidence, each) == least]
    equal = [replace(each, faults=each.faults + _unexplained(evidence, each, order)) for each in equal]
    names = tuple(dict.fromkeys(" + ".join(each.faults) for each in equal))
    told: dict[tuple[str, ...], Diagnosis] = {}
    for candidate in equal:
        others = tuple(name for name in names if name != " + ".join(candidate.faults))
        told.setdefault(candidate.faults, _diagnosis(evidence, candidate, others))
    return list(told.values())


def _disagreements(evidence: Evidence, candidate: Candidate) -> tuple[int, int, int]:
    """Count where the side effects, the adapted variables and the costs are not what the candidate would give."""
    side = adapted = cost = 0
    for seen in evidence.deciding:
        predicted = evidence.predict(seen, candidate.answer)
        side += (predicted.overwritten is not None) != seen.overwrote
        if seen.reply.adapted is not None and predicted.adapted:
            adapted += not _close_adapted(seen, predicted.adapted[0])
        if seen.reply.cost is not None:
            cost += not np.isclose(seen.reply.cost, predicted.cost, rtol=1e-4, atol=0)
    return side, adapted, cost


def _close_adapted(seen: Observation, vector: Any) -> bool:
    """Compare the first task's adapted variables; single precision is enough to tell points apart."""
    assert seen.reply.adapted is not None
    leaves = seen.problem.split(vector)
    return all(
        np.allclose(seen.reply.adapted[chain][0], leaf, rtol=1e-4, atol=1e-4)
        for chain, leaf in leaves.items()
        if chain in seen.reply.adapted
    )


def _diagnosis(evidence: Evidence, candidate: Candidate, others: tuple[str, ...]) -> Diagnosis:
    rows = [CATALOGUE[id_] for id_ in candidate.faults]
    count = len(evidence.deciding)
    shown = [seen for seen in evidence.deciding if evidence.shows(seen, candidate.answer)]
    error = max(evidence.relative_error(seen, evidence.predict(seen, candidate.answer)) for seen in evidence.deciding)
    sentence = f"{_claim(rows)} on {count} of {count} answers, to {error:.1g}"
    if "G11" in candidate.faults:
        sentence = f"right to {candidate.detail} and no further on {count} of {count} answers"
    if candidate.detail and "G11" not in candidate.faults:
        sentence += f" ({candidate.detail})"
    if len(shown) < count:
        sentence += f"; {len(shown)} of them tell it from the right answer"
    if evidence.not_finite:
        sentence += f"; {evidence.not_finite} more that hold NaN or infinity are left aside"
    return Diagnosis(
        faults=candidate.faults,
        title=" and ".join(row.title for row in rows),
        formula=_formula(rows),
        evidence=sentence,
        source="; ".join(row.source for row in rows),
        advice=" ".join(row.advice for row in rows),
        cannot_tell_from=others,
        convention=rows[0].convention if len(rows) == 1 else None,
    )


def _claim(rows: list[Fault]) -> str:
    """Return what the answers are: a formula, or in words what is none."""
    formulas = [row for row in rows if row.id not in _CLAIMS]
    words = [f"equals {_formula(formulas)}"] if formulas else []
    claims = [_CLAIMS[row.id] for row in rows if row.id in _CLAIMS]
    if len(rows) > 1:
        claims = [each.removeprefix("gives the right gradients ").removeprefix("and ") for each in claims]
    return ", ".join(words + claims)


def _formula(rows: list[Fault]) -> str:
    return " with ".join(row.formula for row in rows)
