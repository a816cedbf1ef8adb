"""A check in a process of its own: its report, or where that breaks off, one on what is known and the cause."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, TypeAlias

from verification.cases import Case, broken_case
from verification.isolation.carrying import text, texts
from verification.isolation.host import Host
from verification.isolation.records import unpack_record
from verification.isolation.subject import IsolatedSubject, elsewhere
from verification.missing import with_missing, with_time
from verification.models.listening import Progress
from verification.models.run import PROBLEM
from verification.orders import DTYPES, ORDERS, Order
from verification.processes import LateError, MalformedError, ProgramError, limits
from verification.processes.texts import shown
from verification.report import Conditions, Report, conclude
from verification.subjects import SubjectError, unanswered

Json: TypeAlias = dict[str, Any]
_MOST_CASES, _LISTED = 16, 4


def check_isolated(
    where: str, *, timeout: float = limits.PYTHON_TIMEOUT, memory: float = limits.MEMORY,
    progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Judge what `problem_of` made under a name, in a process of its own.

    Args:
        where: ``"package.module:name"`` or ``"path/to/file.py:name"``.
        timeout: the seconds that the import, a call of the step, or a derivative of a loss may take.
        memory: the bytes that the process may hold in memory, with all that it starts; on Linux.
        progress: as for `check`.

    Raises:
        SubjectError: there is no such thing, or it cannot be judged.
    """
    host: _ModelHost
    with _ModelHost(where, timeout=timeout, memory=memory) as host:
        host.progress = progress or host.progress
        try:
            host.introduction()
            answer = host.request("check")
            host.stop()
            return host.report(answer)
        except ProgramError as error:
            return with_time(with_missing(host.broken_off(error), host), host)


class _ModelHost(Host):
    """A process with a script in it, and what it has said of its check so far."""

    program, longest = "verification.models.child", limits.LONGEST_REPORT

    def __init__(self, where: str, *, timeout: float, memory: float) -> None:
        super().__init__(where, timeout=timeout, memory=memory)
        self.progress: Progress = lambda *_: None
        self._dtypes: tuple[str, ...] = DTYPES[:1]
        self._cases: list[Case] = []
        self._stage = ""

    def hear(self, news: str) -> None:
        """Take in how far the check is.

        Raises:
            MalformedError: it is told in another way.
        """
        if not news:
            return
        try:
            ((what, value),) = json.loads(news).items()
        except (ValueError, AttributeError, RecursionError):
            raise MalformedError(f"expected news of one kind, but got {shown(news)}") from None
        if what == "case" and len(self._cases) < _MOST_CASES:
            self._cases.append(unpack_record(Case, value))
        elif what == "precisions" and isinstance(value, list) and value and all(dtype in DTYPES for dtype in value):
            self._dtypes = tuple(value)
        elif what == "progress" and isinstance(value, list) and list(map(type, value)) == [int, int, str]:
            self._stage = value[2]
            self.progress(*value)
        else:
            raise MalformedError(f"expected news of the check, but got {shown(news)}")

    def report(self, answer: Json) -> Report:
        """Return the report in an answer to `check`.

        Raises:
            SubjectError: the step cannot be judged.
            ProgramError: the answer is not one.
        """
        if "refused" in answer:
            raise SubjectError(str(answer["refused"]))
        try:
            if exchanged := texts(answer, "exchanged"):
                return self._undecided(_exchanged(exchanged))
            if "raised" in answer:
                return self._undecided(_raised(text(answer, "raised"), text(answer, "place"), self._stage))
            found = unpack_record(Report, answer.get("report"))
        except MalformedError as error:
            raise self.malformed(error, "check") from error
        if found.verdict == "pass" and not (found.cases and all(case.verdict == "pass" for case in found.cases)):
            raise self.malformed(MalformedError("a pass of answers that do not pass"), "check")
        return replace(found, source=self._subject.source)

    def broken_off(self, error: ProgramError) -> Report:
        """Return the report on a check of which there is no more than what was said on the way."""
        at = f", while the judge was at: {self._stage}" if self._stage else ""
        kind = LateError if isinstance(error, LateError) else ProgramError
        finding = unanswered(kind(f"{error}{at}"), "process")
        judged = [case.dtype for case in self._cases]
        missing = [dtype for dtype in self._dtypes if dtype not in judged] or self._dtypes[:1]
        broken = [
            broken_case(PROBLEM, self._order, dtype, finding, snippet=self._snippet, group="problems")
            for dtype in missing
        ]
        return self._concluded([*self._cases, *broken])

    def _undecided(self, reason: str) -> Report:
        """Return the report on a check that came to no end that means anything."""
        cases = [
            Case(
                problem=PROBLEM, order=self._order, dtype=dtype, verdict="inconclusive", findings=[],
                worst=float("nan"), separation=float("nan"), snippet=self._snippet,
            )
            for dtype in self._dtypes
        ]  # fmt: skip
        return replace(self._concluded(cases), reason=reason)

    def _concluded(self, cases: list[Case]) -> Report:
        conditions = Conditions(dtypes=self._dtypes, problems=(PROBLEM,))
        return conclude(self._subject, cases, [], [], [], [], conditions)

    @property
    def _subject(self) -> IsolatedSubject:
        framework, name = str(self._about.get("framework", "unknown")), str(self._about.get("name", self.subject))
        return IsolatedSubject(elsewhere, "model", framework, name, self, self._about)

    @property
    def _order(self) -> Order:
        known = {str(order): order for order in ORDERS}
        return known.get(str(self._about.get("order")), 1)

    @property
    def _snippet(self) -> str:
        return f"refmaml check {self.subject}"


def _raised(what: str, place: str, stage: str) -> str:
    """Say why there is no verdict where an exception ended the check: the user's code may have raised it, or ours."""
    if place:
        return f"The check broke off at the stage of {stage}, since code in {place}, raised {what}."
    return (
        f"The judge's part of the process raised {what} at the stage of {stage}. Either the script changed what it "
        "works with, or the judge has a fault, which --in-process shows. This says nothing about the step."
    )


def _exchanged(names: list[str]) -> str:
    """Say why there is no verdict where functions are not what they were."""
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    return (
        f"The script, or what it imports, exchanged {listed}, which the judge works with in the same process: its "
        "verdict would mean nothing. Put back what is exchanged, and check again."
    )
