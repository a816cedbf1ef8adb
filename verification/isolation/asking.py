"""The relations of a subject, wherever it runs."""

from __future__ import annotations

from verification.isolation.subject import IsolatedSubject
from verification.problems.problem import Problem
from verification.relations import check_problem
from verification.relations.result import RelationsReport
from verification.subjects import Subject


def relations_of(subject: Subject, problem: Problem, *, until_broken: bool = False) -> RelationsReport:
    """Return what the relations find on a built-in problem of order 1 or 2, or no more than the first broken one."""
    if isinstance(subject, IsolatedSubject):
        return subject.relations(problem, until_broken=until_broken)
    return check_problem(subject.function, problem.native(subject.framework), until_broken=until_broken)
