"""Gradients that are read back from parameters: by a rate that is declared, or by one that is told by their noise."""

from __future__ import annotations

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject, numpy_subject_on_support
from shared import STANDARDS, verify

import verification
from verification.judge import run_of, subject_of
from verification.judging import tolerances
from verification.orders import DTYPES
from verification.runs import reading_back
from verification.subjects import SubjectError
from verification.subjects.reply import read

pytestmark = pytest.mark.once  # arithmetic

PROBLEMS = ("quadratic", "no-steps", "bilinear", "one-step", "unused-between")


def judged(subject, problems=PROBLEMS, **options):
    return verify(subject, framework="numpy", kind="problem", problems=problems, **options)


def stepping(subject, *, read_back=None, start=None):
    """Return a subject that takes an outer step in the precision of the variables, and may read the gradients back."""

    def step(problem):
        rate = problem.dtype.type(read_back or problem.outer_learning_rate)
        cost, gradients = subject(problem)
        theta = problem.variables
        moved = map_leaves(
            lambda w, g: np.asarray(w - rate * g, w.dtype), start(problem) if start else theta, gradients
        )
        if read_back is None:
            return cost, moved
        return cost, map_leaves(lambda w, new: np.asarray((w - new) / rate, w.dtype), theta, moved)

    return step


def off_by(relative, subject=numpy_subject):
    """Return a subject whose gradients are too large by a relative error, in the precision of the variables."""

    def wrong(problem):
        cost, gradients = subject(problem)
        return cost, map_leaves(lambda g: np.asarray(g * (1 + relative), g.dtype), gradients)

    return wrong


def adapted_to_the_last_task(problem):
    """φ_K of the last task."""
    *_, (support, _) = problem.tasks()
    v = problem.variables
    for _ in range(problem.inner_grad_steps):
        slope = problem.inner_gradient(support, v)
        v = map_leaves(lambda w, g: w - problem.inner_learning_rate * g, v, slope)
    return v


# Declared


@pytest.mark.parametrize("rate", [1.0, 0.01, 1e-4])
def test_parameters_are_judged_by_the_rounding_of_parameters(rate):
    """A right outer step passes at any rate that decides; the same numbers as gradients would be off in float32."""
    report = judged(stepping(numpy_subject), returns="parameters", outer_rate=rate, dtypes=("float64",))
    assert report.verdict == "pass"
    assert report.conditions.outer_rate == rate


def test_the_bound_that_follows_from_rounding_parameters():
    """No leaf moves by less than ‖θ‖/β, not even one whose gradient is 0, which has the bound 0 without it."""
    plain = verification.problem("quadratic")
    moves = tolerances.sensitivity(plain.with_outer_step(2.0**-10)).gradients
    assert tolerances.sensitivity(plain).gradients["inner_only"] == 0
    for chain, leaf in plain.variables.items():
        assert moves[chain] >= 1023 * np.linalg.norm(leaf)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (stepping(numpy_subject, start=adapted_to_the_last_task), "B10"),
        (stepping(numpy_subject_on_support), "C01"),
        (lambda problem: (numpy_subject(problem)[0], problem.variables), "M06"),
    ],
)
def test_a_mistake_of_a_subject_that_returns_parameters_is_named(subject, name):
    """A step from φ_K, a mistake of the gradients, and parameters that nothing moved."""
    report = judged(subject, returns="parameters", outer_rate=0.01, dtypes=("float64",))
    assert report.diagnosis[0].name == name


def test_a_rate_too_small_to_decide_is_inconclusive():
    """Where the rounding of θ over β is as large as what a mistake changes, nothing is decided."""
    report = judged(stepping(numpy_subject), returns="parameters", outer_rate=2.0**-20, dtypes=("float32",))
    assert report.verdict == "inconclusive"


def test_a_parameter_that_is_not_trained_may_not_move():
    """A variable that the outer loop does not select has no gradient to be read back, and stays."""
    problem = verification.problem("outer-list", framework="numpy").with_outer_step(0.25)
    reply = read(problem, (0.0, map_leaves(lambda w: w + 1, problem.variables)))
    assert {finding.leaf for finding in reply.findings} == {"inner_gain", "b1", "w2", "outer_gain"}
    assert {chain: leaf.ravel().tolist() for chain, leaf in reply.gradients.items()} == {
        "w1": pytest.approx([-4.0] * 6),
        "b2": pytest.approx([-4.0] * 3),
    }


def test_the_rate_is_an_attribute_too():
    """A subject may say itself what it returns; a rate that is missing, or that nothing wants, is refused."""
    subject = stepping(numpy_subject)
    subject.returns, subject.outer_rate = "parameters", 0.5
    assert judged(subject, dtypes=("float64",)).conditions.outer_rate == 0.5
    for options in ({"returns": "parameters"}, {"outer_rate": 0.5}, {"returns": "parameters", "outer_rate": -1.0}):
        with pytest.raises(SubjectError, match="outer"):
            judged(numpy_subject, **options)
    with pytest.raises(ValueError, match="returns: expected one of"):
        judged(numpy_subject, returns="updates")


# Undeclared


def read_back(subject, dtypes=DTYPES):
    """Return the verdicts on a subject, and the remarks, without a name for what is wrong."""
    run = run_of(dtypes, (), "quick", 0, PROBLEMS, STANDARDS)
    judged_one = subject_of(subject, framework="numpy", kind="problem")
    answered = [
        run.case(judged_one, standard, dtype) for standard in run.standards_for(judged_one, 1) for dtype in dtypes
    ]
    observations = [observation for _, found in answered for observation in found]
    cases, remarks = reading_back.read_back([case for case, _ in answered], observations, run.declared, own=False)
    return {case.verdict for case in cases}, remarks


def test_noise_of_parameters_is_no_mistake():
    """Gradients that are read back pass, with the rate that they seem to be read back by and what to do."""
    report = judged(stepping(numpy_subject, read_back=0.01))
    assert report.verdict == "pass"
    (remark,) = report.remarks
    assert "read back from parameters" in remark
    rate = float(remark.partition("β about ")[2].split(",")[0])
    assert 0.01 / 4 < rate < 4 * 0.01


@pytest.mark.parametrize(
    ("dtypes", "expected"), [(DTYPES, ({"pass", "inconclusive"}, 1)), (("float64",), ({"fail"}, 0))]
)
def test_noise_that_hides_what_a_mistake_changes_decides_nothing(dtypes, expected):
    """At a small rate float32 is undecided, while float64 decides; float64 alone does not show that it is noise."""
    verdicts, remarks = read_back(stepping(numpy_subject, read_back=2.0**-11), dtypes)
    assert (verdicts, len(remarks)) == expected


@pytest.mark.parametrize("relative", [1e-3, 1e-9])
@pytest.mark.parametrize("rate", [1.0, 0.03, 1e-3])
def test_a_mistake_beneath_the_noise_is_none(rate, relative):
    """A relative error of 1e-9 lies within the noise of float32, and float64 shows it."""
    verdicts, remarks = read_back(stepping(off_by(relative), read_back=rate))
    assert "fail" in verdicts
    assert remarks == []


def in_single(problem):
    """Single precision inside."""
    cost, gradients = numpy_subject(problem)
    return cost, map_leaves(lambda g: np.asarray(g.astype(np.float32), g.dtype), gradients)


def noise_in_float32(problem):
    """Noise in one precision alone."""
    return (stepping(numpy_subject, read_back=1e-3) if problem.dtype == np.float32 else numpy_subject)(problem)


def noise_with_inner_steps(problem):
    """Noise on some problems alone."""
    return (stepping(numpy_subject, read_back=1e-3) if problem.inner_grad_steps else numpy_subject)(problem)


def by_differences(problem):
    """An outer gradient by central differences with the best step, whose error is u^(2/3) on every problem alike."""
    cost, gradients = numpy_subject(problem)
    size, signs = float(np.finfo(problem.dtype).eps) ** (2 / 3), np.random.default_rng(0)
    return cost, map_leaves(
        lambda g: np.asarray(g * (1 + size * signs.choice([-1, 1], np.shape(g))), g.dtype), gradients
    )


@pytest.mark.parametrize(
    ("subject", "dtypes"),
    [
        (in_single, DTYPES),
        (noise_in_float32, DTYPES),
        (noise_with_inner_steps, DTYPES),
        (by_differences, DTYPES),
        (by_differences, ("float64",)),
        (stepping(numpy_subject, read_back=1e-3), ("float32",)),
    ],
)
def test_what_is_not_noise_of_parameters_does_not_pass(subject, dtypes):
    """Errors that do not follow the precision, or are not on every problem, and float32 alone, which tells nothing."""
    verdicts, remarks = read_back(subject, dtypes)
    assert "fail" in verdicts
    assert remarks == []
