"""The judge: it asks a subject every problem, compares, concludes, and names the mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from verification.algorithms import PLAIN, Algorithm
from verification.algorithms import algorithm as algorithm_named
from verification.frameworks import FRAMEWORKS
from verification.isolation.asking import relations_of
from verification.isolation.definitions import require_built_in
from verification.isolation.host import Host
from verification.isolation.subject import IsolatedSubject
from verification.judging.comparison import compare, differences, gradient_errors
from verification.judging.conditions import unmet
from verification.judging.conventions import Declared, convention
from verification.judging.gate import unfit
from verification.judging.read_back import Noise, fitted_rate
from verification.judging.separation import overlooked
from verification.judging.standard import DECIDES, Standard, Standards
from verification.missing import with_missing, with_time
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import Observation, is_thin
from verification.naming.growth import Growth, family, growth
from verification.naming.wording import Diagnosis, several
from verification.orders import DTYPES, ORDERS, Order
from verification.problems import levels, suite
from verification.problems.problem import Problem
from verification.problems.setting import Setting
from verification.processes import limits
from verification.remarks import form_alone, remarks
from verification.report import Case, Conditions, Related, Report, conclude, verdict_on
from verification.subjects import TIME, Finding, Reply, Subject, SubjectError, found_at, subject_from

_AGAIN = "the same call gives another answer the second time"
#: Called with (problems done, problems in all, the problem's name) before each problem and once at the end.
Progress = Callable[[int, int, str], None]


def verify(
    subject: Callable[..., Any] | str,
    /,
    *,
    framework: str | None = None,
    order: Order = 1,
    kind: str | None = None,
    dtypes: tuple[str, ...] = DTYPES,
    conventions: Iterable[str] = (),
    algorithm: str | Algorithm | None = None,
    level: str = "quick",
    seed: int = 0,
    problems: Iterable[str | Problem] | None = None,
    progress: Progress | None = None,
    standards: Standards | None = None,
    measures_growth: bool = False,
    returns: str | None = None,
    outer_rate: float | None = None,
    isolated: bool = False,
    timeout: float = limits.PYTHON_TIMEOUT,
    memory: float = limits.MEMORY,
) -> Report:
    """Judge an implementation of a meta-learning step.

    By default the subject runs in this process, which cannot stand everything: a call that never returns, that ends the
    process, that takes all memory or crashes the interpreter takes the judge with it. A subject that can be found by
    its name is safe to judge with ``isolated=True``, which calls it in a process of its own.

    Args:
        subject: a step with the interface of `refmaml.fomaml_step` (`maml_step` for order 2, `reptile_step` for
            "reptile"), or a problem subject ``subject(problem) -> (cost, grads)`` or ``(cost, grads, adapted)``; the
            function, or where it is: ``"package.module:name"``, ``"path/to/file.py:name"``.
        framework: the arrays it works on: "autograd", "numpy", "torch", "jax" or "tensorflow"; by default inferred from
            what it imports.
        order: what it claims to be: 1 (first-order MAML), 2 (second-order MAML) or "reptile".
        kind: "step" or "problem"; by default inferred from the number of required parameters.
        dtypes: the precisions to test in.
        conventions: what its author means otherwise, from `verification.judging.conventions.NAMES`.
        algorithm: what it is meant to compute beside plain MAML, such as "adam" or "momentum(0.9)"; by default its
            attribute `algorithm`, where it has one. `verification.algorithms.INGREDIENTS` lists what there is.
        level: "quick" asks problems that together show every fault of the catalogue; "full" asks all of the built-in
            problems, the quick ones again with other random numbers, and the relations of a step of order 1 or 2.
        seed: makes those other random numbers.
        problems: what to test on instead, without the relations: names of built-in problems, or problems of one's own.
        progress: called before each problem.
        standards: what is known of the problems, to be shared between several runs; by default worked out for this
            one.
        measures_growth: whether to ask a wrong subject again, at smaller learning rates: `report.growth` then has how
            its errors grow.
        returns: "gradients", or "parameters" where the subject takes one outer step of plain descent and returns what
            it made of the variables, θ − β g, in their place; by default the subject's attribute `returns`, or else
            "gradients". The gradients are then read back, with the bound that follows from rounding the variables.
        outer_rate: β, the rate of that step, by default the subject's attribute `outer_rate`. The subject finds it in
            `problem.outer_learning_rate` too.
        isolated: whether to call the subject in a process of its own, on built-in problems. The subject is then a name,
            or a function that its module has under its name.
        timeout: the seconds that a call, or the import, may take there.
        memory: the bytes that this process may hold in memory, with all that it starts; on Linux.

    Returns:
        The report; ``report.verdict`` is "pass", "fail" or "inconclusive", and ``report.diagnosis`` names the mistake.

    Raises:
        SubjectError: the subject cannot be found or called at all.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values, or `isolated` meets a problem of one's own.
    """
    run = run_of(dtypes, conventions, level, seed, problems, standards, measures_growth)
    if not isolated:
        judged = subject_of(subject, framework=framework, order=order, kind=kind, problems=run.problems or ())
        return declaring(run, judged, algorithm, returns, outer_rate).report([(judged, order)], progress)
    _require_options(framework, order, kind)
    where = subject if isinstance(subject, str) else found_at(subject)
    for problem in run.problems or ():
        require_built_in(problem)
    with Host(where, framework=framework, kind=kind, timeout=timeout, memory=memory) as host:
        run.prepare(order)  # while the subject is imported
        there = IsolatedSubject.of(host)
        report = declaring(run, there, algorithm, returns, outer_rate).report([(there, order)], progress)
        host.stop()
        return replace(with_time(with_missing(report, host), host), notes=[*report.notes, *host.notes])


def declaring(
    run: Run,
    subject: Subject,
    algorithm: str | Algorithm | None = None,
    returns: str | None = None,
    outer_rate: float | None = None,
) -> Run:
    """Return the run with what an author declares of a subject, here or by its attributes."""
    declared = algorithm_named(subject.algorithm if algorithm is None else algorithm)
    return replace(run, algorithm=declared, outer_rate=outer_rate_of(subject, returns, outer_rate))


def outer_rate_of(subject: Subject, returns: str | None = None, outer_rate: float | None = None) -> float | None:
    """Return the rate of the outer step of a subject that returns parameters; None where it returns gradients.

    Raises:
        ValueError: `returns` is not one of its values.
        SubjectError: a rate is missing, is none, or is there where gradients are returned.
    """
    _require("returns", returns, (None, "gradients", "parameters"))
    declared, declared_rate = subject.outer_step
    said = returns or declared or "gradients"
    if said not in ("gradients", "parameters"):
        raise SubjectError(f"its attribute returns: expected 'gradients' or 'parameters', but got {said!r}.")
    rate = declared_rate if outer_rate is None else outer_rate
    if said == "gradients":
        if outer_rate is not None:
            raise SubjectError("outer_rate is for a subject that returns parameters: pass returns='parameters' too.")
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
        expected = "a subject that returns parameters has the rate of its outer step, a number above 0, in outer_rate"
        raise SubjectError(f"{expected} (--outer-rate, or an attribute of the subject), but got {rate!r}.")
    return float(rate)


def subject_of(
    subject: Callable[..., Any] | str,
    *,
    framework: str | None = None,
    order: Order = 1,
    kind: str | None = None,
    problems: Iterable[str | Problem] = (),
) -> Subject:
    """Return the subject that these options of `verify` describe.

    Raises:
        SubjectError: the subject cannot be found or called at all.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values, or one of the problems is of another order.
    """
    _require_options(framework, order, kind)
    for problem in problems:
        if isinstance(problem, Problem) and problem.order != order:
            raise ValueError(
                f"problems: expected problems of order {order!r}, but {problem.name!r} is of order {problem.order!r}."
            )
    return subject_from(subject, framework=framework, kind=kind)


def _require_options(framework: str | None, order: Order, kind: str | None) -> None:
    _require("order", order, ORDERS)
    _require("kind", kind, (None, "step", "problem"))
    if framework is not None and framework not in FRAMEWORKS:
        raise ValueError(f"framework: expected one of {', '.join(FRAMEWORKS)}, but got {framework!r}.")


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, but got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Run:
    """How subjects are asked: in which precisions, under which conventions, and which problems."""

    dtypes: tuple[str, ...]
    declared: Declared = field(default_factory=Declared)
    algorithm: Algorithm = PLAIN
    level: str = "quick"
    seed: int = 0
    problems: tuple[str | Problem, ...] | None = None
    standards: Standards = field(default_factory=Standards)
    measures_growth: bool = False
    #: Whether the level "full" asks corners.
    asks_corners: bool = True
    #: β, where subjects return what their variables became by one outer step.
    outer_rate: float | None = None

    @property
    def conditions(self) -> Conditions:
        """What a report says of the run."""
        return Conditions(
            level=self.level if self.problems is None else None,
            seed=self.seed,
            dtypes=self.dtypes,
            conventions=tuple(convention.name for convention in self.declared.conventions),
            algorithm=self.algorithm.spelled,
            problems=tuple(problem if isinstance(problem, str) else problem.name for problem in self.problems or ()),
            outer_rate=self.outer_rate,
        )

    def report(self, subjects: Sequence[tuple[Subject, Order]], progress: Progress | None) -> Report:
        """Ask every subject every problem of its order, and conclude."""
        plan = [(subject, standard) for subject, order in subjects for standard in self.standards_for(subject, order)]
        if not plan and self.problems != ():
            orders = " and ".join(str(order) for _, order in subjects)
            raise SubjectError(
                f"none of the problems makes sense for order {orders} with {self.algorithm}: `refmaml algorithms` says "
                "what an algorithm is for, and without --problem the level has problems for every order."
            )
        able = [(subject, standard) for subject, standard in plan if subject.can(standard.generic)]
        for subject in {id(subject): subject for subject, _ in able}.values():
            subject.require_signatures([standard.generic for other, standard in able if other is subject])
        unable = self.unfit(able)
        if unable:
            return replace(conclude(subjects[0][0], [], [], [], [], [], self.conditions), reason=unable)
        show = progress or (lambda *_: None)
        cases: list[Case] = []
        observations: list[Observation] = []
        for index, (subject, standard) in enumerate(able):
            show(index, len(able), standard.problem.name)
            for dtype in self.precisions(standard):
                case, answers = self.case(subject, standard, dtype)
                cases.append(case)
                observations += answers
        cases, rounding = self.read_back(subjects[0][0], cases, observations)
        failed = any(case.verdict == "fail" for case in cases)
        show(len(able), len(able), "naming the mistake" if failed else "done" if self.level == "quick" else "relations")
        names = [name for subject, order in subjects for name in self.name(subject, order, cases, observations)]
        related = [result for subject, order in subjects for result in self._related(subject, order)]
        left_out = [standard.problem.name for subject, standard in plan if not subject.can(standard.generic)]
        late = [case.problem for case in cases if case.is_late]
        tested = [standard for _, standard in able if standard.problem.name not in late]
        missed = self.overlooked(tested, [*left_out, *late])
        report = conclude(subjects[0][0], cases, names, related, left_out, missed, self.conditions)
        said = [*rounding, *remarks(cases, observations, names, self.declared)]
        reason = f"{report.reason}{_caution(subjects[0][0], observations)}{self._hidden(able)}"
        growth = self.growth_of(subjects, cases, observations)
        notes = [] if failed else self.not_shown(able)
        return replace(report, reason=reason, growth=growth, remarks=said, notes=notes)

    def not_shown(self, able: Sequence[tuple[Subject, Standard]]) -> list[str]:
        """Say under which conditions a full run asked no problem."""
        if self.level == "quick" or self.problems is not None or not self.algorithm.is_plain:
            return []
        said = unmet([(standard, dtype) for _, standard in able for dtype in self.precisions(standard)])
        return [said] if said else []

    def read_back(
        self, subject: Subject, cases: list[Case], observations: Sequence[Observation]
    ) -> tuple[list[Case], list[str]]:
        """Return the cases as they are where gradients are read back by a rate that nobody declared, and say so.

        They stay as they were where that does not explain everything that is wrong.
        """
        wrong = [case for case in cases if case.verdict == "fail"]
        if self.outer_rate is not None or not wrong:
            return cases, []
        if any(finding.what not in ("gradients", "second call") for c in wrong for finding in c.findings):
            return cases, []
        if not all(found.reply.gradients for found in observations):
            return cases, []  # what has another form has no error
        own = subject.is_own
        rate = fitted_rate(
            [
                Noise(
                    found.standard,
                    found.dtype,
                    gradient_errors(found.standard, found.reply, found.standard.truths(own=own), self.declared),
                )
                for found in observations
                if found.call == 0 and not suite.is_corner(found.problem.name)  # which is asked in one precision
            ]
        )
        if rate is None:
            return cases, []
        again: dict[tuple[str, Order, str], list[tuple[Standard, float, bool]]] = {}
        for found in observations:
            standard = found.standard.read_back(rate)
            findings, worst = compare(standard, found.dtype, found.reply, standard.truths(own=own), self.declared)
            key = (found.problem.name, found.problem.order, found.dtype)
            again.setdefault(key, []).append((standard, worst, bool(findings)))
        if any(is_wrong for answers in again.values() for _, _, is_wrong in answers):
            return cases, []
        right = []
        for case in cases:
            standard, worst, _ = again[case.problem, case.order, case.dtype][0]
            separation = standard.separation(case.dtype)
            if separation < DECIDES and suite.is_corner(case.problem):
                continue  # its gradient is small beside the rounding of θ
            verdict = verdict_on([], separation)
            right.append(replace(case, verdict=verdict, findings=[], worst=worst, separation=separation))
        return right, [_read_back_by(rate, len(wrong), len(cases))]

    def unfit(self, able: Sequence[tuple[Subject, Standard]]) -> str:
        """Return why the framework of a subject is not fit to be judged in, in the first precision where it is not."""
        subjects = {subject.framework: subject for subject, _ in able}.values()
        standards = [standard for _, standard in able]
        sentences = (unfit(standards, subject, dtype) for subject in subjects for dtype in self.dtypes)
        return next(filter(None, sentences), "")

    def growth_of(
        self, subjects: Sequence[tuple[Subject, Order]], cases: Sequence[Case], observations: Sequence[Observation]
    ) -> list[Growth]:
        """Measure how the errors of wrong subjects grow with the learning rate, where that is wanted."""
        wrong = {case.order for case in cases if case.verdict == "fail"} if self.measures_growth else set()
        return [
            found
            for subject, order in subjects
            if order in wrong
            for found in growth(subject, [one for one in observations if one.problem.order == order], self.declared)
        ]

    def standards_of(self, order: Order) -> list[Standard]:
        """Return what to ask of an order: the problems that make sense for it, with what is known of them."""
        rate = self.outer_rate
        if self.problems is None:
            names = levels.names(self.level, order, self.seed, self.algorithm)
            if not self.asks_corners or rate is not None:
                # Rounding of θ hides a small gradient that is read back from what an outer step made of θ.
                names = [name for name in names if not suite.is_corner(name)]
            return [self.standards.of(name, order, rate, self.algorithm) for name in names]
        return [
            self.standards.of(problem, order, rate, self.algorithm)
            for problem in self.problems
            if (suite.is_asked(problem, order, self.algorithm) if isinstance(problem, str) else problem.order == order)
        ]

    def standards_for(self, subject: Subject, order: Order) -> list[Standard]:
        """Return what to ask a subject of an order: as it declares, with all variables used, or corners plainly."""
        return [self._as_declared(subject, standard, order) for standard in self.standards_of(order)]

    def _as_declared(self, subject: Subject, standard: Standard, order: Order) -> Standard:
        if not standard.problem.is_built_in:
            return standard
        if subject.needs_all_used or self.algorithm.needs_all_used:
            used = suite.with_all_used(standard.problem.name)
            standard = self.standards.of(used, order, self.outer_rate, self.algorithm)
        name = standard.problem.name
        if self.problems is not None or not suite.is_corner(name) or subject.can(standard.generic):
            return standard
        return self.standards.of(suite.plainly(name), order, self.outer_rate, self.algorithm)

    def prepare(self, order: Order) -> None:
        """Work out what is known of the problems that every subject is asked."""
        for standard in self.standards_of(order):
            if not standard.generic.needs:
                standard.prepare()

    def precisions(self, standard: Standard) -> tuple[str, ...]:
        """Return the precisions to test a problem in."""
        if self.algorithm.is_plain:
            return levels.precisions(standard.problem, self.dtypes)
        return tuple(dtype for dtype in self.dtypes if standard.separation(dtype) >= DECIDES)

    def _hidden(self, able: Iterable[tuple[Subject, Standard]]) -> str:
        """Say which answers were not wanted: a declared number may put a built-in problem where rounding hides all."""
        left = [
            f"{standard.problem.name} in {dtype}"
            for _, standard in able
            for dtype in self.dtypes
            if dtype not in self.precisions(standard)
        ]
        if self.algorithm.is_plain or not left:
            return ""
        return f" Not asked, since rounding would hide a mistake there under {self.algorithm}: {', '.join(left)}."

    def overlooked(self, tested: Sequence[Standard], left_out: Sequence[str]) -> list[str]:
        """Return the faults that no problem asked would have shown; a whole level shows every one of them."""
        if self.problems is None and not left_out and "float64" in self.dtypes and self.outer_rate is None:
            return []
        # A fault of the catalogue shows on problems that are no corners, or on none.
        plain = [standard for standard in tested if not suite.is_corner(standard.problem.name)]
        by_order = groupby(plain, key=lambda standard: standard.problem.order)
        missed = [
            fault
            for order, standards in by_order
            for fault in overlooked([(standard, dtype) for standard in standards for dtype in self.dtypes], order)
        ]
        return list(dict.fromkeys(missed))

    def _related(self, subject: Subject, order: Order) -> list[Related]:
        """Ask a step the relations: they change the costs, which a problem subject is not called with."""
        asks_gradients = self.outer_rate is None and subject.kind == "step" and order != "reptile"
        if self.level == "quick" or self.problems is not None or not asks_gradients or not self.algorithm.is_plain:
            return []
        names = [suite.with_all_used(name) if subject.needs_all_used else name for name in levels.RELATED]
        problems = [self.standards.of(name, order).generic for name in names]
        return [
            Related(problem.name, order, result)
            for problem in problems
            if subject.can(problem)
            for result in relations_of(subject, problem).results
        ]

    def case(self, subject: Subject, standard: Standard, dtype: str) -> tuple[Case, list[Observation]]:
        """Ask one problem in one precision, twice where state is looked for, and compare."""
        truths = standard.truths(own=subject.is_own)
        posed = subject.pose(standard.generic, dtype)
        reply, changes = posed.ask()
        findings, worst = compare(standard, dtype, reply, truths, self.declared)
        findings += changes
        observations = [_observation(standard, dtype, reply, findings, changes)]
        # State outlives a call in any precision alike: one is enough. What came too late is not waited for again.
        is_late = any(finding.what == TIME for finding in findings)
        if levels.is_asked_twice(standard.problem) and dtype == self.precisions(standard)[0] and not is_late:
            # The same arrays again, if they still hold the same numbers: a tensor may keep more than its numbers.
            again, _ = (subject.pose(standard.generic, dtype) if changes else posed).ask()
            later, _ = compare(standard, dtype, again, truths, self.declared)
            apart = differences(standard, dtype, reply, again) if findings else later
            findings += [
                finding
                if finding.what == TIME
                else replace(finding, what="second call", message=f"{_AGAIN}: {finding.message}")
                for finding in apart
            ]
            observations.append(_observation(standard, dtype, again, later, changes, call=1))
        separation = standard.separation(dtype)
        case = Case(
            problem=standard.problem.name, order=standard.problem.order, dtype=dtype,
            verdict=verdict_on(findings, separation), findings=findings, worst=worst, separation=separation,
            snippet=snippet(subject, standard.problem, dtype),
        )  # fmt: skip
        return case, observations

    def name(
        self, subject: Subject | None, order: Order, cases: Sequence[Case], observations: Sequence[Observation]
    ) -> list[Diagnosis]:
        """Name the mistake of a subject that failed, or at least the family that it is of.

        The family needs more answers: where the subject is None, nobody can be asked for them.
        """
        failing = [case for case in cases if case.verdict == "fail" and case.order == order]
        if all(finding.what == "dtype" for case in failing for finding in case.findings):
            return []  # the numbers are right, and a finding says what is not
        mine = [observation for observation in observations if observation.problem.order == order]
        plain = [one for one in mine if not suite.is_corner(one.problem.name)]
        if len(plain) < len(mine):
            if not any(one.wrong for one in plain):
                return [several("only answers to corners are wrong")]
            mine = plain  # on which every fault of the catalogue shows
        # Either a remark says what is wrong, and the numbers are right; or most answers are missing.
        if form_alone(mine, self.declared) or is_thin(mine):
            return []
        with np.errstate(over="ignore", invalid="ignore"):  # a fault that is fitted to an answer may diverge
            for reading in self.declared.readings:
                found = diagnose(mine, order, reading)
                if any(diagnosis.convincing for diagnosis in found):
                    return found
            found = found or (family(subject, order, mine, self.declared) if subject else [several("")])
        if any(finding.what == "second call" for case in failing for finding in case.findings):
            return [replace(diagnosis, evidence=f"{diagnosis.evidence}; {_AGAIN}") for diagnosis in found]
        return found


def _read_back_by(rate: float, count: int, of: int) -> str:
    """Say that some answers are as right as their way of computing can be, and what to do."""
    return (
        f"{count} of {of} answers are as right as gradients can be that are read back from parameters, (θ − θ')/β "
        f"with β about {rate:.1g}, and no better: their errors are the rounding of θ over β, alike on every problem "
        "and in every precision. What that hides in float32 shows in float64. Return the gradients themselves, or "
        "return the parameters and declare it: --returns parameters --outer-rate β."
    )


def _caution(subject: Subject, observations: Sequence[Observation]) -> str:
    """Say where most answers are missing that this is why no mistake is named, and what may be behind it."""
    if not observations or not is_thin(observations):
        return ""
    missing = sum(not observation.reply.returned for observation in observations)
    said = f" {missing} of {len(observations)} calls gave nothing that can be read: no mistake is named from the rest."
    if missing == len(observations):
        said = " No call gave anything that can be read, so no mistake is named."
    if subject.inferred_from:
        others = " or ".join(name for name in FRAMEWORKS if name != subject.framework)
        said += f" The judge took {subject.framework} for its framework, because {subject.inferred_from}."
        said += f" If it is another, pass --framework {others}."
    return said


def run_of(
    dtypes: tuple[str, ...],
    conventions: Iterable[str],
    level: str,
    seed: int,
    problems: Iterable[str | Problem] | None = None,
    standards: Standards | None = None,
    measures_growth: bool = False,
) -> Run:
    """Return the run that these options describe.

    Raises:
        ValueError: an option is not one of its values.
    """
    _require("level", level, levels.LEVELS)
    for dtype in dtypes:
        _require("dtypes", dtype, DTYPES)
    chosen = None if problems is None else tuple(problems)
    for problem in chosen or ():
        if not isinstance(problem, str | Problem):
            raise TypeError(f"problems: expected names and problems, but got {type(problem).__name__}.")
        if isinstance(problem, str) and not suite.exists(problem):
            raise ValueError(f"problems: expected names from {', '.join(suite.NAMES)}, but got {problem!r}.")
    return Run(
        dtypes=dtypes, declared=Declared(tuple(convention(name) for name in conventions)), level=level, seed=seed,
        problems=chosen, standards=standards or Standards(), measures_growth=measures_growth,
    )  # fmt: skip


def _observation(
    standard: Standard, dtype: str, reply: Reply, findings: list[Finding], changes: list[Finding], call: int = 0
) -> Observation:
    wrong = tuple(dict.fromkeys(finding.what for finding in findings))
    return Observation(standard, dtype, reply, call=call, overwrote=bool(changes), wrong=wrong)


def _declaration(problem: Setting) -> str:
    """Return the keyword of a problem whose step is declared to compute more than plain MAML."""
    if not isinstance(problem, Problem) or problem.algorithm.is_plain:
        return ""
    return f", algorithm={problem.algorithm.spelled!r}"


def snippet(subject: Subject, problem: Setting, dtype: str) -> str:
    """Return Python that asks the subject the problem again."""
    made = (
        f"verification.problem({problem.name!r}, order={problem.order!r}, framework={subject.framework!r}, "
        f"dtype={dtype!r}{_declaration(problem)})"
        if problem.is_built_in
        else f"...  # your own {problem.name!r}, then .native({subject.framework!r}, {dtype!r})"
    )
    rate = problem.outer_learning_rate
    call = "subject(problem)" if subject.kind == "problem" else "subject(*arguments, **keywords)"
    lines = [
        *subject.preamble(dtype),
        "import verification",
        f"subject = verification.load({subject.place!r})",
        f"problem = {made}",
        *([] if rate is None else [f"problem = problem.with_outer_step({rate!r})"]),
        *([] if subject.kind == "problem" else ["arguments, keywords = problem.arguments()"]),
        f"print({call})",
    ]
    return "\n".join(lines)
