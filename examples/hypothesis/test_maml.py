from hypothesis import given, settings
from maml import subject

from verification.testing.strategies import assert_right, problems


@settings(deadline=None, max_examples=25)
@given(problems())
def test_the_step_is_first_order_maml(problem):
    assert_right(subject(problem), problem)
