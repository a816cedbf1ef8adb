"""One problem in one precision as a test: what it is called, why it is skipped, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from unittest import SkipTest

from verification.cases import Case
from verification.judge import declaring, run_of, subject_of
from verification.judging.standard import Standard
from verification.naming.evidence import Observation
from verification.naming.wording import Diagnosis
from verification.orders import DTYPES, SPELLINGS, Order
from verification.problems.problem import Problem
from verification.runs.run import Run
from verification.subjects import Subject, SubjectError
from verification.testing.assertions import failure


class UndecidedError(SkipTest):
    """A problem decides nothing: test runners take it for a test that is skipped, and show the reason."""


@dataclass(frozen=True)
class Answered:
    """What became of a check: the case, what was observed, and the name of the mistake if it failed."""

    case: Case
    observations: list[Observation]
    diagnosis: list[Diagnosis]


@dataclass(eq=False)
class Check:
    """One problem in one precision; calling it puts the problem to the subject.

    `conventions` are those declared for the run, by name. `answered` is None until it is called.
    """

    run: Run
    subject: Subject
    standard: Standard
    dtype: str
    conventions: tuple[str, ...]
    answered: Answered | None = field(default=None, init=False)

    @property
    def order(self) -> Order:
        """What the subject claims to be."""
        return self.standard.problem.order

    @property
    def id(self) -> str:
        """The id of the test: problem, step and precision."""
        return f"{self.standard.problem.name}-{SPELLINGS[self.order].step}-{self.dtype}"

    @property
    def reason_to_skip(self) -> str | None:
        """Why the subject is not asked; None where it is."""
        if self.subject.can(self.standard.generic):
            return None
        if self.subject.needs_all_used and self.standard.generic.ignores_variables:
            return "a cost of the problem does not use all variables, and the subject needs that it does"
        needed = ", ".join(sorted(self.standard.generic.needs))
        return f"the subject does not support {needed}: if it does, say so in its attribute `supports`"

    def __repr__(self) -> str:
        return f"<Check {self.id} of {self.subject.name}>"

    def __call__(self) -> None:
        """Put the problem to the subject.

        Raises:
            AssertionError: the answer is wrong; the first line of the message names the mistake.
            UndecidedError: the answer is not wrong, but it would not show either if it were.
        """
        __tracebackhide__ = True  # pytest then shows the caller's line
        case, observations = self.run.case(self.subject, self.standard, self.dtype)
        failed = case.verdict == "fail"
        diagnosis = self.run.name(self.subject, self.order, [case], observations) if failed else []
        self.answered = Answered(case, observations, diagnosis)
        if failed:
            raise AssertionError("\n".join([*map(str, diagnosis), failure(case)]))
        if case.verdict == "inconclusive":
            raise UndecidedError(
                f"rounding is as large as the difference from a wrong answer ({case.separation:.2g} bounds)"
            )


def checks_of(
    subject: Callable[..., Any] | str,
    *,
    framework: str | None = None,
    order: Order = 1,
    kind: str | None = None,
    dtypes: Sequence[str] = DTYPES,
    conventions: Iterable[str] = (),
    level: str = "quick",
    seed: int = 0,
    problems: Iterable[str | Problem] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Check]:
    """Return a check for each problem and precision; the arguments are those of `parametrize_with_problems`.

    Raises:
        SubjectError: the subject cannot be found or called at all, or its framework does not compute as it should.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values, or a failure is expected of a test that there is not.
    """
    declared = tuple(conventions)
    run = run_of(tuple(dtypes), declared, level, seed, problems)
    judged = subject_of(subject, framework=framework, order=order, kind=kind, problems=run.problems or ())
    run = declaring(run, judged)
    standards = run.standards_for(judged, order)
    able = [(judged, standard) for standard in standards if judged.can(standard.generic)]
    for _, standard in able:
        judged.require_signature(standard.generic)
    if unable := run.unfit(able):
        raise SubjectError(unable)
    checks = [
        Check(run, judged, standard, dtype, declared) for standard in standards for dtype in run.precisions(standard)
    ]
    ids = [check.id for check in checks]
    for id_ in expected_failures or ():
        if id_ not in ids:
            near = get_close_matches(id_, ids) or ids[:3]
            raise ValueError(f"expected_failures: there is no test {id_!r}; did you mean {' or '.join(near)}?")
    return checks
