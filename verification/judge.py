"""The judge: it asks a subject every problem, compares, and concludes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification import suite, tolerances
from verification.answers import Arrays
from verification.frameworks import framework as framework_named
from verification.location import PLACES, explain, wrong_gradients
from verification.problem import Problem
from verification.report.model import Case, Report, Verdict, conclude
from verification.subjects import Finding, Reply, Subject, ask, kind_of, load
from verification.tolerances import Sensitivity, unit_roundoff
from verification.truth import Truth, truths

DTYPES = ("float64", "float32")
#: Called with (problems done, problems in all, the problem's name) before each problem and once at the end.
Progress = Callable[[int, int, str], None]


def verify(
    subject: Callable[..., Any] | str,
    /,
    *,
    framework: str = "autograd",
    order: int | str = 1,
    kind: str | None = None,
    dtypes: tuple[str, ...] = DTYPES,
    progress: Progress | None = None,
) -> Report:
    """Judge an implementation of a meta-learning step.

    Args:
        subject: a step with the interface of `refmaml.fomaml_step` (`maml_step` for order 2, `reptile_step` for
            "reptile"), or a problem subject ``subject(problem) -> (cost, grads)`` or ``(cost, grads, adapted)``; the
            function, or where it is: ``"package.module:name"``, ``"path/to/file.py:name"``.
        framework: the arrays it works on: "autograd", "numpy" or "torch".
        order: what it claims to be: 1 (first-order MAML), 2 (second-order MAML) or "reptile".
        kind: "step" or "problem"; by default told by the number of required parameters.
        dtypes: the precisions to ask in.
        progress: called before each problem.

    Returns:
        The report; ``report.verdict`` is "pass", "fail" or "inconclusive".

    Raises:
        SubjectError: the subject cannot be found or called at all.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values.
    """
    _require("order", order, (1, 2, "reptile"))
    _require("kind", kind, (None, "step", "problem"))
    for dtype in dtypes:
        _require("dtypes", dtype, DTYPES)
    framework_named(framework)
    function = load(subject) if isinstance(subject, str) else subject
    name = subject if isinstance(subject, str) else _name(subject)
    return _run([(_subject(function, kind, framework, name), order)], dtypes, progress)


def verify_own(*, dtypes: tuple[str, ...] = DTYPES, progress: Progress | None = None) -> Report:
    """Judge `refmaml`'s own reference steps, against the oracles alone."""
    import refmaml

    own: list[tuple[Callable[..., Any], int | str]] = [
        (refmaml.fomaml_step, 1),
        (refmaml.maml_step, 2),
        (refmaml.reptile_step, "reptile"),
    ]
    return _run([(Subject(step, "step", "autograd", "refmaml"), order) for step, order in own], dtypes, progress)


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, but got {value!r}.")


def _subject(function: Callable[..., Any], kind: str | None, framework: str, name: str) -> Subject:
    return Subject(function, "step" if kind == "step" else "problem" if kind else kind_of(function), framework, name)


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"


def _run(asked: list[tuple[Subject, int | str]], dtypes: tuple[str, ...], progress: Progress | None) -> Report:
    plan = [(s, order, name) for s, order in asked for name in suite.names(order, plain=False)]
    able = [(s, order, name) for s, order, name in plan if s.can(suite.problem(name, order=order))]
    left_out = [name for s, order, name in plan if (s, order, name) not in able]
    cases: list[Case] = []
    failures: list[tuple[Problem, Arrays]] = []
    for index, (subject, order, name) in enumerate(able):
        if progress:
            progress(index, len(able), name)
        for dtype in dtypes:
            problem = suite.problem(name, order=order, framework=subject.framework, dtype=dtype)
            reply = ask(subject, problem)
            case = _judged(subject, problem, reply, dtype)
            cases.append(case)
            if any(finding.what == "gradients" for finding in case.findings):
                failures.append((suite.problem(name, order=order), reply.gradients))
    if progress:
        progress(len(able), len(able), "done")
    return conclude(asked[0][0], cases, explain(failures), left_out)


def _judged(subject: Subject, problem: Problem, reply: Reply, dtype: str) -> Case:
    expected = truths(problem.name, problem.order, own=subject.is_own)
    moves = _sensitivity(problem.name, problem.order)
    compared = [each for truth in expected for each in _compared(reply, truth, moves, dtype)]
    findings = [*reply.findings, *_first_of_each_leaf(finding for finding, ratio in compared if not ratio <= 1)]
    separation = _separation(problem.name, problem.order, dtype)
    verdict: Verdict = "fail" if findings else "inconclusive" if separation < 2 else "pass"
    worst = max((ratio for _, ratio in compared), default=float("inf"))
    return Case(
        problem.name, problem.order, dtype, verdict, findings, worst, separation, _snippet(subject, problem, dtype)
    )


def _first_of_each_leaf(findings: Iterator[Finding]) -> list[Finding]:
    """Keep one finding for each leaf where several sources of the truth agree that it is wrong."""
    kept: dict[tuple[str, str | None], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.what, finding.leaf), finding)
    return list(kept.values())


def _compared(reply: Reply, truth: Truth, moves: Sensitivity, dtype: str) -> Iterator[tuple[Finding, float]]:
    """Yield a finding for each part of the reply with its error over its bound; above 1, or NaN, it is wrong."""
    answer = truth.answer
    if reply.cost is not None:
        yield _measured("cost", None, np.asarray(answer.cost), np.asarray(reply.cost), moves.cost, dtype, truth, 0.0)
    for chain, got in reply.gradients.items():
        error = truth.errors[chain]
        yield _measured("gradients", chain, answer.gradients[chain], got, moves.gradients[chain], dtype, truth, error)
    for chain, got in (reply.adapted or {}).items():
        yield _measured("adapted", chain, answer.adapted[chain], got, moves.adapted[chain], dtype, truth, 0.0)


def _measured(
    what: str,
    chain: str | None,
    expected: NDArray[Any],
    got: NDArray[Any],
    moves: float,
    dtype: str,
    truth: Truth,
    oracle_error: float,
) -> tuple[Finding, float]:
    size = float(np.linalg.norm(expected))
    bound = tolerances.bound(expected, moves, dtype, oracle_error)
    error = float(np.linalg.norm(np.asarray(got, np.float64) - expected))
    unit = unit_roundoff(dtype) * (size or 1.0)
    ratio = error / bound if bound else (0.0 if error == 0 else float("inf"))
    message = (
        f"it differs from {truth.source} by {error / unit:.3g} units of rounding, where {bound / unit:.3g} are allowed"
    )
    if not np.all(np.isfinite(got)):
        message = f"it holds NaN or infinity, where {truth.source} has finite numbers"
    return Finding(what, message, chain, expected, got, error / unit, bound / unit), ratio


@cache
def _sensitivity(name: str, order: int | str) -> Sensitivity:
    return tolerances.sensitivity(suite.problem(name, order=order))


@cache
def _separation(name: str, order: int | str, dtype: str) -> float:
    """Return the distance, in bounds, from the right gradients to the nearest that a mistake of the list gives."""
    problem = suite.problem(name, order=order)
    right = truths(name, order, own=False)[0].answer.gradients
    moves = _sensitivity(name, order)
    bounds = {chain: tolerances.bound(leaf, moves.gradients[chain], dtype) for chain, leaf in right.items()}
    distances = []
    for place in PLACES:
        if place.applies(problem):
            wrong = wrong_gradients(problem, place)
            distances.append(max(_in_bounds(wrong[chain] - leaf, bounds[chain]) for chain, leaf in right.items()))
    return min(distances, default=float("inf"))


def _in_bounds(difference: NDArray[Any], bound: float) -> float:
    size = float(np.linalg.norm(difference))
    return size / bound if bound else (0.0 if size == 0 else float("inf"))


def _snippet(subject: Subject, problem: Problem, dtype: str) -> str:
    asked = f"problem({problem.name!r}, order={problem.order!r}, framework={subject.framework!r}, dtype={dtype!r})"
    call = "subject(problem)" if subject.kind == "problem" else "subject(*arguments, **keywords)"
    lines = [
        "import verification",
        f"subject = verification.load({subject.name!r})",
        f"problem = verification.{asked}",
        *([] if subject.kind == "problem" else ["arguments, keywords = problem.arguments()"]),
        f"print({call})",
    ]
    return "\n".join(lines)
