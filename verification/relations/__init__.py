"""What must hold without an expected value: relations between answers of one step, on anybody's costs and sizes.

`check_relations` asks all of them; each is a function of a `Case` that returns a `Result` or raises `NotTested`.
`check_taylor` tests what function the gradients are the gradient of.
"""

from verification.relations.case import Case, NotTested, StepError, case_of, make_case
from verification.relations.check import RELATIONS, check_case, check_problem, check_relations
from verification.relations.result import RelationsReport, Result
from verification.relations.targets import check_taylor, taylor_of_case, taylor_of_problem

__all__ = [
    "RELATIONS",
    "Case",
    "NotTested",
    "RelationsReport",
    "Result",
    "StepError",
    "case_of",
    "check_case",
    "check_problem",
    "check_relations",
    "check_taylor",
    "make_case",
    "taylor_of_case",
    "taylor_of_problem",
]
