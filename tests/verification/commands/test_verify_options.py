"""Options of ``refmaml verify`` that exclude each other, and problems that a run cannot take."""

from __future__ import annotations

from dataclasses import replace

import implementations
import pytest
from click.testing import CliRunner

import verification
from verification.commands.cli import main


@pytest.mark.parametrize("option", [("--level", "full"), ("--seed", "3")])
def test_problems_take_the_place_of_a_level(option):
    """A level or a seed beside named problems would be ignored, and is refused."""
    result = CliRunner().invoke(main, ["verify", "--problem", "one-task", *option])
    assert result.exit_code == 2
    assert f"--problem takes the place of {option[0]}." in result.output


def test_a_problem_of_another_order_is_refused():
    """A problem of one's own has an order, which has to be the one that is judged."""
    problem = replace(verification.problem("one-task", order=2), name="mine")
    with pytest.raises(ValueError, match="expected problems of order 1, but 'mine' is of order 2"):
        verification.verify(implementations.right_step, kind="step", problems=[problem])


def test_what_is_no_problem_is_refused():
    """Neither a name nor a problem is an error that says what came."""
    with pytest.raises(TypeError, match="expected names and problems, but got int"):
        verification.verify(implementations.right_step, kind="step", problems=[3])


@pytest.mark.parametrize(
    "options", [("--algorithm", "meta-sgd", "--order", "reptile"), ("--problem", "average", "--order", "reptile")]
)
def test_what_no_problem_asks_is_wrong_usage(options):
    """Where no problem makes sense for an order and an algorithm, one sentence says so, and there is no report."""
    result = CliRunner().invoke(main, ["verify", "implementations:numpy_subject", "--framework", "numpy", *options])
    assert result.exit_code == 2
    assert "none of the problems makes sense for order reptile with" in result.output
    assert ("meta-sgd" in result.output) == (options[1] == "meta-sgd")
