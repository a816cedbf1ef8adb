"""A program judged: the built-in problems, then the golden vectors, each that it declares it can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from verification.cases import PROBLEMS, PROTOCOL, UNDECLARED, VECTORS, Case, broken_case
from verification.judge import run_of
from verification.judging.standard import Standard, Standards
from verification.missing import with_missing, with_time
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import Observation, is_thin
from verification.naming.wording import Diagnosis
from verification.orders import BY_STEP, DTYPES, Order
from verification.problems import suite
from verification.processes import limits
from verification.protocol.capabilities import EVERYTHING, VALUES, Capabilities
from verification.protocol.program import Program
from verification.protocol.subject import ProgramSubject, subject_of
from verification.report import Report, conclude
from verification.runs.run import Progress, Run
from verification.subjects import ProgramError, SkippedError, Subject, SubjectError, unanswered
from verification.vectors import from_problem, golden
from verification.vectors.standard import VectorStandard, standards_of

#: How the reason begins for which there is no answer to a problem that a program does not want to do.
_SKIPPED = "the program skipped it:"
_MOST_SKIPPED = 0.5  # of the problems that it declares to do: a pass says what it says of most of them


def verify_program(
    command: str,
    /,
    *,
    timeout: float = limits.TIMEOUT,
    memory: float = limits.MEMORY,
    order: Order | None = None,
    dtypes: tuple[str, ...] = DTYPES,
    conventions: Iterable[str] = (),
    level: str = "quick",
    seed: int = 0,
    problems: Iterable[str] | None = None,
    families: Iterable[str] = (),
    vectors: bool = True,
    progress: Progress | None = None,
    standards: Standards | None = None,
    measures_growth: bool = False,
) -> Report:
    """Judge a program that speaks the protocol of docs/protocol.md.

    Args:
        command: the program and its arguments, split into words as a shell would; no shell runs.
        timeout: the seconds that an answer may take.
        memory: the bytes that the program may hold in memory, with all that it starts; on Linux.
        order: what to ask for: 1, 2 or "reptile"; by default all that the program declares.
        dtypes: the precisions to ask in, of those that it declares.
        conventions: what its author means otherwise, from `verification.judging.conventions.NAMES`.
        level: "quick" asks built-in problems that together show every fault of the catalogue; "full" asks all of them,
            and the quick ones again with other random numbers.
        seed: makes those other random numbers.
        problems: the names of the built-in problems to ask instead.
        families: the cost families to ask, built-in problems and golden vectors; by default all that it declares.
        vectors: whether to ask the golden vectors too.
        progress: called before each problem.
        standards: what is known of the built-in problems, to be shared between several runs.
        measures_growth: as for `verification.verify`.

    Returns:
        The report. A program that breaks down gets one as well: each problem then has its cause.

    Raises:
        SubjectError: there is no such program, it declares nothing of what it is asked for, or that is a corner.
        ValueError: an option is not one of its values.
    """
    chosen = tuple(families)
    if unknown := [name for name in chosen if name not in VALUES["families"]]:
        raise ValueError(f"families: expected some of {', '.join(VALUES['families'])}, but got {unknown[0]!r}.")
    run = run_of(dtypes, conventions, level, seed, problems, standards, measures_growth)
    run = replace(run, asks_corners=False)
    for name in problems or ():
        require_layout(name)
    with Program(command, timeout, memory) as program:
        try:
            capabilities = program.introduce()
        except ProgramError:
            capabilities = EVERYTHING  # it is given up: every problem that it might have been asked fails for that
        orders = _orders(order, capabilities, program)
        precisions = tuple(dtype for dtype in dtypes if dtype in capabilities.dtypes)
        if not precisions:
            raise SubjectError(f"{command} declares {_listed(capabilities.dtypes)}, not {_listed(dtypes)}.")
        if chosen and not capabilities.families.intersection(chosen):
            raise SubjectError(f"{command} declares {_listed(capabilities.families)}, not {_listed(chosen)}.")
        work = _Work(replace(run, dtypes=precisions), subject_of(program, capabilities), chosen)
        plan = work.plan(orders, vectors)
        for index, item in enumerate(plan):
            if progress:
                progress(index, len(plan), item.name)
            work.ask(item)
        if progress:
            progress(len(plan), len(plan), "naming the mistake" if work.has_failed else "done")
        return work.report(orders)


def _orders(order: Order | None, capabilities: Capabilities, program: Program) -> list[Order]:
    declared = [known for step, known in BY_STEP.items() if step in capabilities.steps]
    if program.given_up:
        return [1 if order is None else order]
    if order is None:
        return declared
    if order not in declared:
        raise SubjectError(f"{program.command} declares {_listed(capabilities.steps)}, and not order {order}.")
    return [order]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One thing to ask a program: a problem in a precision, with the group that it is of."""

    standard: Standard
    dtype: str

    @property
    def name(self) -> str:
        return self.standard.problem.name

    @property
    def order(self) -> Order:
        return self.standard.problem.order

    @property
    def group(self) -> str:
        return VECTORS if isinstance(self.standard, VectorStandard) else PROBLEMS


@dataclass
class _Work:
    """What has been asked of a program, and what came of it."""

    run: Run
    subject: ProgramSubject
    families: tuple[str, ...] = ()  # none: all
    cases: list[Case] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        return any(case.verdict == "fail" for case in self.cases)

    def plan(self, orders: list[Order], vectors: bool) -> list[_Item]:
        """Return what to ask, each problem and vector in every precision."""
        problems = [standard for order in orders for standard in self.run.standards_of(order)]
        frozen = [standard for order in orders for standard in standards_of(order)] if vectors else []
        return [
            _Item(standard=standard, dtype=dtype)
            for standard in (*problems, *frozen)
            if self._can(standard.problem.name, from_problem(standard.generic))
            for dtype in self.run.precisions(standard)
        ]

    def _can(self, name: str, layout: dict[str, Any]) -> bool:
        if self.families and layout["family"] not in self.families:
            self.left_out[name] = "another family was asked for"
            return False
        lacking = self.subject.capabilities.lacks(layout, self.run.dtypes[0])
        if lacking:
            self.left_out[name] = f"{UNDECLARED} {lacking}"
        return not lacking

    def ask(self, item: _Item) -> None:
        """Ask one question; whatever comes of it is a case, or is left out with the program's own reason."""
        shell = snippet(self.subject.name, item.name, item.order, item.dtype)
        if self.subject.program.given_up:
            finding = unanswered(self.subject.program.unsent(), "program")
            case = broken_case(item.name, item.order, item.dtype, finding, snippet=shell, group=item.group)
            self.cases.append(case)
            return
        try:
            case, observations = self.run.case(self.subject, item.standard, item.dtype)
        except SkippedError as skipped:
            self.left_out[item.name] = f"{_SKIPPED} {skipped}"
            return
        self.observations += observations
        self.cases.append(replace(case, snippet=shell))

    def report(self, orders: list[Order]) -> Report:
        """Name the mistakes, stop the program, and conclude."""
        program = self.subject.program
        names = [diagnosis for order in orders for diagnosis in self._names(order)]
        subjects: list[tuple[Subject, Order]] = [] if program.given_up else [(self.subject, order) for order in orders]
        grown = self.run.growth_of(subjects, self.cases, self.observations)
        complaint = program.stop()
        if complaint:
            shell = f"refmaml smoke --command {self.subject.name!r}"
            finding, dtype = unanswered(complaint, "program"), self.run.dtypes[0]
            self.cases.append(broken_case("stop", orders[0], dtype, finding, snippet=shell, group=PROTOCOL))
        left_out, overlooked = list(self.left_out), self._overlooked(orders)
        conditions = replace(self.run.conditions, families=self.families)
        report = conclude(self.subject, self.cases, names, [], left_out, overlooked, conditions)
        report = replace(
            report, kind="program", framework=program.language, why_left_out=dict(self.left_out), growth=grown,
            notes=[] if self.has_failed else self.run.not_shown(self._tested),
        )  # fmt: skip
        report = with_missing(_with_skipped(report), program)
        if complaint:
            report = replace(report, reason=f"{report.reason} After the last, {complaint}.")
        return with_time(report, program)

    def _overlooked(self, orders: list[Order]) -> list[str]:
        """Return the faults that neither a built-in problem nor a vector, of those answered, would have shown.

        Where something failed it is of no interest what would not have, and takes seconds to find out.
        """
        if self.has_failed:
            return []
        tested = self._tested
        problems = [standard for order in orders for standard in self.run.standards_of(order)]
        left_out = [standard.problem.name for standard in problems if standard not in tested]
        return self.run.overlooked(tested, left_out) if tested else []

    @property
    def _tested(self) -> list[Standard]:
        """What was answered in time, orders and vectors apart."""
        late = {(case.problem, case.order) for case in self.cases if case.is_late}
        answered = dict.fromkeys(one.standard for one in self.observations)
        return [one for one in answered if (one.problem.name, one.problem.order) not in late]

    def _names(self, order: Order) -> list[Diagnosis]:
        """Name the mistake from the built-in problems and the vectors: a name agrees with both."""
        if not any(case.verdict == "fail" and case.order == order for case in self.cases):
            return []
        mine = [observation for observation in self.observations if observation.problem.order == order]
        if self.subject.program.given_up:  # it cannot be asked again, which telling a family takes
            return diagnose(mine, order, self.run.declared) if mine and not is_thin(mine) else []
        return self.run.name(self.subject, order, self.cases, mine)


def _with_skipped(report: Report) -> Report:
    """Return the report with what follows from skipping: a pass needs answers to a part of what a program declares."""
    skipped = sum(why.startswith(_SKIPPED) for why in report.why_left_out.values())
    if skipped and not report.cases:
        return replace(report, reason=f"The program skipped all {skipped} problems, so there is no result.")
    of = skipped + len({case.problem for case in report.cases if case.group != PROTOCOL} - report.why_left_out.keys())
    if report.verdict != "pass" or skipped <= _MOST_SKIPPED * of:
        return report
    reason = (
        f"{report.reason} But the program skipped {skipped} of the {of} problems that it declares to do, and a pass "
        "needs answers to half of them. Let it declare what it does."
    )
    return replace(report, verdict="inconclusive", reason=reason)


def snippet(command: str, name: str, order: Order, dtype: str) -> str:
    """Return a line for the shell that asks a program one question again."""
    return f"refmaml requests {name} --order {order} --dtype {dtype} | {command}"


def require_layout(name: str) -> None:
    """Check that programs can be asked a problem.

    Raises:
        SubjectError: it is a corner.
    """
    if suite.is_corner(name) and suite.exists(name):
        raise SubjectError(
            f"{name} is for Python code alone: the protocol has no words for its costs, dtypes and memory. Programs "
            "are asked the golden vectors in its place."
        )


def layout_of(name: str, order: Order) -> dict[str, Any]:
    """Return the layout of a built-in problem or of a vector, by its name.

    Raises:
        KeyError: there is none of that name.
        SubjectError: it is a corner, which has no layout.
    """
    require_layout(name)
    if suite.exists(name):
        return from_problem(suite.problem(name, order=order))
    return golden()[name].problem
