"""A name for a mistake, in the words of a report."""

from __future__ import annotations

from dataclasses import dataclass

from verification.faults import ENTRIES, Fault
from verification.naming.candidates import Candidate
from verification.naming.evidence import Evidence
from verification.naming.where import right_where
from verification.texts import fault_address

#: In place of a catalogue id where nothing of the catalogue gives the answers.
SEVERAL = "several"


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

    def __str__(self) -> str:
        return "\n".join(self.lines + ([f"More: {' '.join(self.pages.values())}"] if self.pages else []))

    @property
    def lines(self) -> list[str]:
        """What there is to say, but for the source and the pages."""
        lines = [f"{self.name}: {self.title}" if self.convincing else self.title, f"{self.evidence}."]
        if self.cannot_tell_from:
            lines.append(f"These answers do not distinguish it from {' or '.join(self.cannot_tell_from)}.")
        if self.convention:
            lines.append(f"If this is intended, declare the convention {self.convention!r}.")
        return [*lines, f"What to do: {self.advice}"]

    @property
    def pages(self) -> dict[str, str]:
        """The address of the page on each fault that is named."""
        return {id_: fault_address(id_) for id_ in self.faults} if self.convincing else {}

    @property
    def convincing(self) -> bool:
        """Whether a fault of the catalogue is named, and not only that there is something wrong."""
        return self.faults != (SEVERAL,)

    @property
    def name(self) -> str:
        """The ids with plus signs between them, such as "B02", or "D01 + B02" for a pair."""
        return " + ".join(self.faults)


def without_a_name(title: str, evidence: str, advice: str, convention: str | None = None) -> Diagnosis:
    """Return what is said where no fault of the catalogue gives the answers; "there are" stands before the title."""
    return Diagnosis(
        faults=(SEVERAL,), title=title, formula="", evidence=evidence, source="", advice=advice, convention=convention
    )


def several(known: str) -> Diagnosis:
    """Return what is said where nothing of the catalogue gives the answers, with what is known all the same."""
    evidence = "no fault and no pair of faults of the catalogue gives these answers"
    return without_a_name(
        title="several mistakes, or one that is not in the catalogue",
        evidence=f"{evidence}; {known.removeprefix('; ')}" if known else evidence,
        advice="First repair what the findings below show, and run again. The report can then name a "
        "remaining mistake of the catalogue.",
    )


def of_another_form() -> Diagnosis:
    """Return what is said where what came cannot be compared."""
    return without_a_name(
        title="answers in another form than is expected",
        evidence="the gradients do not have the form that is expected",
        advice="Return what the findings below expect, and run again. The report can then name what else is wrong.",
    )


def beside_right_gradients(cost: str, convention: str | None = None) -> Diagnosis:
    """Return what is said where the cost alone is wrong; `cost` says what it is, and `convention` declares it."""
    return without_a_name(
        title="right gradients beside a wrong cost",
        evidence=f"the gradients are right on every answer that decides; the cost is {cost}",
        advice="Return the cost that docs/mathematics.md defines for this order, if it is meant to be that.",
        convention=convention,
    )


_TURNED = (
    "Turn the sign: return what the outer step subtracts, which is the gradient of the cost, and in Reptile a multiple "
    "of θ − φ_K, not of φ_K − θ. If c is not −1, look for a scale too."
)

#: What faults do whose formula is none.
_CLAIMS = {
    "D05": "gives in the n-th call the sum of n answers",
    "E02": "gives the right gradients and changes the caller's arrays",
    "E04": "equals an inner optimizer that keeps its state",
    "F02": "gives the right gradients with None for zeros",
    "F04": "gives the gradient for the other set of variables",
    "F05": "equals permuted updates",
    "G11": "equals the right answer in a lower precision",
    "O01": "equals another inner update",
}


def diagnosis_of(evidence: Evidence, candidate: Candidate, others: tuple[str, ...]) -> Diagnosis:
    """Return the diagnosis that a candidate makes; `others` are the names that match as well."""
    evidence = evidence.up_to(candidate.most_steps)
    rows = [ENTRIES[id_] for id_ in candidate.faults]
    predicted = [(observation, evidence.predict(observation, candidate.answer)) for observation in evidence.deciding]
    errors = [evidence.relative_error(observation, known) for observation, known in predicted if not known.is_open]
    count, error, left_open = len(errors), max(errors), len(predicted) - len(errors)
    shown = [observation for observation in evidence.deciding if evidence.shows(observation, candidate.answer)]
    sentence = f"{_claim(rows)} on {count} of {count} answers, to {error:.1g}"
    if candidate.by_size:
        sentence = f"right to {candidate.detail}, but not further, on {count} of {count} answers"
    if candidate.detail and not candidate.by_size:
        sentence += f" ({candidate.detail})"
    if len(shown) < count and not candidate.by_size:
        sentence += f"; {len(shown)} of them distinguish it from the right answer"
    if left_open:
        sentence += f"; {left_open} more, where arrays of unequal shapes meet, do not count"
    where = right_where(evidence)
    if where:
        sentence += f"; the answers are {where}"
    if evidence.not_finite:
        sentence += f"; {evidence.not_finite} more hold NaN or infinity and do not count"
    return Diagnosis(
        faults=candidate.faults,
        title=" and ".join(row.title for row in rows),
        formula=_formula(rows),
        evidence=sentence,
        source="; ".join(row.source for row in rows),
        advice=" ".join(_advice(row, candidate.detail) for row in rows),
        cannot_tell_from=others,
        convention=rows[0].convention if len(rows) == 1 else None,
    )


def _advice(row: Fault, detail: str) -> str:
    """Return what to do about a fault; a factor below 0 is a sign before it is a scale."""
    if row.id == "D11" and "c = -" in detail:
        return _TURNED
    return row.advice


def _claim(rows: list[Fault]) -> str:
    """Return what the answers are: a formula, or in words what is none."""
    formulas = [row for row in rows if row.id not in _CLAIMS]
    words = [f"equals {_formula(formulas)}"] if formulas else []
    claims = [_CLAIMS[row.id] for row in rows if row.id in _CLAIMS]
    if len(rows) > 1:
        claims = [claim.removeprefix("gives the right gradients ").removeprefix("and ") for claim in claims]
    return ", ".join(words + claims)


def _formula(rows: list[Fault]) -> str:
    return " with ".join(row.formula for row in rows)
