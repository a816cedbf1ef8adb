"""The judge: it asks a subject every problem, compares, concludes, and names the mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verification import levels, suite
from verification.comparison import DECIDES, compare, differences, sensitivity, separation
from verification.conventions import Declared, convention
from verification.diagnosis import Diagnosis, diagnose
from verification.evidence import Observation
from verification.family import family
from verification.frameworks import framework as framework_named
from verification.problem import Problem
from verification.relations import check_problem
from verification.report.model import Case, Related, Report, Verdict, conclude
from verification.subjects import Finding, Reply, Subject, ask, kind_of, load
from verification.trees import Tree, leaves, map_leaves
from verification.truth import truths

DTYPES = suite.DTYPES
_AGAIN = "the same call, made a second time, has another answer"
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
    conventions: Iterable[str] = (),
    level: str = "quick",
    seed: int = 0,
    problems: Iterable[str] | None = None,
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
        conventions: what its author means otherwise, from `verification.conventions.NAMES`.
        level: "quick" asks problems that together show every fault of the catalogue; "full" asks all of the built-in
            problems, the quick ones again with other random numbers, and of a step the relations.
        seed: makes those other random numbers.
        problems: the names of the built-in problems to ask instead.
        progress: called before each problem.

    Returns:
        The report; ``report.verdict`` is "pass", "fail" or "inconclusive", and ``report.diagnosis`` names the mistake.

    Raises:
        SubjectError: the subject cannot be found or called at all.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values.
    """
    _require("order", order, suite.ORDERS)
    _require("kind", kind, (None, "step", "problem"))
    _require("level", level, levels.LEVELS)
    for dtype in dtypes:
        _require("dtypes", dtype, DTYPES)
    for each in problems or ():
        if not suite.exists(each):
            raise ValueError(f"problems: expected names from {', '.join(suite.NAMES)}, but got {each!r}.")
    declared = Declared(tuple(convention(name) for name in conventions))
    framework_named(framework)
    function = load(subject) if isinstance(subject, str) else subject
    name = subject if isinstance(subject, str) else _name(function)
    judged = Subject(function, _kind(function, kind), framework, name)
    run = Run(dtypes, declared, level, seed, tuple(problems) if problems is not None else None)
    return run.report([(judged, order)], progress)


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, but got {value!r}.")


def _kind(function: Callable[..., Any], kind: str | None) -> Any:
    return kind or kind_of(function)


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"


@dataclass(frozen=True)
class Run:
    """How subjects are asked: in which precisions, under which conventions, and which problems."""

    dtypes: tuple[str, ...]
    declared: Declared
    level: str = "quick"
    seed: int = 0
    problems: tuple[str, ...] | None = None

    def report(self, asked: list[tuple[Subject, int | str]], progress: Progress | None) -> Report:
        """Ask every subject every problem of its order, and conclude."""
        plan = [(subject, order, name) for subject, order in asked for name in self.names(order)]
        able = [each for each in plan if each[0].can(suite.made(each[2], each[1]))]
        tell = progress or (lambda *_: None)
        cases: list[Case] = []
        seen: list[Observation] = []
        for index, (subject, order, name) in enumerate(able):
            tell(index, len(able), name)
            for dtype in self.precisions(name, order):
                case, observed = self.case(subject, suite.made(name, order).native(subject.framework, dtype))
                cases.append(case)
                seen.extend(observed)
        failed = any(case.verdict == "fail" for case in cases)
        tell(len(able), len(able), "naming the mistake" if failed else "done" if self.level == "quick" else "relations")
        named = [each for subject, order in asked for each in self.named(subject, order, cases, seen)]
        related = [each for subject, order in asked for each in self._related(subject, order)]
        left_out = [name for subject, order, name in plan if (subject, order, name) not in able]
        return conclude(asked[0][0], cases, named, related, left_out, self.overlooked(able, left_out))

    def names(self, order: int | str) -> list[str]:
        """Return the names of the problems to ask for an order."""
        if self.problems is None:
            return levels.names(self.level, order, self.seed)
        return [name for name in self.problems if suite.is_asked(name, order)]

    def precisions(self, name: str, order: int | str) -> tuple[str, ...]:  # noqa: ARG002  # a run may choose by them
        """Return the precisions to ask a problem in."""
        return self.dtypes

    def overlooked(self, able: Sequence[tuple[Subject, int | str, str]], left_out: list[str]) -> list[str]:
        """Return the faults that no problem asked would have shown; a whole level shows every one of them."""
        if self.problems is None and not left_out and "float64" in self.dtypes:
            return []
        by_order: dict[int | str, list[tuple[Problem, str]]] = {}
        for _, order, name in able:
            by_order.setdefault(order, []).extend((suite.made(name, order), dtype) for dtype in self.dtypes)
        return list(dict.fromkeys(id_ for order, each in by_order.items() for id_ in levels.overlooked(each, order)))

    def _related(self, subject: Subject, order: int | str) -> list[Related]:
        """Ask a step the relations: they change the costs, which a problem subject is not called with."""
        if self.level == "quick" or self.problems is not None or subject.kind != "step" or order not in (1, 2):
            return []
        return [
            Related(name, order, result)
            for name in levels.RELATED
            for result in check_problem(subject.function, suite.made(name, order).native(subject.framework)).results
        ]

    def case(self, subject: Subject, problem: Problem) -> tuple[Case, list[Observation]]:
        """Ask one problem, twice where state is looked for, and compare."""
        expected = truths(problem.name, problem.order, own=subject.is_own)
        own = problem.native(problem.framework.name)
        reply, changed = _asked(subject, problem, own)
        findings, worst = compare(problem, reply, expected, self.declared)
        findings += changed
        wrong = tuple(dict.fromkeys(each.what for each in findings))
        observed = [_observation(problem, reply, 0, bool(changed), wrong)]
        # State outlives a call in any precision alike: one is enough.
        if levels.is_asked_twice(problem) and str(problem.dtype) == self.precisions(problem.name, problem.order)[0]:
            # The same arrays again, if they still hold the same numbers: a tensor may keep more than its numbers.
            again, _ = _asked(subject, problem, problem.native(problem.framework.name) if changed else own)
            later, _ = compare(problem, again, expected, self.declared)
            other = differences(problem, reply, again) if findings else later
            told = [replace(each, what="second call", message=f"{_AGAIN}: {each.message}") for each in other]
            findings += told
            observed.append(_observation(problem, again, 1, bool(changed), tuple(each.what for each in later)))
        apart = separation(problem.name, problem.order, str(problem.dtype))
        verdict: Verdict = "fail" if findings else "inconclusive" if apart < DECIDES else "pass"
        parts = (problem.name, problem.order, str(problem.dtype), verdict, findings, worst, apart)
        return Case(*parts, snippet(subject, problem)), observed

    def named(self, subject: Subject, order: int | str, cases: list[Case], seen: list[Observation]) -> list[Diagnosis]:
        """Name the mistake of a subject that failed, or at least the family that it is of."""
        failing = [case for case in cases if case.verdict == "fail" and case.order == order]
        if all(finding.what == "dtype" for case in failing for finding in case.findings):
            return []  # the numbers are right, and a finding says what is not
        mine = [each for each in seen if each.problem.order == order]
        with np.errstate(over="ignore", invalid="ignore"):  # a fault that is fitted to an answer may diverge
            for reading in self.declared.readings:
                told = diagnose(mine, order, reading)
                if any(each.convincing for each in told):
                    return told
            told = told or family(subject, order, mine, self.declared)
        if any(finding.what == "second call" for case in failing for finding in case.findings):
            return [replace(each, evidence=f"{each.evidence}; {_AGAIN}") for each in told]
        return told


def _asked(subject: Subject, problem: Problem, own: Problem) -> tuple[Reply, list[Finding]]:
    """Ask with arrays of its own, and tell which of them the subject wrote into."""
    before = map_leaves(problem.framework.to_numpy, problem.native("numpy").variables), _arrays(problem, problem.batch)
    reply = ask(subject, own)
    after = _arrays(own, own.variables), _arrays(own, own.batch)
    findings = []
    for what, old, new in zip(("variables", "batch"), before, after, strict=True):
        later = leaves(new)
        for chain, leaf in leaves(old).items():
            if not np.array_equal(leaf, later[chain]):
                findings.append(Finding("inputs", f"the call changed the caller's {what}", chain, leaf, later[chain]))
    return reply, findings


def _arrays(problem: Problem, tree: Tree) -> Tree:
    return map_leaves(lambda leaf: np.array(problem.framework.to_numpy(leaf)), tree)


def _observation(
    problem: Problem, reply: Reply, call: int, overwrote: bool, wrong: tuple[str, ...] = ()
) -> Observation:
    plain = suite.made(problem.name, problem.order)
    moves = sensitivity(problem.name, problem.order)
    return Observation(plain, str(problem.dtype), reply, moves, call, overwrote, wrong)


def snippet(subject: Subject, problem: Problem) -> str:
    """Return Python that asks the subject the problem again."""
    dtype = str(problem.dtype)
    asked = f"problem({problem.name!r}, order={problem.order!r}, framework={subject.framework!r}, dtype={dtype!r})"
    call = "subject(problem)" if subject.kind == "problem" else "subject(*arguments, **keywords)"
    lines = [
        "import verification",
        f"subject = verification.load({subject.place!r})",
        f"problem = verification.{asked}",
        *([] if subject.kind == "problem" else ["arguments, keywords = problem.arguments()"]),
        f"print({call})",
    ]
    return "\n".join(lines)
