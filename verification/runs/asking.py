"""One question of a run: a problem in one precision, the case that comes of it, and how to ask it again."""

from __future__ import annotations

from dataclasses import replace

from verification.cases import PROBLEMS, VECTORS, Case, verdict_on
from verification.judging.comparison import compare, differences
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.naming.evidence import Observation
from verification.problems import levels
from verification.problems.problem import Problem
from verification.problems.setting import Setting
from verification.subjects import TIME, Finding, Reply, Subject

#: What a second call shows that is not like the first.
AGAIN = "the same call gives another answer the second time"


def ask(
    subject: Subject, standard: Standard, dtype: str, declared: Declared, *, is_first: bool
) -> tuple[Case, list[Observation]]:
    """Ask one problem in one precision, twice where state is looked for, and compare.

    State outlives a call in any precision alike: it is looked for in the first of a run, which this is or is not.
    """
    truths = standard.truths(own=subject.is_own)
    posed = subject.pose(standard.generic, dtype)
    reply, changes = posed.ask()
    findings, worst = compare(standard, dtype, reply, truths, declared)
    findings += changes
    observations = [_observation(standard, dtype, reply, findings, changes)]
    # What came too late is not waited for again.
    is_late = any(finding.what == TIME for finding in findings)
    if levels.is_asked_twice(standard.problem) and is_first and not is_late:
        # The same arrays again, if they still hold the same numbers: a tensor may keep more than its numbers.
        again, _ = (subject.pose(standard.generic, dtype) if changes else posed).ask()
        later, _ = compare(standard, dtype, again, truths, declared)
        apart = differences(standard, dtype, reply, again) if findings else later
        findings += [
            finding
            if finding.what == TIME
            else replace(finding, what="second call", message=f"{AGAIN}: {finding.message}")
            for finding in apart
        ]
        observations.append(_observation(standard, dtype, again, later, changes, call=1))
    separation = standard.separation(dtype)
    case = Case(
        problem=standard.problem.name, order=standard.problem.order, dtype=dtype,
        verdict=verdict_on(findings, separation), findings=findings, worst=worst, separation=separation,
        snippet=snippet(subject, standard.problem, dtype), group=VECTORS if observations[0].is_frozen else PROBLEMS,
    )  # fmt: skip
    return case, observations


def _observation(
    standard: Standard, dtype: str, reply: Reply, findings: list[Finding], changes: list[Finding], call: int = 0
) -> Observation:
    wrong = tuple(dict.fromkeys(finding.what for finding in findings))
    return Observation(standard, dtype, reply, call=call, overwrote=bool(changes), wrong=wrong)


def snippet(subject: Subject, problem: Setting, dtype: str) -> str:
    """Return Python that asks the subject the problem again."""
    made = (
        problem.spelled(subject.framework, dtype)
        if isinstance(problem, Problem) and problem.is_built_in
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
