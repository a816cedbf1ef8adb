from maml import subject

from verification.testing import parametrize_with_problems


@parametrize_with_problems(subject, framework="numpy")
def test_is_first_order_maml(check):
    check()
