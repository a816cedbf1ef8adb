"""What a run found, one entry for each thing that it asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from verification.judging.standard import DECIDES
from verification.orders import Order
from verification.relations import Result
from verification.relations.result import EVERY
from verification.subjects import TIME, Finding
from verification.verdicts import Verdict

#: How the reason begins for which a program was not asked a problem that it did not say it can do.
UNDECLARED = "it does not declare"


#: The groups of cases: built-in problems, golden vectors, and what a program does beside its answers.
PROBLEMS, VECTORS, PROTOCOL = "problems", "vectors", "protocol"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One problem in one precision: the verdict, what was found, and the largest error as a part of its bound.

    `separation` is how many bounds lie between the right gradient and the nearest wrong one that a mistake gives; a
    run that finds no error where it is below 2 has not decided anything. `group` is "problems" for the built-in ones,
    "vectors" for golden vectors, and "protocol" for how a program behaves beside its answers. `part` is the name of the
    part of the report that it belongs to, where there are parts.
    """

    problem: str
    order: Order
    dtype: str
    verdict: Verdict
    findings: list[Finding]
    worst: float
    separation: float
    snippet: str
    group: str = PROBLEMS
    part: str | None = None

    @property
    def title(self) -> str:
        """What was asked, in a few words of one line."""
        words = [self.problem, f"order {self.order}", self.dtype, *([self.part] if self.part else [])]
        return " ".join(", ".join(words).split())

    @property
    def is_late(self) -> bool:
        """Whether the limit of time came before the answer, of which nothing is known then."""
        return any(finding.what == TIME for finding in self.findings)

    @property
    def is_compared(self) -> bool:
        """Whether the error tells the verdict: not where a leaf is missing and the others are right, nor without."""
        return not self.is_late and (self.verdict != "fail" or not self.worst <= 1)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


#: What findings are about that tell of no number.
_WITHOUT_NUMBERS = ("exception", "process", "program", "result", TIME)


#: A number in a message, such as a shape or an index; that of a line tells the place.
_NUMBER = re.compile(r"(?<!line )\b\d+\b")


def distinct(cases: Sequence[Case]) -> list[tuple[Case, int]]:
    """Return the first case of each cause, with the number of those that share it.

    A cause is shared where the same exception was raised at the same place, whatever numbers its message has, or the
    program failed in the same way; cases with wrong numbers have a cause each.
    """
    found: dict[object, list[Case]] = {}
    for index, case in enumerate(cases):
        messages = tuple(
            _NUMBER.sub("#", finding.message) for finding in case.findings if finding.what in _WITHOUT_NUMBERS
        )
        found.setdefault(messages or index, []).append(case)
    return [(group[0], len(group)) for group in found.values()]


def verdict_on(findings: Sequence[Finding], separation: float = DECIDES) -> Verdict:
    """Return the verdict on one answer: what is wrong fails it; an answer that came too late, or hidden, is none."""
    if any(finding.what != TIME for finding in findings):
        return "fail"
    return "inconclusive" if findings or separation < DECIDES else "pass"


def broken_case(problem: str, order: Order, dtype: str, finding: Finding, *, snippet: str, group: str) -> Case:
    """Return the case of something that was not answered at all."""
    return Case(
        problem=problem, order=order, dtype=dtype, verdict=verdict_on([finding]), findings=[finding],
        worst=float("inf"), separation=float("nan"), snippet=snippet, group=group,
    )  # fmt: skip


def settled(cases: list[Case]) -> list[Case]:
    """Return the cases of a subject; where no answer at all came in time, that is a failure.

    One that answers something is slow where it does not answer: nothing is known of the rest. But one that answers
    nothing within the limit that it was given would be "inconclusive" however broken it is.
    """
    answers = [case for case in cases if case.group != PROTOCOL]
    if not answers or not all(case.is_late for case in answers):
        return cases
    return [replace(case, verdict="fail") if case.is_late and case.group != PROTOCOL else case for case in cases]


@dataclass(frozen=True)
class Related:
    """What a relation found on a problem, in float64; `part` as in a case."""

    problem: str
    order: Order
    result: Result
    part: str | None = None

    @property
    def is_late(self) -> bool:
        """Whether the limit of time came before the relations were worked out."""
        return self.result.name == EVERY and self.result.verdict == "inconclusive"
