"""A problem that somebody brings, judged like a built-in one: right, faulty and nameless subjects of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject_with_options
from shared import STANDARDS

import refmaml
import verification
from verification.faults import CATALOGUE, tasks
from verification.faults.subject import FaultySubject
from verification.frameworks import framework
from verification.orders import DTYPES, ORDERS
from verification.problems.families import Family
from verification.problems.options import Options
from verification.problems.problem import Problem

TASKS, SUPPORT, QUERY = 4, 5, 7


def _scores(xp, data, v):
    """Σ_h scale_h tanh(x · mix_h) + shift for each example."""
    hidden = xp.tanh(data["x"] @ v["mix"])
    return xp.sum(hidden * v["scale"][:, None, :], axis=-1) + xp.reshape(v["shift"], (-1, 1))


def _squares(xp, data, v):
    return xp.mean((_scores(xp, data, v) - data["y"]) ** 2, axis=-1)


def _margins(xp, data, v):
    """Mean log(1 + exp(−y · score)), with y a number of either sign."""
    return xp.mean(xp.log1p(xp.exp(-data["y"] * _scores(xp, data, v))), axis=-1)


FAMILY = Family("scores", "", {"mix": (3, 2), "scale": (2,), "shift": ()}, _squares, _margins)


def problem(seed=11, name="scores", **changes):
    """Return a problem of four tasks and two inner steps at the rate 0.3, which no binary precision has exactly."""
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.25, 1.25, shape)

    made = Problem(
        name=name, family=FAMILY, nest={"weights": [{"m": "mix"}, "scale"], "shift": "shift"},
        batch={
            part: {"x": numbers(TASKS, examples, 3), "y": numbers(TASKS, examples)}
            for part, examples in (("support", SUPPORT), ("query", QUERY))
        },
        variables={"weights": [{"m": numbers(3, 2)}, numbers(2)], "shift": numbers()},
        inner_grad_steps=2, inner_learning_rate=0.3, options=Options(), framework=framework("autograd"), order=1,
    )  # fmt: skip
    return replace(made, **changes)


def judged(subject, problems=None, **options):
    """Return the report on a subject of NumPy that is asked problems of one's own, by default the one above."""
    options = {"framework": "numpy", "dtypes": ("float64",), **options}
    order = options.get("order", 1)
    return verification.verify(subject, problems=problems or (problem(order=order),), **options)


def faulty(fault, variant=""):
    return FaultySubject(CATALOGUE[fault].variants[variant])


def theirs(order):
    """Return a right step of somebody else's."""

    def step(*arguments, **options):
        return {1: refmaml.fomaml_step, 2: refmaml.maml_step, "reptile": refmaml.reptile_step}[order](
            *arguments, **options
        )

    return step


@pytest.mark.parametrize("order", ORDERS)
def test_a_right_step_passes(order):
    """A right step of each order passes in both precisions, far from every wrong answer."""
    report = judged(theirs(order), order=order, framework="autograd", kind="step", dtypes=DTYPES)
    assert (report.verdict, len(report.cases)) == ("pass", 2)
    assert all(case.worst <= 1 and case.separation > 2 for case in report.cases)
    assert report.diagnosis == []
    assert {"B11", "D08"} & set(report.overlooked)
    assert not {"B01", "B02", "D01", "D05"} & set(report.overlooked)


def test_a_right_problem_subject_passes():
    """A problem subject, which descends by the gradients that the problem offers, passes in both precisions."""
    assert judged(numpy_subject_with_options, dtypes=DTYPES).verdict == "pass"


FAULTS = [
    ("B01", faulty("B01"), 1),
    ("B02", faulty("B02"), 1),
    ("A01", faulty("A01"), 2),
    ("D01", faulty("D01"), 1),
    ("C01", faulty("C01"), 1),
    ("D03", faulty("D03"), 1),
    ("D11", FaultySubject(tasks.multiplied(0.7)), 1),
]


@pytest.mark.once  # arithmetic
@pytest.mark.parametrize(("fault", "subject", "order"), FAULTS)
def test_a_mistake_is_named(fault, subject, order):
    """A fault is named first, and alone, by its answers to two problems: with two steps some faults are alike."""
    report = judged(subject, (problem(order=order), problem(seed=12, order=order, inner_grad_steps=3)), order=order)
    assert report.verdict == "fail"
    assert [(found.name, found.cannot_tell_from) for found in report.diagnosis] == [(fault, ())]


@pytest.mark.once  # arithmetic
def test_a_factor_is_fitted():
    """A factor that nobody knows beforehand is told with its value."""
    found = judged(FaultySubject(tasks.multiplied(0.7)), (problem(), problem(seed=12))).diagnosis[0]
    assert "(c = 0.7)" in found.evidence


@pytest.mark.parametrize("fault", ["D05", "E04"])
def test_state_is_found_by_a_second_call(fault):
    """Somebody's own problem is asked twice: gradients never cleared, and an optimizer's state, show in the second."""
    report = judged(faulty(fault, next(iter(CATALOGUE[fault].variants))))
    assert "second call" in {finding.what for case in report.cases for finding in case.findings}
    assert report.diagnosis[0].name == fault


@pytest.mark.once  # arithmetic
@pytest.mark.parametrize(("power", "where"), [(0, "the outer loop"), (1, "the inner loop"), (2, "the inner recursion")])
def test_a_mistake_with_no_name_says_how_the_error_grows(power, where):
    """An error that grows like α^p, of no fault of the catalogue, is told to be in the loop that p points to."""

    def spoiled(question):
        cost, gradients, adapted = numpy_subject_with_options(question)
        off = question.inner_learning_rate**power

        def moved(leaf):
            return leaf + off * np.sin(1 + np.arange(leaf.size).reshape(leaf.shape))

        return cost, map_leaves(moved, gradients), adapted

    (only,) = judged(spoiled, (problem(inner_learning_rate=0.25),)).diagnosis
    assert only.faults == ("several",)
    assert f"grows like α^{power:.2f}, which points to {where}" in only.evidence


# Two problems of one name


def wrong_on(numbers):
    """Return a subject whose cost is twice the right one on the problem with these numbers, and that is right else."""

    def subject(question):
        cost, gradients, adapted = numpy_subject_with_options(question)
        mine = np.array_equal(question.variables["shift"], numbers.variables["shift"])
        return 2 * cost if mine else cost, gradients, adapted

    return subject


@pytest.mark.parametrize("wrong", [0, 1])
def test_two_problems_of_one_name_share_nothing(wrong):
    """Each is held against its own truth and its own bounds, whichever comes first, in one run as in two."""
    two = problem(seed=11), problem(seed=12)
    report = judged(wrong_on(two[wrong]), two)
    assert [case.problem for case in report.cases] == ["scores", "scores"]
    assert [case.verdict for case in report.cases] == ["fail" if index == wrong else "pass" for index in (0, 1)]
    alone = [judged(wrong_on(two[wrong]), (one,)).cases[0] for one in two]
    assert [(case.worst, case.separation) for case in report.cases] == [(one.worst, one.separation) for one in alone]
    assert report.cases[0].separation != report.cases[1].separation


def test_a_fault_is_named_by_problems_of_one_name():
    """What a fault would have answered is worked out for each problem, and not for each name."""
    two = problem(seed=11), problem(seed=12, inner_grad_steps=3)
    (only,) = judged(faulty("B02"), two).diagnosis
    assert (only.name, "on 4 of 4 answers" in only.evidence) == ("B02", True)


def test_a_problem_with_the_name_of_a_built_in_one_is_none():
    """A problem of one's own called "bilinear" is judged by its own numbers, and leaves the built-in one's alone."""
    before = STANDARDS.of("bilinear", 1)
    options = {"framework": "numpy", "standards": STANDARDS}
    both = (problem(name="bilinear"), "bilinear")
    report = verification.verify(numpy_subject_with_options, problems=both, **options)
    assert (report.verdict, len(report.cases)) == ("pass", 4)
    assert STANDARDS.of("bilinear", 1) is before
    assert set(before.truths(own=False)[0].answer.gradients) == {"latent", "weight"}
    assert ["verification.problem(" in case.snippet for case in report.cases] == [False, False, True, True]
