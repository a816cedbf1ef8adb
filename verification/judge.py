"""The judge: it asks a subject every problem, compares, concludes, and names the mistake.

Here is what a caller says of a subject and of what to ask it; `verification.runs.run` is what happens then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from verification.algorithms import Algorithm
from verification.algorithms import algorithm as algorithm_named
from verification.frameworks import FRAMEWORKS
from verification.isolation.definitions import require_built_in
from verification.isolation.host import Host
from verification.isolation.subject import IsolatedSubject
from verification.judging.conventions import Declared, convention
from verification.judging.standard import Standards
from verification.missing import with_missing, with_time
from verification.orders import DTYPES, ORDERS, Order
from verification.problems import levels, suite
from verification.problems.problem import Problem
from verification.processes import limits
from verification.report import Report
from verification.runs.run import Progress, Run
from verification.subjects import Subject, SubjectError, found_at, subject_from


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
            problems, the quick ones again with other random numbers, corners, and the relations of a step of order 1 or
            2, or the golden vectors of a problem subject.
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


def report_on(
    subject: Callable[..., Any], problems: Iterable[str | Problem] | None, standards: Standards, /, *,
    order: Order, dtypes: tuple[str, ...], level: str = "quick", conventions: Iterable[str] = (), **options: Any,
) -> Report:  # fmt: skip
    """Judge as `verify` does, but do not list the faults that the problems would not show, a third of the time."""
    run = replace(run_of(dtypes, conventions, level, 0, problems, standards), lists_overlooked=False)
    judged = subject_of(subject, order=order, problems=run.problems or (), **options)
    return declaring(run, judged).report([(judged, order)], None)


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
