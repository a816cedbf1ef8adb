"""Assertions, in words that a test's output can show: one for a whole subject, one for a single answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from textwrap import indent
from typing import Any

import numpy as np

from verification.cases import Case
from verification.judge import verify
from verification.judging.comparison import compare
from verification.judging.conventions import Declared, convention
from verification.judging.standard import Standard
from verification.judging.truth import by_definition
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import Observation
from verification.problems.problem import Problem
from verification.report import Report
from verification.subjects import Finding
from verification.subjects.reply import read

_SHOWN_FINDINGS = 3


def assert_correct(subject: Callable[..., Any] | str, /, **options: Any) -> None:
    """Assert that an implementation of a meta-learning step is right.

    Args:
        subject: as for `verification.verify`.
        options: the keywords of `verification.verify`.

    Raises:
        AssertionError: the verdict is not "pass"; the message is the verdict, the mistake, and the first wrong answer.
        SubjectError: the subject cannot be found or called at all.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line
    report = verify(subject, **options)
    if report.verdict != "pass":
        raise AssertionError(first_screen(report))


class WrongAnswerError(AssertionError):
    """An answer is wrong; the mistake is named once somebody reads the message.

    Hypothesis raises it for every example that it tries while it shrinks, and shows the last one.
    """

    def __init__(self, findings: Sequence[Finding], observation: Observation, declared: Declared) -> None:
        super().__init__(findings, observation, declared)
        self._findings, self._observation, self._declared = findings, observation, declared

    def __str__(self) -> str:
        return self._message

    @cached_property
    def _message(self) -> str:
        with np.errstate(over="ignore", invalid="ignore"):  # a fault that is fitted to an answer may diverge
            names = diagnose([self._observation], self._observation.problem.order, self._declared)
        return "\n".join([*map(str, names), *shown(self._findings)])


def assert_right(answer: Any, problem: Problem, *, conventions: Iterable[str] = ()) -> None:
    """Assert that an answer to a problem is right.

    The expected answer comes from an oracle that shares no code with any implementation, not with `refmaml` either.

    Args:
        answer: (cost, grads) or (cost, grads, adapted), as a subject returns it.
        problem: what was to be answered, in the arrays that it was answered in.
        conventions: what its author means otherwise, from `verification.judging.conventions.NAMES`.

    Raises:
        AssertionError: the answer is wrong; the first line of the message names the mistake where it is known.
        ValueError: there is no such convention.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line
    declared = Declared(tuple(convention(name) for name in conventions))
    plain, dtype = problem.native("autograd", "float64"), str(problem.dtype)
    standard = Standard(plain, certified=by_definition(plain))
    reply = read(problem, answer)
    findings, _ = compare(standard, dtype, reply, standard.truths(own=False), declared)
    if findings:
        wrong = tuple(dict.fromkeys(finding.what for finding in findings))
        raise WrongAnswerError(findings, Observation(standard, dtype, reply, wrong=wrong), declared)


def first_screen(report: Report) -> str:
    """Return the verdict, the mistake and the first wrong answer, with what reproduces it."""
    failing = [case for case in report.cases if case.verdict == "fail"]
    broken = [related for related in report.relations if related.result.verdict == "fail"]
    lines = [repr(report)]
    if failing:
        lines += ["", f"{failing[0].problem}, order {failing[0].order}, {failing[0].dtype}:", failure(failing[0])]
    lines += [f"{related.result.name}, {related.problem}: {related.result.sentence}" for related in broken]
    return "\n".join(lines)


def failure(case: Case) -> str:
    """Return what is wrong with one answer, and the Python that reproduces it."""
    return "\n".join([*shown(case.findings), "To reproduce it:", indent(case.snippet, "    ")])


def shown(findings: Sequence[Finding]) -> list[str]:
    """Return the first findings in words, and how many there are besides."""
    words = [str(finding) for finding in findings[:_SHOWN_FINDINGS]]
    left = len(findings) - len(words)
    return [*words, f"and {left} more"] if left else words
