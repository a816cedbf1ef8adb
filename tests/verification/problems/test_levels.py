"""Levels: what they ask, and what a run tells of the faults that it would not have noticed."""

from __future__ import annotations

import numpy as np
import pytest
from implementations import numpy_subject, right_step
from shared import STANDARDS, verify

import refmaml
import verification
from verification.faults import CATALOGUE
from verification.faults.question import each_task
from verification.faults.work import pull_back, solve
from verification.judging.separation import overlooked
from verification.orders import ORDERS
from verification.problems import corners, levels, suite

pytestmark = pytest.mark.once  # arithmetic


def missed(names, dtype="float64", order=1):
    """Return the faults that these problems would not show in a precision."""
    return overlooked([(STANDARDS.of(name, order), dtype) for name in names], order)


@pytest.mark.parametrize("order", ORDERS)
def test_the_quick_level_shows_every_fault(order):
    """Together the quick problems show each variant of each fault of the catalogue, in both precisions."""
    quick = levels.names("quick", order, 0)
    assert missed(quick, "float64", order) == []
    # A lower precision is no fault in a low one, whose rounding hides differences of gradients too (A10).
    alone = [id_ for id_, fault in CATALOGUE.items() if order in fault.orders and fault.dtypes == ("float64",)]
    assert missed(quick, "float32", order) == alone


def between(problem, ignored):
    """Return whether an ignored variable stands before two others of its shape, one of which is not ignored."""
    chains = list(problem.names)
    return any(
        problem.shape(chain) == problem.shape(later) and later not in ignored
        for chain in ignored
        for later in chains[chains.index(chain) + 1 :]
    )


@pytest.mark.parametrize("loop", ["inner", "outer"])
def test_an_unused_variable_stands_between_others_of_its_shape(loop):
    """What is left out of a list of gradients shifts those after it without a mistake in a shape, in either loop."""
    quick = [verification.problem(name) for name in levels.QUICK]
    assert any(between(problem, getattr(problem, f"ignored_by_{loop}")) for problem in quick)


def truncated(window):
    """Return second-order MAML that differentiates the last inner steps alone."""
    return each_task(
        lambda work, question: solve(
            work, question.order, pull_back=lambda work, points, u: pull_back(work, points[-window:], u)
        )
    )


@pytest.mark.parametrize("window", [2, 3, 5, 6])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_truncated_differentiation_does_not_pass(window, dtype):
    """A window of up to six inner steps is more than a thousand bounds away on a problem of the quick level."""
    standards = [STANDARDS.of(name, 2) for name in levels.names("quick", 2, 0)]
    longest = [standard for standard in standards if standard.problem.inner_grad_steps > window]
    assert max(standard.distance(truncated(window), dtype) for standard in longest) > 1000


def test_what_a_problem_does_not_show():
    """One task tells no sum from a mean, no steps no number of steps, and the least problem of a fault shows it."""
    assert {"D01", "D02", "D03", "E01"} <= set(missed(["one-task"]))
    assert {"B01", "B02", "A04"} <= set(missed(["no-steps"]))
    assert "B01" not in missed(["one-task", "no-steps"])


def test_single_precision_is_no_fault_where_it_is_asked():
    """Arithmetic in single precision shows on a problem that is asked in double precision, and on no other."""
    assert "G11" not in missed(["bilinear"], "float64")
    assert "G11" in missed(["bilinear"], "float32")


def test_a_fault_that_takes_too_long_to_work_out_is_not_said_to_show():
    """B05 takes a time that grows as 3ᴷ: on problems with more than three steps it is not worked out at all."""
    assert "B05" not in missed(["quadratic"])
    assert "B05" in missed(["five-steps"])


def test_the_quick_level_shows_a_number_of_tasks_that_is_ignored():
    """A step that takes the whole batch, whatever `num_tasks` says, does not pass."""

    def all_tasks(*arguments, **options):
        return refmaml.fomaml_step(*arguments, **{**options, "num_tasks": None})

    report = verify(all_tasks, kind="step", dtypes=("float64",))
    assert report.verdict == "fail"
    assert {case.problem for case in report.cases if case.findings} == {"two-of-three-tasks"}


def test_a_fault_of_the_second_call_needs_a_problem_that_is_asked_twice():
    """Gradients that are not cleared show on the second call alone."""
    once, twice = verification.problem("bilinear"), verification.problem("quadratic")
    assert (levels.is_asked_twice(once), levels.is_asked_twice(twice)) == (False, True)
    assert "D05" in missed(["bilinear"])
    assert "D05" not in missed(["quadratic"])


def test_the_full_level_has_every_problem_and_new_numbers():
    """A full run asks all built-in problems, the quick ones again with the numbers of its seed, and the corners."""
    names = levels.names("full", 1, 41)
    assert names == [*suite.NAMES, *(f"{name}@41" for name in levels.QUICK), *corners.names()]
    assert levels.names("quick", 1, 41) == list(levels.QUICK)
    assert "average" not in levels.names("quick", "reptile", 0)


def test_a_report_names_the_faults_that_it_overlooked():
    """A subject that does plain problems alone passes, and is told what that does not rule out."""
    report = verify(numpy_subject, framework="numpy", dtypes=("float64",))
    assert report.verdict == "pass"
    assert {"B11", "C02", "D08"} <= set(report.overlooked)
    assert "B01" not in report.overlooked


def test_a_full_run_asks_a_step_the_relations():
    """A right step holds every relation; a quick run asks none."""
    full = verify(right_step, kind="step", dtypes=("float64",), level="full")
    assert {related.problem for related in full.relations} == set(levels.RELATED)
    assert {related.result.verdict for related in full.relations} == {"pass"}
    assert verify(right_step, kind="step", dtypes=("float64",)).relations == []


def test_a_broken_relation_fails_a_run():
    """A step that is wrong only where no problem looks is found by a relation, and the reason names it."""

    def wrong_at_rate_zero(*arguments, **options):
        """Double the cost of a network where the learning rate is zero: corners are no networks of layers."""
        cost, *rest = refmaml.fomaml_step(*arguments, **options)
        return (2 * cost if "w1" in arguments[3] and not np.any(arguments[5]) else cost, *rest)

    quick = verify(wrong_at_rate_zero, kind="step", dtypes=("float64",))
    full = verify(wrong_at_rate_zero, kind="step", dtypes=("float64",), level="full")
    assert (quick.verdict, full.verdict) == ("pass", "fail")
    assert full.reason.startswith("Every answer is right within its bound, but relations are broken: zero_rate")


def test_a_level_that_is_none():
    """The message lists the levels that there are."""
    with pytest.raises(ValueError, match=r"level: expected one of 'quick', 'full', but got 'deep'\."):
        verify(right_step, kind="step", level="deep")
