"""Answers that are right but for the rounding of parameters, which their gradients were read back from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from verification.cases import Case, verdict_on
from verification.judging.comparison import compare, gradient_errors
from verification.judging.conventions import Declared
from verification.judging.read_back import Noise, fitted_rate
from verification.judging.standard import DECIDES, Standard
from verification.naming.evidence import Observation
from verification.orders import Order
from verification.problems import suite


def read_back(
    cases: list[Case], observations: Sequence[Observation], declared: Declared, *, own: bool
) -> tuple[list[Case], list[str]]:
    """Return the cases as they are where gradients are read back by a rate that nobody declared, and say so.

    They stay as they were where that does not explain everything that is wrong.
    """
    wrong = [case for case in cases if case.verdict == "fail"]
    if not wrong:
        return cases, []
    if any(finding.what not in ("gradients", "second call") for c in wrong for finding in c.findings):
        return cases, []
    if not all(found.reply.gradients for found in observations):
        return cases, []  # what has another form has no error
    rate = fitted_rate(
        [
            Noise(
                found.standard,
                found.dtype,
                gradient_errors(found.standard, found.reply, found.standard.truths(own=own), declared),
            )
            for found in observations
            # A corner is asked in one precision, and so are some golden vectors.
            if found.call == 0 and not suite.is_corner(found.problem.name) and not found.is_frozen
        ]
    )
    if rate is None:
        return cases, []
    again: dict[tuple[str, Order, str], list[tuple[Standard, float, bool]]] = {}
    for found in observations:
        standard = found.standard.read_back(rate)
        findings, worst = compare(standard, found.dtype, found.reply, standard.truths(own=own), declared)
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


def _read_back_by(rate: float, count: int, of: int) -> str:
    """Say that some answers are as right as their way of computing can be, and what to do."""
    return (
        f"{count} of {of} answers are as right as gradients can be that are read back from parameters, (θ − θ')/β "
        f"with β about {rate:.1g}, and no better: their errors are the rounding of θ over β, alike on every problem "
        "and in every precision. What that hides in float32 shows in float64. Return the gradients themselves, or "
        "return the parameters and declare it: --returns parameters --outer-rate β."
    )
