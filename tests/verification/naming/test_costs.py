"""What is said of a cost that is not the asked one, where the gradients are right."""

from __future__ import annotations

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject
from shared import verify

pytestmark = pytest.mark.once  # arithmetic

#: Three tasks and three steps, two tasks and no step, one task: no two costs below are the same on all of them.
PROBLEMS = ("mlp-tanh-mse", "quadratic", "no-steps", "one-task")


def _descended(problem, batch):
    """Return φ_0, …, φ_K, by descent as it is written by hand."""
    points = [problem.variables]
    for _ in range(problem.inner_grad_steps):
        slope = problem.inner_gradient(batch, points[-1])
        points.append(map_leaves(lambda w, g: w - problem.inner_learning_rate * g, points[-1], slope))
    return points


def _reporting(reported):
    """Return a step of order 1 with right gradients that reports a number of a problem and the costs S and Q."""

    def subject(problem):
        tables = []
        for support, query in problem.tasks():
            points = _descended(problem, support)
            inner = [float(problem.inner_cost(support, phi)) for phi in points]
            tables.append((inner, [float(problem.outer_cost(query, phi)) for phi in points]))
        return reported(problem, tables), numpy_subject(problem)[1]

    return subject


def _meaning(reported):
    return _reporting(lambda _, tables: np.mean([reported(*table) for table in tables]))


TOLD = {
    "the mean over the tasks of Q(θ), the outer cost before adaptation": _meaning(lambda _, outer: outer[0]),
    "the mean over the tasks of S(φ_K), the inner cost after adaptation": _meaning(lambda inner, _: inner[-1]),
    "the mean over the tasks of S(θ), the inner cost before adaptation": _meaning(lambda inner, _: inner[0]),
    # Without a step no inner step saw anything: whatever is told there is no argument.
    "the mean over the tasks of S(φ_{K−1}), the inner cost that the last inner step saw": _meaning(
        lambda inner, _: inner[-2] if inner[1:] else 0.0
    ),
    "the mean over the tasks of (S(φ_0) + … + S(φ_{K−1}))/K": _meaning(
        lambda inner, _: sum(inner[:-1]) / max(len(inner) - 1, 1)
    ),
    "the mean over the tasks of S(φ_K) + Q(φ_K)": _meaning(lambda inner, outer: inner[-1] + outer[-1]),
    "the sum over the tasks of Q(φ_K), the outer cost after adaptation": _reporting(
        lambda _, tables: sum(outer[-1] for _, outer in tables)
    ),
    "the last task's Q(φ_K), the outer cost after adaptation": _reporting(lambda _, tables: tables[-1][1][-1]),
    "1/T times the mean over the tasks of Q(φ_K), the outer cost after adaptation": _reporting(
        lambda problem, tables: np.mean([outer[-1] for _, outer in tables]) / problem.num_tasks
    ),
    "0.5 times the right one": _reporting(lambda _, tables: 0.5 * np.mean([outer[-1] for _, outer in tables])),
    "right to single precision, but not further": _reporting(
        lambda _, tables: float(np.mean([outer[-1] for _, outer in tables], dtype=np.float32))
    ),
}


@pytest.mark.parametrize("words", TOLD)
def test_a_report_says_what_a_wrong_cost_is(words):
    """The cost alone is wrong: its formula is said, and how to declare it."""
    report = verify(TOLD[words], framework="numpy", dtypes=("float64",), problems=PROBLEMS)
    (only,) = report.diagnosis
    assert (report.verdict, only.faults, only.convention) == ("fail", ("several",), "own-cost")
    assert only.evidence.endswith(f"the cost is {words}")


@pytest.mark.parametrize("order", [1, "reptile"])
def test_a_declared_cost_of_ones_own_is_not_compared(order):
    """The gradients are, all the same."""

    def reptile(problem):
        rate, points = problem.inner_learning_rate, [_descended(problem, support)[-1] for support, _ in problem.tasks()]
        moved = map_leaves(lambda w, *phis: (w - np.mean(phis, axis=0)) / rate, problem.variables, *points)
        costs = [problem.inner_cost(support, phi) for (support, _), phi in zip(problem.tasks(), points, strict=True)]
        return np.mean(costs), moved

    subject = TOLD["0.5 times the right one"] if order == 1 else reptile
    options = {"framework": "numpy", "dtypes": ("float64",), "problems": PROBLEMS, "order": order}
    assert verify(subject, **options).verdict == "fail"
    assert verify(subject, **options, conventions=("own-cost",)).verdict == "pass"
    wrong = verify(lambda problem: (0.0, problem.variables), **options, conventions=("own-cost",))
    assert wrong.verdict == "fail"


def test_a_cost_by_chance_is_said_to_change():
    """What is drawn anew in each call, as by dropout, has no formula, and nobody means it."""
    rng = np.random.default_rng(1)
    subject = _reporting(lambda *_: rng.random())
    (only,) = verify(subject, framework="numpy", dtypes=("float64",), problems=PROBLEMS).diagnosis
    assert "the cost is another one when the same problem is asked again" in only.evidence
    assert only.convention is None


def test_a_cost_that_is_nothing_known_cannot_be_declared():
    """NaN is no report of anybody's."""
    subject = _reporting(lambda *_: float("nan"))
    (only,) = verify(subject, framework="numpy", dtypes=("float64",), problems=PROBLEMS).diagnosis
    assert (only.convention, only.evidence) == (
        None, "the gradients are right on every answer that decides; the cost is wrong",
    )  # fmt: skip


def test_a_report_on_a_cost_does_not_ask_for_the_adapted_variables():
    """They tell whether the inner loop is right, which the gradients have told."""
    report = verify(TOLD["0.5 times the right one"], framework="numpy", dtypes=("float64",), problems=PROBLEMS)
    assert not any("adapted variables" in remark for remark in report.remarks)
