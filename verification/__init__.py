"""The judge: whether an implementation of a meta-learning step computes what it claims.

`verify` judges a function in any framework; `check` a training step on a
PyTorch model of one's own; `check_relations` holds a step against itself on one's own costs; `problem` returns one
of the built-in problems, `load` a subject by name. The command line is ``refmaml verify`` and ``refmaml check``.
"""

from verification.frameworks import MissingFrameworkError
from verification.judge import verify
from verification.models import check, observe, problem_of
from verification.own import verify_own
from verification.problems.suite import problem
from verification.relations import check_relations
from verification.report import Report
from verification.subjects import SubjectError, load

__all__ = [
    "MissingFrameworkError",
    "Report",
    "SubjectError",
    "check",
    "check_relations",
    "load",
    "observe",
    "problem",
    "problem_of",
    "verify",
    "verify_own",
]
