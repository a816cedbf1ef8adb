"""What people write by hand for the Jacobian of the inner loop, and data of a task in a wrong place, have names."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.misc import flatten
from implementations import map_leaves
from shared import verify

pytestmark = pytest.mark.once  # arithmetic

#: Three steps with costs whose Hessians do not commute, one step, none, and a rate for each variable.
PROBLEMS = ("bilinear", "one-step", "no-steps", "leaf-rates")


def _by_hand(back):
    """Return a second-order step that goes through the inner loop with `back(u, points, times, rates)`.

    `times(phi, u)` is the Hessian-vector product; everything is in flat vectors.
    """

    def subject(problem):
        theta, nested = flatten(problem.variables)
        rate = problem.inner_learning_rate
        rates = map_leaves(lambda w, a: a + 0 * w, problem.variables, rate) if isinstance(rate, dict) else None
        rates = np.full_like(theta, rate) if rates is None else flatten(rates)[0]
        costs, gradients = [], []
        for support, query in problem.tasks():
            slope = grad(lambda v, batch=support: problem.inner_cost(batch, nested(v)))
            points = [theta]
            for _ in range(problem.inner_grad_steps):
                points.append(points[-1] - rates * slope(points[-1]))
            u = grad(lambda v, batch=query: problem.outer_cost(batch, nested(v)))(points[-1])

            def times(phi, u, slope=slope):
                return grad(lambda v: anp.sum(slope(v) * u))(phi)

            costs.append(problem.outer_cost(query, nested(points[-1])))
            gradients.append(back(u, points, times, rates))
        return np.mean(costs), nested(np.mean(gradients, axis=0))

    subject.supports = {"leaf-rates"}
    return subject


def _stepping(step, choose=lambda points: points[::-1]):
    """Return a way back that takes `step(u, times of a point, rates)` at chosen points, one after the other."""

    def back(u, points, times, rates):
        for phi in choose(points[:-1]):
            u = step(u, lambda v, phi=phi: times(phi, v), rates)
        return u

    return _by_hand(back)


def _right(u, times, rates):
    return u - times(rates * u)


def _sum(u, points, times, rates):
    return u - sum((times(phi, rates * u) for phi in points[:-1]), start=0 * u)


WRONG = {
    "plus for minus": _stepping(lambda u, times, rates: u + times(rates * u)),
    "α H u for H αu": _stepping(lambda u, times, rates: u - rates * times(u)),
    "α left out": _stepping(lambda u, times, _: u - times(u)),
    "in the order of the steps, not back": _stepping(_right, lambda points: points),
    "α H u for H αu, plus for minus": _stepping(lambda u, times, rates: u + rates * times(u)),
    "a sum of products for the product of all": _by_hand(_sum),
    "the factor of the last step left out": _stepping(_right, lambda points: points[:-1][::-1]),
    "the factor of the first step alone": _stepping(_right, lambda points: points[:1]),
    "one factor, at θ, whatever K is": _by_hand(
        lambda u, points, times, rates: _right(u, lambda v: times(points[0], v), rates)
    ),
}


def test_a_right_one_passes():
    """The way back that the others are made from is right."""
    report = verify(_stepping(_right), order=2, framework="autograd", dtypes=("float64",), problems=PROBLEMS)
    assert report.verdict == "pass"


@pytest.mark.parametrize("words", WRONG)
def test_a_product_by_hand_has_its_name(words):
    """G09, with what was written."""
    report = verify(WRONG[words], order=2, framework="autograd", dtypes=("float64",), problems=PROBLEMS)
    assert report.diagnosis[0].name == "G09"
    assert f"({words})" in report.diagnosis[0].evidence


def test_all_but_the_first_step_is_a_truncation():
    """A08, whatever K is: a window of K − 1 steps."""
    subject = _stepping(_right, lambda points: points[1:][::-1])
    problems = (*PROBLEMS, "seven-steps")
    report = verify(subject, order=2, framework="autograd", dtypes=("float64",), problems=problems)
    assert [found.name for found in report.diagnosis] == ["A08"]
    assert "(all but the first)" in report.diagnosis[0].evidence


def _first_order(tasks_of, losses_of):
    """Return a first-order step on `tasks_of(tasks)` whose outer cost is the mean of those that `losses_of` gives."""

    def subject(problem):
        costs, gradients = [], []
        for support, query in tasks_of(list(problem.tasks())):
            phi = problem.variables
            for _ in range(problem.inner_grad_steps):
                slope = problem.inner_gradient(support, phi)
                phi = map_leaves(lambda w, g: w - problem.inner_learning_rate * g, phi, slope)
            parts = losses_of(problem, support, query)
            costs.append(sum(cost(phi) for cost, _ in parts))
            gradients.append(map_leaves(lambda *leaves: sum(leaves), *(gradient(phi) for _, gradient in parts)))
        return np.mean(costs), map_leaves(lambda *parts: np.mean(parts, axis=0), *gradients)

    return subject


def _query(problem, _, query):
    return [(lambda phi: problem.outer_cost(query, phi), lambda phi: problem.outer_gradient(query, phi))]


def _both(problem, support, query):
    of_support = (lambda phi: problem.inner_cost(support, phi), lambda phi: problem.inner_gradient(support, phi))
    return [*_query(problem, support, query), of_support]


def test_a_lower_precision_in_the_inner_loop_alone_is_told():
    """No fault of the catalogue: what is right without an inner step is no lower precision everywhere."""

    def subject(problem):
        costs, gradients = [], []
        for support, query in problem.tasks():
            phi = problem.variables
            for _ in range(problem.inner_grad_steps):
                slope = problem.inner_gradient(support, phi)
                rate = problem.inner_learning_rate
                phi = map_leaves(lambda w, g, a=rate: np.float64(np.float32(w - a * g)), phi, slope)
            costs.append(problem.outer_cost(query, phi))
            gradients.append(problem.outer_gradient(query, phi))
        return np.mean(costs), map_leaves(lambda *parts: np.mean(parts, axis=0), *gradients)

    problems = ("bilinear", "one-step", "no-steps")
    (only,) = verify(subject, framework="numpy", dtypes=("float64",), problems=problems).diagnosis
    assert only.name == "several"
    assert "right to single precision everywhere, but not further" in only.evidence


MISPLACED = {
    ("D13", "query of the last"): _first_order(lambda tasks: [(support, tasks[-1][1]) for support, _ in tasks], _query),
    ("D13", "support of the first"): _first_order(lambda tasks: [(tasks[0][0], query) for _, query in tasks], _query),
    ("C07", "added, by the inner cost"): _first_order(list, _both),
}


@pytest.mark.parametrize(("name", "detail"), MISPLACED)
def test_data_in_a_wrong_place_has_a_name_on_the_built_in_problems(name, detail):
    """A closure that holds the last task's batch, and a support loss that is left in the sum."""
    problems = ("bilinear", "one-step", "one-task", "no-steps")
    report = verify(MISPLACED[name, detail], framework="numpy", dtypes=("float64",), problems=problems)
    assert report.diagnosis[0].name == name
    assert f"({detail})" in report.diagnosis[0].evidence
