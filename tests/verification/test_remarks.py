"""What a report says beside a name: which answers are right, and that only shapes or the nesting are wrong."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject
from shared import verify

judged = partial(verify, framework="numpy", kind="problem", dtypes=("float64",))


def in_a_row(problem):
    """The gradients as a tuple in the order of the variables."""
    cost, gradients = numpy_subject(problem)
    return cost, tuple(gradients[chain] for chain in problem.names)


def none_in_a_row(problem):
    """The same with None for the variables that the outer cost does not use."""
    cost, gradients = numpy_subject(problem)
    return cost, tuple(None if chain in problem.ignored_by_outer else gradients[chain] for chain in problem.names)


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (
            lambda problem: (numpy_subject(problem)[0], map_leaves(np.atleast_1d, numpy_subject(problem)[1])),
            "shape (1,)",
        ),
        (in_a_row, "in the order of the variables. Nest"),
        (none_in_a_row, "in the order of the variables, None for 0 included."),
    ],
)
def test_a_form_that_alone_is_wrong_is_said_in_one_sentence(subject, words):
    """Where every number is right no mistake of the algorithm is looked for."""
    report = judged(subject, problems=("quadratic", "one-task"))
    assert (report.verdict, report.diagnosis) == ("fail", [])
    (remark,) = report.remarks
    assert remark.startswith("Every number is right")
    assert words in remark


def test_only_no_steps_is_wrong():
    """A first update that stands before the loop is right wherever K ≥ 1, and the report says so beside the name."""

    def at_least_one(problem):
        cost, gradients = numpy_subject(problem)
        return cost, gradients if problem.inner_grad_steps else map_leaves(lambda g: 2 * g, gradients)

    report = judged(at_least_one, problems=("quadratic", "one-task", "no-steps"))
    assert "Only K = 0 is wrong: right wherever K ≥ 1." in report.remarks


def test_a_right_subject_has_no_remarks():
    """There is nothing to say of which answers are right where all are."""
    assert judged(numpy_subject, problems=("quadratic",)).remarks == []
