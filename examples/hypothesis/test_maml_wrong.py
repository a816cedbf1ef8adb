"""A mistake that Hypothesis finds, and shrinks to the simplest problem that shows it."""

from hypothesis import given, settings
from maml import subject

from verification.testing.strategies import assert_right, problems


def no_adaptation(cost, theta, steps, rate):
    return theta


@settings(deadline=None, max_examples=25)
@given(problems())
def test_the_step_is_first_order_maml(problem):
    assert_right(subject(problem, no_adaptation), problem)
