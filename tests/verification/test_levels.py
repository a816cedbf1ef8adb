"""Levels: what they ask, and what a run tells of the faults that it would not have noticed."""

from __future__ import annotations

import pytest
from implementations import numpy_subject, right_step

import refmaml
import verification
from verification.faults import CATALOGUE
from verification.problems import levels, suite

pytestmark = pytest.mark.once  # arithmetic


@pytest.mark.parametrize("order", suite.ORDERS)
def test_the_quick_level_shows_every_fault(order):
    """Together the quick problems show each variant of each fault of the catalogue, in both precisions."""
    asked = [suite.made(name, order) for name in levels.names("quick", order, 0)]
    assert levels.overlooked([(problem, "float64") for problem in asked], order) == []
    only_double = [id_ for id_, fault in CATALOGUE.items() if fault.dtypes == ("float64",) and order in fault.orders]
    assert levels.overlooked([(problem, "float32") for problem in asked], order) == only_double


def test_what_a_problem_does_not_show():
    """One task tells no sum from a mean, no steps no number of steps, and the least problem of a fault shows it."""
    one_task, no_steps = suite.made("one-task", 1), suite.made("no-steps", 1)
    assert {"D01", "D02", "D03", "E01"} <= set(levels.overlooked([(one_task, "float64")], 1))
    assert {"B01", "B02", "A04"} <= set(levels.overlooked([(no_steps, "float64")], 1))
    assert "B01" not in levels.overlooked([(one_task, "float64"), (no_steps, "float64")], 1)


def test_the_quick_level_shows_a_number_of_tasks_that_is_ignored():
    """A step that takes the whole batch, whatever `num_tasks` says, does not pass."""

    def all_tasks(*arguments, **options):
        return refmaml.fomaml_step(*arguments, **{**options, "num_tasks": None})

    report = verification.verify(all_tasks, kind="step", dtypes=("float64",))
    assert report.verdict == "fail"
    assert {case.problem for case in report.cases if case.findings} == {"two-of-three-tasks"}


def test_a_fault_of_the_second_call_needs_a_problem_that_is_asked_twice():
    """Gradients that are not cleared show on the second call alone."""
    once, twice = suite.made("bilinear", 1), suite.made("quadratic", 1)
    assert (levels.is_asked_twice(once), levels.is_asked_twice(twice)) == (False, True)
    assert "D05" in levels.overlooked([(once, "float64")], 1)
    assert "D05" not in levels.overlooked([(twice, "float64")], 1)


def test_the_full_level_has_every_problem_and_new_numbers():
    """A full run asks all built-in problems, and the quick ones again with the numbers of its seed."""
    names = levels.names("full", 1, 41)
    assert names == [*suite.NAMES, *(f"{name}@41" for name in levels.QUICK)]
    assert levels.names("quick", 1, 41) == list(levels.QUICK)
    assert "average" not in levels.names("quick", "reptile", 0)


def test_a_report_names_the_faults_that_it_overlooked():
    """A subject that does plain problems alone passes, and is told what that does not rule out."""
    report = verification.verify(numpy_subject, framework="numpy", dtypes=("float64",))
    assert report.verdict == "pass"
    assert {"B11", "C02", "D08"} <= set(report.overlooked)
    assert "B01" not in report.overlooked


def test_a_full_run_asks_a_step_the_relations(monkeypatch):
    """A right step holds every relation; a quick run asks none."""
    monkeypatch.setattr(levels, "names", lambda level, order, seed: ["quadratic"])
    full = verification.verify(right_step, kind="step", dtypes=("float64",), level="full")
    assert {each.problem for each in full.relations} == set(levels.RELATED)
    assert {each.result.verdict for each in full.relations} == {"pass"}
    assert verification.verify(right_step, kind="step", dtypes=("float64",)).relations == []


def test_a_broken_relation_fails_a_run(monkeypatch):
    """A step that is wrong only where no problem looks is found by a relation, and the reason names it."""
    monkeypatch.setattr(levels, "names", lambda level, order, seed: ["quadratic"])

    def wrong_where_nothing_adapts(*arguments, **options):
        """Forget the mean over tasks where there is no inner step."""
        cost, *rest = refmaml.fomaml_step(*arguments, **options)
        return (2 * cost if arguments[4] == 0 else cost, *rest)

    quick = verification.verify(wrong_where_nothing_adapts, kind="step", dtypes=("float64",))
    full = verification.verify(wrong_where_nothing_adapts, kind="step", dtypes=("float64",), level="full")
    assert (quick.verdict, full.verdict) == ("pass", "fail")
    assert full.reason.startswith("Every answer is right within its bound, but relations are broken: zero_rate")


def test_a_level_that_is_none():
    """The message lists the levels that there are."""
    with pytest.raises(ValueError, match=r"level: expected one of 'quick', 'full', but got 'deep'\."):
        verification.verify(right_step, kind="step", level="deep")
