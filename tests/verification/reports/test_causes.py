"""A cause that many cases share is told once, with their number."""

from __future__ import annotations

import pytest
from rich.console import Console
from shared import verify

from verification.cases import broken_case, distinct
from verification.reports import show
from verification.subjects import Finding


def raising(problem):
    raise ValueError("no such layer")


def test_one_exception_is_told_once(wide_terminal, capsys):
    """What every case shares is shown once, with how many more there are; the table says that it raised."""
    report = verify(raising, framework="numpy", problems=("quadratic", "bilinear", "one-task"))
    assert [count for _, count in distinct(report.cases)] == [6]
    show(report, Console(), "verbose")
    shown = capsys.readouterr().out
    assert shown.count("no such layer") == 1
    assert "and the same on 5 more" in shown
    assert shown.count("raised") > 6
    assert "inf" not in shown
    assert "No call gave anything that can be read, so no mistake is named." in shown
    assert report.diagnosis == []


def test_numbers_in_a_message_make_no_cause_of_their_own():
    """An exception at one place is one cause with other indices in its message; at another line it is another."""

    def message(text):
        finding = Finding("exception", f"it raised RuntimeError: {text}")
        return broken_case("bilinear", 1, "float64", finding, snippet="", group="problems")

    cases = [message("index 3 of 7 (mine.py, line 9)"), message("index 0 of 2 (mine.py, line 9)")]
    assert [count for _, count in distinct([*cases, message("index 3 of 7 (mine.py, line 10)")])] == [2, 1]


@pytest.mark.once  # arithmetic
def test_wrong_numbers_have_a_cause_each():
    """Two wrong answers are two cases, however alike."""
    report = verify(lambda problem: (0.0, problem.variables), framework="numpy", kind="problem", problems=("bilinear",))
    assert [count for _, count in distinct(report.cases)] == [1, 1]
