"""The number of inner steps that a subject takes in place of K: the rule is found, whatever it is."""

from __future__ import annotations

import pytest
from shared import verify

from verification.faults import place
from verification.faults.subject import FaultySubject

pytestmark = pytest.mark.once  # arithmetic

#: K = 3, 5, 1 and 0.
PROBLEMS = ("bilinear", "five-steps", "one-step", "no-steps")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda _: 1, "inner steps: always 1"),
        (lambda _: 7, "inner steps: always 7"),
        (lambda steps: max(steps, 1), "inner steps: K, but at least 1"),
        (lambda steps: min(steps, 2), "inner steps: K, but at most 2"),
        (lambda steps: steps + 2, "inner steps: K + 2"),
        (lambda steps: 3 * steps, "inner steps: 3 K"),
        (lambda steps: max(steps - 2, 0), "inner steps: K − 2, but at least 0"),
        (lambda steps: steps // 2, "inner steps: K / 2, rounded down"),
    ],
)
def test_a_rule_for_the_number_of_steps_is_told(rule, words):
    """A subject that takes its own number of inner steps is named B12, with the rule that it follows."""
    report = verify(FaultySubject(place.with_steps(rule)), framework="numpy", dtypes=("float64",), problems=PROBLEMS)
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["B12"]
    assert words in report.diagnosis[0].evidence


def test_a_number_of_steps_without_a_rule_gets_no_rule():
    """Where no rule gives the number of steps of every K, B12 is not named."""
    steps = {0: 1, 1: 4, 3: 0, 5: 2}
    report = verify(
        FaultySubject(place.with_steps(steps.__getitem__)), framework="numpy", dtypes=("float64",), problems=PROBLEMS
    )
    assert report.verdict == "fail"
    assert all("B12" not in diagnosis.faults for diagnosis in report.diagnosis)
