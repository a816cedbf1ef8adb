"""What must hold without an expected value: relations between answers of one step, on anybody's costs and sizes.

`check_relations` asks all of them; each is a function of a `Case` that returns a `Result` or raises `NotAsked`.
"""

from verification.relations.case import Case, NotAsked, StepError, case_of, make_case
from verification.relations.check import RELATIONS, check_case, check_problem, check_relations
from verification.relations.result import RelationsReport, Result

__all__ = [
    "RELATIONS",
    "Case",
    "NotAsked",
    "RelationsReport",
    "Result",
    "StepError",
    "case_of",
    "check_case",
    "check_problem",
    "check_relations",
    "make_case",
]
