"""The one set of data behind every form of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from verification.diagnosis import Diagnosis
from verification.subjects import Finding, Subject

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Case:
    """One problem in one precision: the verdict, what was found, and the largest error as a part of its bound.

    `separation` is how many bounds lie between the right gradient and the nearest wrong one that a mistake gives; a
    run that finds no error where it is below 2 has not decided anything.
    """

    problem: str
    order: int | str
    dtype: str
    verdict: Verdict
    findings: list[Finding]
    worst: float
    separation: float
    snippet: str


@dataclass(frozen=True)
class Report:
    """The verdict on a subject, the name of the mistake, best first, and every case."""

    subject: str
    framework: str
    kind: str
    verdict: Verdict
    reason: str
    diagnosis: list[Diagnosis]
    cases: list[Case]
    left_out: list[str]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive; 2 is wrong usage, which makes no report."""
        return {"pass": 0, "fail": 1, "inconclusive": 3}[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; NaN and infinities are strings."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "subject": {"name": self.subject, "framework": self.framework, "kind": self.kind},
            "diagnosis": [_diagnosis(each) for each in self.diagnosis],
            "left_out": self.left_out,
            "cases": [_case(case) for case in self.cases],
        }


def conclude(subject: Subject, cases: list[Case], diagnosis: list[Diagnosis], left_out: list[str]) -> Report:
    """Return the report on a subject: one failure fails it, and it passes only where every case decided."""
    count = {verdict: sum(case.verdict == verdict for case in cases) for verdict in ("pass", "fail", "inconclusive")}
    verdict: Verdict = "pass"
    reason = f"Every one of {len(cases)} problems has the right answer within its bound."
    if count["fail"]:
        verdict, reason = "fail", f"{count['fail']} of {len(cases)} problems have a wrong answer."
    elif count["inconclusive"]:
        verdict = "inconclusive"
        reason = (
            f"No answer is wrong, but on {count['inconclusive']} of {len(cases)} problems rounding is as large as "
            "the difference to a wrong answer."
        )
    elif not cases:
        verdict, reason = "inconclusive", "Nothing was asked, so nothing is known."
    return Report(subject.name, subject.framework, subject.kind, verdict, reason, diagnosis, cases, left_out)


def _diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis with `fault` a catalogue id, or a list of ids for a pair."""
    fields = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(diagnosis).items()}
    faults = fields.pop("faults")
    return {"fault": faults[0] if len(faults) == 1 else faults, **fields}


def _case(case: Case) -> dict[str, Any]:
    return {
        "problem": case.problem,
        "order": case.order,
        "dtype": case.dtype,
        "verdict": case.verdict,
        "worst_error_over_bound": _plain(case.worst),
        "separation_in_bounds": _plain(case.separation),
        "snippet": case.snippet,
        "findings": [{key: _plain(value) for key, value in vars(each).items()} for each in case.findings],
    }


def _plain(value: Any) -> Any:
    """Return JSON for a number or an array: JSON has no NaN and no infinity, so they become strings."""
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124  # NaN
        return str(value)
    return value
