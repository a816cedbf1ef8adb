"""A subject in a process of its own, which the judge asks as it asks one in its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from verification.frameworks import FRAMEWORKS
from verification.isolation.carrying import real, text, unpack_finding, unpacked
from verification.isolation.definitions import definition_of
from verification.isolation.host import Host
from verification.problems.problem import ALL_USED, EXTRAS, Problem
from verification.processes import LateError, MalformedError, ProgramError
from verification.processes.texts import shown
from verification.relations.result import EVERY, RelationsReport, Result
from verification.subjects import Finding, Kind, Reply, Source, Subject, SubjectError, source_below
from verification.subjects.costs import LOOPS, Cost, Costs
from verification.subjects.posing import Posed
from verification.subjects.reply import read, unanswered
from verification.verdicts import Verdict

Json: TypeAlias = dict[str, Any]
_VERDICTS = ("pass", "fail", "inconclusive")
_MOST_RESULTS = 100


def elsewhere(*_: Any, **__: Any) -> NoReturn:
    """Stand for a function that is not in this process."""
    raise TypeError("the function is in a process of its own")


@dataclass(frozen=True)
class IsolatedSubject(Subject):
    """A subject that a `Host` has; its `function` is there."""

    host: Host
    about: Json

    @classmethod
    def of(cls, host: Host) -> IsolatedSubject:
        """Return the subject in a process, once it is imported; one that broke the process down is given up.

        Raises:
            SubjectError: it cannot be used.
            MissingFrameworkError: its framework is not installed.
        """
        try:
            about = host.introduction()
        except ProgramError:
            kind: Kind = "problem" if host.kind == "problem" else "step"
            return cls(elsewhere, kind, host.framework or "unknown", host.subject, host, {})
        try:
            _require_known(about)
        except MalformedError as error:
            raise SubjectError(f"{host.subject}: {error}.") from error
        return cls(
            elsewhere, about["kind"], about["framework"], host.subject, host, about,
            inferred_from=text(about, "inferred_from"),
        )  # fmt: skip

    @property
    def is_own(self) -> bool:
        """Whether it is `refmaml`'s."""
        return self.about.get("is_own") is True

    @property
    def source(self) -> Source | None:
        """Where it is written, as a path from the current folder; None where it is not in a file below it."""
        file, line = self.about.get("file"), self.about.get("line")
        return source_below(Path(file), line) if isinstance(file, str) and file and type(line) is int else None

    @property
    def declared(self) -> frozenset[str] | None:
        """What its attribute `supports` lists; None where it has none."""
        listed = self.about.get("supports")
        return None if listed is None else frozenset(listed)

    @property
    def algorithm(self) -> Any:
        """What its attribute `algorithm` is, as it is spelled; empty where it has none."""
        return self.about.get("algorithm", "")

    @property
    def outer_step(self) -> tuple[Any, Any]:
        """What its attributes `returns` and `outer_rate` are, and None in place of one that it has not."""
        return self.about.get("returns"), self.about.get("outer_rate")

    def preamble(self, dtype: str) -> tuple[str, ...]:
        """Return the lines by which a script makes its framework work in a precision."""
        lines = self.about.get("preamble", {})
        return tuple(map(str, lines.get(dtype, ()))) if isinstance(lines, dict) else ()

    def require_signatures(self, problems: list[Problem]) -> None:
        """Check that it takes what it is called with.

        Raises:
            SubjectError: it does not.
        """
        if self.host.given_up:
            return
        try:
            answer = self.host.request("signature", problems=[definition_of(problem) for problem in problems])
        except ProgramError:
            return  # then it cannot be called either, and that is told of each problem
        if "refused" in answer:
            raise SubjectError(str(answer["refused"]))

    def pose(self, problem: Problem, dtype: str, *, rate: float | None = None) -> Posed:
        """Put a problem to it, which its process makes again."""
        return _There(self, problem, definition_of(problem, rate), dtype)

    def costs(self, problem: Problem, dtype: str) -> Costs:
        """Return the costs of a problem in its framework.

        Raises:
            ProgramError: its process cannot tell.
        """
        answer = self.host.request("costs", problem=definition_of(problem), dtype=dtype)
        try:
            values = {loop: _cost(answer["values"][loop]) for loop in LOOPS}
            variables, data = (tuple(map(str, answer[key])) for key in ("variables", "data"))
        except (MalformedError, KeyError, TypeError) as error:
            raise self.host.malformed(MalformedError(str(error)), "costs") from error
        return Costs(variables, data, values)

    def relations(self, problem: Problem, *, until_broken: bool) -> RelationsReport:
        """Return what the relations find on a problem; they are asked there, since they change costs and data."""
        try:
            answer = self.host.request("relations", problem=definition_of(problem), until_broken=until_broken)
        except ProgramError as error:
            verdict: Verdict = "inconclusive" if isinstance(error, LateError) else "fail"
            return RelationsReport([Result(EVERY, verdict, float("inf"), 0.0, f"{str(error).capitalize()}.")], {})
        try:
            return RelationsReport([_result(entry) for entry in answer["results"][:_MOST_RESULTS]], {})
        except (MalformedError, KeyError, TypeError) as error:
            broken = self.host.malformed(MalformedError(str(error)), "relations")
            return RelationsReport([Result(EVERY, "fail", float("inf"), 0.0, f"{broken}.")], {})


def _require_known(about: Json) -> None:
    declared, listed = about.get("supports"), EXTRAS | {ALL_USED}
    for key, known in (("kind", ("step", "problem")), ("framework", FRAMEWORKS)):
        if text(about, key) not in known:
            raise MalformedError(f"{key}: expected one of {', '.join(known)}, but got {shown(about[key])}")
    text(about, "inferred_from")
    if declared is not None and not (isinstance(declared, list) and all(name in listed for name in declared)):
        raise MalformedError(f"supports: expected names, but got {shown(declared)}")


def _cost(value: Json) -> Cost:
    return Cost(text(value, "dtype"), real(value["value"]), text(value, "raised"))


def _result(value: Json) -> Result:
    verdict = value["verdict"]
    if verdict not in _VERDICTS:
        raise MalformedError(f"verdict: expected one of {', '.join(_VERDICTS)}, but got {shown(verdict)}")
    return Result(text(value, "name"), verdict, real(value["error"]), real(value["bound"]), text(value, "sentence"))


class _There(Posed):
    """A problem put to a subject in a process of its own."""

    def __init__(self, subject: IsolatedSubject, problem: Problem, definition: Json, dtype: str) -> None:
        self._subject, self._problem, self._definition, self._dtype = subject, problem, definition, dtype
        self._is_fresh = True

    def ask(self) -> tuple[Reply, list[Finding]]:
        """Return the subject's reply, and what it changed in its arguments."""
        host = self._subject.host
        fresh, self._is_fresh = self._is_fresh, False
        try:
            answer = host.request("call", problem=self._definition, dtype=self._dtype, fresh=fresh)
            return self._read(answer)
        except ProgramError as error:
            return Reply(findings=[unanswered(error, "process")]), []
        except MalformedError as error:
            return Reply(findings=[Finding("process", str(host.malformed(error, "call")))]), []

    def _read(self, answer: Json) -> tuple[Reply, list[Finding]]:
        changes = answer.get("changes")
        if not isinstance(changes, list):
            raise MalformedError(f"changes: expected a list, but got {shown(changes)}")
        found = [unpack_finding(change, ("inputs",)) for change in changes]
        if "finding" in answer:
            return Reply(findings=[unpack_finding(answer["finding"], ("exception", "result"))]), found
        parts = answer.get("parts")
        if not isinstance(parts, list):
            raise MalformedError(f"parts: expected a list, but got {shown(parts)}")
        own = self._problem.native("numpy", self._dtype)
        values = [unpacked(part) for part in parts]
        is_step = self._subject.kind == "step"
        return read(own, values, keeps_dtypes=is_step, has_options=self._subject.has_options), found
