"""For other people's tests: `assert_correct`, one pytest test per problem, and Hypothesis strategies.

`verification.testing.strategies` has the strategies and needs Hypothesis; `parametrize_with_problems` needs pytest.
"""

from verification.problems.making import make_corner, make_problem
from verification.problems.options import Options, Selection
from verification.testing.assertions import assert_correct, assert_right
from verification.testing.parametrization import parametrize_with_problems

__all__ = [
    "Options",
    "Selection",
    "assert_correct",
    "assert_right",
    "make_corner",
    "make_problem",
    "parametrize_with_problems",
]
