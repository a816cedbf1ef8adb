"""A run: subjects are asked every problem, their answers are compared, and their mistakes are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from verification.algorithms import PLAIN, Algorithm
from verification.cases import Case, Related
from verification.frameworks import FRAMEWORKS
from verification.frameworks import framework as framework_named
from verification.isolation.asking import relations_of
from verification.judging.conditions import unmet
from verification.judging.conventions import Declared
from verification.judging.gate import unfit
from verification.judging.separation import overlooked
from verification.judging.standard import DECIDES, Standard, Standards
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import Observation, is_thin
from verification.naming.frozen import telling
from verification.naming.growth import Growth, family, growth
from verification.naming.misreadings import misreading
from verification.naming.wording import Diagnosis, several
from verification.orders import Order
from verification.problems import levels, suite
from verification.problems.problem import Problem
from verification.remarks import form_alone, remarks
from verification.report import Conditions, Report, conclude
from verification.runs.asking import AGAIN, ask
from verification.runs.reading_back import read_back
from verification.subjects import Subject, SubjectError
from verification.vectors.layout import has_subnormals
from verification.vectors.standard import VectorStandard, standards_of

#: Called with (problems done, problems in all, the problem's name) before each problem and once at the end.
Progress = Callable[[int, int, str], None]


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
    #: Whether a report lists the faults that no problem asked would have shown.
    lists_overlooked: bool = True
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
        frozen = [(subject, vector) for subject, order in subjects for vector in self.vectors_for(subject, order)]
        asked = [*able, *frozen]
        for subject in {id(subject): subject for subject, _ in able}.values():
            subject.require_signatures([standard.generic for other, standard in able if other is subject])
        unable = self.unfit(able)
        if unable:
            return replace(conclude(subjects[0][0], [], [], [], [], [], self.conditions), reason=unable)
        show = progress or (lambda *_: None)
        cases: list[Case] = []
        observations: list[Observation] = []
        for index, (subject, standard) in enumerate(asked):
            show(index, len(asked), standard.problem.name)
            for dtype in self.precisions(standard):
                case, answers = self.case(subject, standard, dtype)
                cases.append(case)
                observations += answers
        rounding: list[str] = []
        if self.outer_rate is None:
            cases, rounding = read_back(cases, observations, self.declared, own=subjects[0][0].is_own)
        failed = any(case.verdict == "fail" for case in cases)
        left = "naming the mistake" if failed else "done" if self.level == "quick" else "relations"
        show(len(asked), len(asked), left)
        names = [name for subject, order in subjects for name in self.name(subject, order, cases, observations)]
        related = [result for subject, order in subjects for result in self._related(subject, order)]
        left_out = [standard.problem.name for subject, standard in plan if not subject.can(standard.generic)]
        late = [case.problem for case in cases if case.is_late]
        tested = [standard for _, standard in asked if standard.problem.name not in late]
        missed = self.overlooked(tested, [*left_out, *late])
        report = conclude(subjects[0][0], cases, names, related, left_out, missed, self.conditions)
        said = [*rounding, *remarks(cases, observations, names, self.declared)]
        reason = f"{report.reason}{_caution(subjects[0][0], observations)}{self._hidden(able)}"
        growth = self.growth_of(subjects, cases, observations)
        notes = [] if failed else self.not_shown([standard for _, standard in asked])
        return replace(report, reason=reason, growth=growth, remarks=said, notes=notes)

    def not_shown(self, tested: Sequence[Standard]) -> list[str]:
        """Say under which conditions a full run asked no problem."""
        if self.level == "quick" or self.problems is not None:
            return []
        said = unmet([(standard, dtype) for standard in tested for dtype in self.precisions(standard)])
        return [said] if said else []

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

    def vectors_for(self, subject: Subject, order: Order) -> list[VectorStandard]:
        """Return the golden vectors to ask: level full asks them those who are called with problems.

        Steps are asked the relations. Each vector is asked in one precision, the precisions in turn: some frameworks
        compile for each of them.
        """
        plainly = self.outer_rate is None and self.algorithm.is_plain and subject.kind == "problem"
        if self.level == "quick" or self.problems is not None or not plainly:
            return []
        return [
            vector
            for vector in standards_of(order, in_turn=True)
            if self.precisions(vector) and subject.can(vector.generic) and _has_numbers(subject, vector)
        ]

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
        if isinstance(standard, VectorStandard):
            return standard.precisions(self.dtypes)
        if self.algorithm.is_plain:
            return levels.precisions(standard.problem, self.dtypes)
        return tuple(dtype for dtype in self.dtypes if standard.separation(dtype) >= DECIDES)

    def _hidden(self, able: Iterable[tuple[Subject, Standard]]) -> str:
        """Say which answers were not wanted: a declared number may put a built-in problem where rounding hides all.

        Or where there is nothing to answer: an implicit gradient is there at a minimum of the inner problem alone.
        """
        left: dict[bool, list[str]] = {False: [], True: []}
        for _, standard in able:
            names = [f"{standard.problem.name} in {dtype}" for dtype in self.dtypes]
            known = [f"{standard.problem.name} in {dtype}" for dtype in self.precisions(standard)]
            is_nowhere = self.algorithm.implicit is not None and not standard.has_bounds
            left[is_nowhere] += [name for name in names if name not in known]
        if self.algorithm.is_plain:
            return ""
        why = {
            False: f"rounding would hide a mistake there under {self.algorithm}",
            True: f"I + H/λ is not positive definite at φ_K there, and {self.algorithm} has no gradient",
        }
        return "".join(f" Not asked, since {why[kind]}: {', '.join(names)}." for kind, names in left.items() if names)

    def overlooked(self, tested: Sequence[Standard], left_out: Sequence[str]) -> list[str]:
        """Return the faults that no problem asked would have shown; a whole level shows every one of them."""
        whole = self.problems is None and not left_out and "float64" in self.dtypes and self.outer_rate is None
        if whole or not self.lists_overlooked:
            return []
        vectors = [standard for standard in tested if isinstance(standard, VectorStandard)]
        killed = {
            fault.split("/")[0]
            for standard in vectors
            for dtype in self.precisions(standard)
            for fault in standard.vector.kills[dtype]
        }
        # A fault of the catalogue shows on problems that are no corners, or on none.
        plain = [one for one in tested if one not in vectors and not suite.is_corner(one.problem.name)]
        by_order = groupby(plain, key=lambda standard: standard.problem.order)
        missed = [
            fault
            for order, standards in by_order
            for fault in overlooked([(standard, dtype) for standard in standards for dtype in self.dtypes], order)
        ]
        return [fault for fault in dict.fromkeys(missed) if fault not in killed]

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
        """Ask one problem in one precision, and compare."""
        return ask(subject, standard, dtype, self.declared, is_first=dtype == self.precisions(standard)[0])

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
        outside = _outside_the_catalogue(failing, mine)
        if outside is not None:
            return [outside]
        mine = _evidence(mine)
        # Either a remark says what is wrong, and the numbers are right; or most answers are missing.
        if form_alone(mine, self.declared) or is_thin(mine):
            return []
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a fault may diverge, or divide by α = 0
            for reading in self.declared.readings:
                found = diagnose(mine, order, reading)
                if any(diagnosis.convincing for diagnosis in found):
                    return found
            found = found or (family(subject, order, mine, self.declared) if subject else [several("")])
        if any(finding.what == "second call" for case in failing for finding in case.findings):
            return [replace(diagnosis, evidence=f"{diagnosis.evidence}; {AGAIN}") for diagnosis in found]
        return found


def _outside_the_catalogue(failing: Sequence[Case], observations: Sequence[Observation]) -> Diagnosis | None:
    """Return what is told where a mistake in reading explains all wrong answers, or all of them are to corners."""
    wrong = [one for one in observations if one.wrong]
    if {(one.problem.name, one.dtype) for one in wrong} != {(case.problem, case.dtype) for case in failing}:
        return None  # something was not answered
    if all(suite.is_corner(one.problem.name) for one in wrong):
        return several("only answers to corners are wrong")
    return misreading(wrong)


def _evidence(observations: Sequence[Observation]) -> list[Observation]:
    """Return the answers to hold against the catalogue: every fault of it shows on problems that are no corners."""
    plain = [one for one in observations if not one.is_frozen and not suite.is_corner(one.problem.name)]
    return plain + telling([one for one in observations if one.is_frozen])


def _has_numbers(subject: Subject, standard: VectorStandard) -> bool:
    """Return whether a subject's framework computes with the numbers of a vector."""
    if framework_named(subject.framework).has_subnormals:
        return True
    return not any(has_subnormals(standard.vector.problem, dtype) for dtype in standard.vector.dtypes)


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
