"""The one set of data behind every form of a report."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from verification.cases import Case, Related, settled
from verification.naming.growth import Growth
from verification.naming.wording import Diagnosis
from verification.orders import Order
from verification.subjects import Source, Subject
from verification.texts import visible, with_texts
from verification.verdicts import EXIT_CODES, Verdict


@dataclass(frozen=True)
class Part:
    """One of several things that a report is about: its verdict, None where it was not asked, and a note on that."""

    name: str
    verdict: Verdict | None = None
    orders: tuple[Order, ...] = ()
    answers: int = 0
    note: str = ""

    @classmethod
    def of(cls, name: str, report: Report, note: str = "") -> Part:
        """Return the part that a report becomes in a larger one."""
        orders = tuple(dict.fromkeys(case.order for case in report.cases))
        return cls(name, report.verdict, orders, len(report.cases), note)


def _versions() -> dict[str, str]:
    """Return the versions of what every run uses."""
    return {"refmaml": version("refmaml"), "Python": platform.python_version(), "NumPy": version("numpy")}


def _now() -> str:
    """Return the date in UTC by ISO 8601; SOURCE_DATE_EPOCH, where it is set, makes a report the same each time.

    Source: https://reproducible-builds.org/specs/source-date-epoch/
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    date = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch.isdecimal() else datetime.now(timezone.utc)
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Under what a report came about; who repeats the run under the same conditions has the same report.

    `problems` has the names of the problems that took the place of a level, which is then None; `families` those that a
    program was asked, where not all were. `outer_rate` is that of the outer step of a subject that returns parameters.
    """

    level: str | None = None
    seed: int = 0
    dtypes: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    algorithm: str = ""
    problems: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    outer_rate: float | None = None
    versions: dict[str, str] = field(default_factory=_versions)
    date: str = field(default_factory=_now)

    def with_version_of(self, package: str) -> Conditions:
        """Return the same with the version of a package of Python, where that is one that is installed."""
        try:
            return replace(self, versions={**self.versions, package: version(package)})
        except PackageNotFoundError:
            return self

    def entries(self) -> list[tuple[str, str]]:
        """Return the conditions as names and values to show."""
        extent = ("problems", ", ".join(self.problems)) if self.problems else ("level", self.level or "none")
        return [
            *((name, number) for name, number in self.versions.items()),
            extent,
            *([("families", ", ".join(self.families))] if self.families else []),
            ("seed", str(self.seed)),
            ("dtypes", ", ".join(self.dtypes)),
            ("conventions", ", ".join(self.conventions) or "none"),
            *([] if self.outer_rate is None else [("parameters by an outer rate of", f"{self.outer_rate:g}")]),
            *([("algorithm", self.algorithm)] if self.algorithm else []),
            ("date", self.date),
        ]


@dataclass(frozen=True)
class Report:
    """The verdict on a subject, the name of the mistake, best first, every case and every relation asked.

    `left_out` names the problems that the subject does not support, and `overlooked` the faults of the catalogue that
    no problem asked would have shown.
    `why_left_out` has the reasons of those left out, where they are known one by one. `parts` has the parts of a report
    on several things, of which it gives one verdict; it is empty where there is one subject. `inferred_from` says what
    the framework was inferred from, where it was not given. `source` is where the subject is written, where that is
    known. `growth` has how the errors of a wrong subject grow with the learning rate, where that was wanted. `remarks`
    has sentences on which answers are right and how, whatever the mistake is, and `notes` such on the run, which change
    no verdict, such as that the subject ran in the judge's own process.

    Names, messages and outputs are the subject's: what a terminal or a page would obey in them is spelled out here,
    once for every form of the report.
    """

    subject: str
    framework: str
    kind: str
    verdict: Verdict
    reason: str
    diagnosis: list[Diagnosis]
    cases: list[Case]
    relations: list[Related]
    left_out: list[str]
    overlooked: list[str]
    why_left_out: dict[str, str] = field(default_factory=dict)
    inferred_from: str = ""
    parts: list[Part] = field(default_factory=list)
    conditions: Conditions = field(default_factory=Conditions)
    source: Source | None = None
    growth: list[Growth] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, with_texts(getattr(self, entry.name), visible))

    @property
    def failing(self) -> list[Case]:
        """The cases that fail."""
        return [case for case in self.cases if case.verdict == "fail"]

    @property
    def broken(self) -> list[Related]:
        """The relations that do not hold."""
        return [related for related in self.relations if related.result.verdict != "pass"]

    @property
    def has_late_relations(self) -> bool:
        """Whether there is a problem on which the limit of time came before the relations were worked out."""
        return any(related.is_late for related in self.relations)

    @property
    def about(self) -> str:
        """The subject, with what it is, in one line."""
        return " ".join(f"{self.subject} ({self.framework} {self.kind})".split())

    def __repr__(self) -> str:
        lines = [f"{self.verdict.upper()}  {self.about}", self.reason]
        lines += [*map(str, self.diagnosis), *self.remarks]
        if not any(found.convincing for found in self.diagnosis):  # such as an exception: it is to be seen all the same
            lines += [f"{found.what}: {found.message}" for case in self.failing[:1] for found in case.findings[:1]]
        if self.left_out:
            lines.append(f"Not tested: {', '.join(dict.fromkeys(self.left_out))}.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the same lines."""
        return f"<pre>{escape(repr(self))}</pre>"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive; 2 is wrong usage, which makes no report."""
        return EXIT_CODES[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; NaN and infinities are strings."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "subject": {
                "name": self.subject,
                "framework": self.framework,
                "kind": self.kind,
                "source": self.source and vars(self.source),
            },
            "inferred_from": self.inferred_from,
            "notes": self.notes,
            "conditions": {
                key: list(value) if isinstance(value, tuple) else value for key, value in vars(self.conditions).items()
            },
            "parts": [{**vars(part), "orders": list(part.orders)} for part in self.parts],
            "diagnosis": [_diagnosis(diagnosis) for diagnosis in self.diagnosis],
            "left_out": self.left_out,
            "why_left_out": self.why_left_out,
            "overlooked": self.overlooked,
            "cases": [_case(case) for case in self.cases],
            "relations": [_related(relation) for relation in self.relations],
            "remarks": self.remarks,
            "growth": [{key: _plain(value) for key, value in _listed(vars(grown)).items()} for grown in self.growth],
        }


def conclude(
    subject: Subject,
    cases: list[Case],
    diagnosis: list[Diagnosis],
    relations: list[Related],
    left_out: list[str],
    overlooked: list[str],
    conditions: Conditions,
) -> Report:
    """Return the report on a subject: one failure fails it, and it passes only where every case decided."""
    cases = settled(cases)
    verdict, reason = _verdict(cases, relations)
    about = (subject.name, subject.framework, subject.kind)
    return Report(
        *about, verdict, reason, diagnosis, cases, relations, left_out, overlooked,
        inferred_from=subject.inferred_from, conditions=conditions.with_version_of(subject.framework),
        source=subject.source,
    )  # fmt: skip


def join(name: str, parts: Sequence[tuple[Part, Report | None]]) -> Report:
    """Return one report on several subjects: a failure of one part fails it, and what was not asked has no say."""
    reports = [(part.name, report) for part, report in parts if report]
    cases = [replace(case, part=part) for part, report in reports for case in report.cases]
    relations = [replace(related, part=part) for part, report in reports for related in report.relations]
    first = reports[0][1]
    return Report(
        name,
        first.framework,
        first.kind,
        *_verdict(cases, relations),
        diagnosis=[diagnosis for _, report in reports for diagnosis in report.diagnosis],
        cases=cases,
        relations=relations,
        left_out=list(dict.fromkeys(problem for _, report in reports for problem in report.left_out)),
        overlooked=list(dict.fromkeys(fault for _, report in reports for fault in report.overlooked)),
        remarks=list(dict.fromkeys(remark for _, report in reports for remark in report.remarks)),
        parts=[part for part, _ in parts],
        conditions=first.conditions,
        source=first.source,
    )


def _verdict(cases: list[Case], relations: list[Related]) -> tuple[Verdict, str]:
    """Return the verdict, and the reason in one sentence: the first of these that holds."""
    count, wrong = len(cases), sum(case.verdict == "fail" for case in cases)
    undecided = [case.is_late for case in cases if case.verdict == "inconclusive"]
    late, hidden = undecided.count(True), undecided.count(False)
    broken = dict.fromkeys(related.result.name for related in relations if related.result.verdict == "fail")
    unrelated = ", ".join(related.problem for related in relations if related.is_late)
    right = "No answer is wrong" if late else "Every answer is right within its bound"
    sentences: list[tuple[object, Verdict, str]] = [
        (wrong, "fail", f"{wrong} of {count} answers {'is' if wrong == 1 else 'are'} wrong."),
        (broken, "fail", f"{right}, but relations are broken: {', '.join(broken)}."),
        (late, "inconclusive", f"{right}, but not everything came within the limit of time."),
        (unrelated, "inconclusive", f"{right}, but the relations on {unrelated} came not within the limit of time."),
        (hidden, "inconclusive", f"No answer is wrong, but for {hidden} of {count} answers rounding is as large as the "
         "difference from a wrong answer."),
        (not cases, "inconclusive", "The judge tested nothing, so there is no result."),
        (count == 1, "pass", "The one answer is right within its bound."),
        (True, "pass", f"All {count} answers are right within their bounds."),
    ]  # fmt: skip
    return next((verdict, sentence) for holds, verdict, sentence in sentences if holds)


def _related(related: Related) -> dict[str, Any]:
    fields = {key: _plain(value) for key, value in vars(related.result).items()}
    return {
        "relation": fields.pop("name"),
        "problem": related.problem,
        "order": related.order,
        "part": related.part,
        **fields,
    }


def _diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis with `fault` a catalogue id, or a list of ids for a pair."""
    fields = _listed(vars(diagnosis))
    faults = fields.pop("faults")
    return {"fault": faults[0] if len(faults) == 1 else faults, **fields, "pages": list(diagnosis.pages.values())}


def _listed(values: dict[str, Any]) -> dict[str, Any]:
    """Return the same with lists for tuples, which JSON has not."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _case(case: Case) -> dict[str, Any]:
    return {
        "problem": case.problem,
        "group": case.group,
        "part": case.part,
        "order": case.order,
        "dtype": case.dtype,
        "verdict": case.verdict,
        "worst_error_over_bound": _plain(case.worst),
        "separation_in_bounds": _plain(case.separation),
        "snippet": case.snippet,
        "findings": [{key: _plain(value) for key, value in vars(finding).items()} for finding in case.findings],
    }


def _plain(value: Any) -> Any:
    """Return JSON for a number or an array: JSON has no NaN and no infinity, so they become strings."""
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124  # NaN
        return str(value)
    return value
