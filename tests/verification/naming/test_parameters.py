"""Answers that are parameters, or gradients with a multiple of the parameters added, are told from mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject
from shared import verify

pytestmark = pytest.mark.once  # arithmetic

#: Other rates, numbers of steps and tasks.
PROBLEMS = ("bilinear", "one-step", "one-task", "no-steps")


def _first_order(of_theta, of_gradient):
    """Return a step that gives a·θ + b·g with right gradients g."""

    def subject(problem):
        cost, gradients = numpy_subject(problem)
        return cost, map_leaves(lambda w, g: of_theta * w + of_gradient * g, problem.variables, gradients)

    return subject


def _reptile(epsilon):
    """Return Reptile as its algorithm 1 has it: θ ← θ + ε(mean of φ_K − θ), with the cost that the judge has."""

    def subject(problem):
        ends, costs = [], []
        for support, _ in problem.tasks():
            points = [problem.variables]
            for _ in range(problem.inner_grad_steps):
                slope = problem.inner_gradient(support, points[-1])
                points.append(map_leaves(lambda w, g: w - problem.inner_learning_rate * g, points[-1], slope))
            costs.append(np.mean([problem.inner_cost(support, phi) for phi in points]))
            ends.append(points[-1])
        moved = map_leaves(lambda w, *phis: w + epsilon * (np.mean(phis, axis=0) - w), problem.variables, *ends)
        return np.mean(costs), moved

    return subject


@pytest.mark.parametrize(
    ("subject", "order", "says", "does"),
    [
        (_first_order(1.0, -0.01), 1, "θ − βg, the variables after an outer step, with β = 0.01",
         "--returns parameters --outer-rate 0.01"),
        (_first_order(1.0, -1 / 3), 1, "with β = 0.333333", "--outer-rate 0.333333"),
        (_reptile(1.0), "reptile", "every answer is the mean of φ_K over the tasks", "(θ − φ_K)/α"),
        (_reptile(0.1), "reptile", "θ + ε(φ_K − θ) with ε = 0.1", "(θ − φ_K)/α"),
        (_first_order(1e-4, 1.0), 1, "g + λθ with the right gradients g and λ = 0.0001", "the outer optimizer"),
    ],
)  # fmt: skip
def test_parameters_are_told_from_gradients(subject, order, says, does):
    """The report says what came, and what to return or declare."""
    report = verify(subject, order=order, framework="numpy", dtypes=("float64",), problems=PROBLEMS)
    (only,) = report.diagnosis
    assert (report.verdict, only.faults) == ("fail", ("several",))
    assert says in only.evidence
    assert does in only.advice


def test_what_is_to_be_declared_passes():
    """The declaration of the report makes the verdict a pass."""
    subject = _first_order(1.0, -0.25)
    subject.returns, subject.outer_rate = "parameters", 0.25
    assert verify(subject, framework="numpy", dtypes=("float64",), problems=PROBLEMS).verdict == "pass"


@pytest.mark.parametrize(("of_theta", "of_gradient"), [(1.0, 0.01), (0.5, -0.01), (0.5, 2.0)])
def test_no_other_sum_of_the_two_is_told(of_theta, of_gradient):
    """An outer step that ascends, a share of θ less a step: nobody means that."""
    subject = _first_order(of_theta, of_gradient)
    report = verify(subject, framework="numpy", dtypes=("float64",), problems=("bilinear", "one-step"))
    assert "parameters" not in report.diagnosis[0].title
    assert "decay" not in report.diagnosis[0].title
