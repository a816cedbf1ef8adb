"""The judge: whether an implementation of a meta-learning step computes what it claims.

`verify` judges a function in any framework; `problem` returns one of the built-in problems, `load` a subject by name.
The command line is ``refmaml verify``.
"""

from verification.frameworks import MissingFrameworkError
from verification.judge import verify, verify_own
from verification.report import Report
from verification.subjects import SubjectError, load
from verification.suite import problem

__all__ = ["MissingFrameworkError", "Report", "SubjectError", "load", "problem", "verify", "verify_own"]
