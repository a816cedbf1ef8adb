"""The judge on right and wrong implementations, and what its report says."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from implementations import (
    numpy_subject,
    numpy_subject_on_support,
    numpy_subject_with_options,
    right_step,
    step_at_start,
    step_one_too_few,
    step_one_too_many,
    step_with_jacobians,
    step_with_scaled_gradient,
    step_with_wrong_adaptation,
    step_with_wrong_cost,
    torch_autograd_subject,
    torch_func_subject,
    torch_second_order_subject,
    torch_unadapted_subject,
)
from shared import verify, verify_own

import refmaml
import verification
from verification import MissingFrameworkError, SubjectError
from verification.judging.standard import Standard, Standards
from verification.orders import DTYPES, ORDERS
from verification.problems import levels, suite

PLAIN = list(suite.names(1, plain=True))
SHORT = ("quadratic", "mlp-tanh-mse", "mlp-softplus-mse", "no-steps", "one-step", "per-task")


# Right implementations


def test_a_right_step_passes_on_every_problem():
    """A step that is right in all of the interface passes every problem in both precisions."""
    report = verify(right_step, kind="step", problems=suite.NAMES)
    assert (report.verdict, report.exit_code) == ("pass", 0)
    assert report.reason == f"All {2 * len(suite.NAMES)} answers are right within their bounds."
    assert [(case.problem, case.dtype) for case in report.cases] == [
        (name, dtype) for name in suite.NAMES for dtype in DTYPES
    ]
    assert all(case.worst <= 1 and case.separation >= 2 and not case.findings for case in report.cases)
    assert (report.diagnosis, report.left_out, report.overlooked) == ([], [], [])


@pytest.mark.parametrize(("step", "order"), [(refmaml.maml_step, 2), (refmaml.reptile_step, "reptile")])
def test_right_steps_of_the_other_orders(step, order):
    """Second-order MAML and Reptile pass as what they are."""

    def foreign(*arguments, **options):
        return step(*arguments, **options)

    problems = ("quadratic", "mlp-softplus-mse", "batched", "leaf-rates")
    assert verify(foreign, order=order, kind="step", problems=problems).verdict == "pass"


def test_a_right_numpy_subject_passes():
    """Code that cannot differentiate passes with the gradients that the problem offers."""
    report = verify(numpy_subject, framework="numpy", dtypes=("float64",), problems=suite.NAMES)
    assert report.verdict == "pass"
    assert [case.problem for case in report.cases] == [name for name in suite.NAMES if not suite.problem(name).needs]
    assert report.left_out == [name for name in suite.NAMES if suite.problem(name).needs]


@pytest.mark.framework("torch")
def test_a_right_torch_subject_passes():
    """First-order MAML with torch.autograd passes every plain problem in both precisions."""
    report = verify(torch_autograd_subject, framework="torch", problems=PLAIN)
    assert report.verdict == "pass"
    assert {case.problem for case in report.cases} == set(PLAIN)


@pytest.mark.framework("torch")
def test_a_right_subject_with_torch_func_passes():
    """First-order MAML with torch.func passes as well, nested containers included."""
    problems = ("quadratic", "mlp-softplus-mse", "no-steps", "one-task")
    assert verify(torch_func_subject, framework="torch", problems=problems).verdict == "pass"


@pytest.mark.framework("torch")
def test_a_right_torch_subject_of_order_two():
    """Second-order MAML with torch.autograd passes as such, and fails as first-order MAML."""
    problems = ("quadratic", "linear-regression", "one-task")
    options = {"framework": "torch", "dtypes": ("float64",), "problems": problems}
    assert verify(torch_second_order_subject, order=2, **options).verdict == "pass"
    report = verify(torch_second_order_subject, order=1, **options)
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == "A04"


def test_a_subject_that_supports_more_is_asked_more():
    """What a problem subject declares in `supports` is asked, and the rest is listed as left out."""
    report = verify(numpy_subject_with_options, framework="numpy", dtypes=("float64",), problems=suite.NAMES)
    assert report.verdict == "pass"
    names = {case.problem for case in report.cases}
    assert {"average", "same-cost-average", "leaf-rates"} <= names
    assert {"batched", "per-task", "batched-leaf-rates"} <= set(report.left_out)
    assert names | set(report.left_out) == set(suite.NAMES)


# Wrong implementations


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (step_at_start, "B01"),
        (step_one_too_few, "B02"),
        (step_one_too_many, "B03"),
        (step_with_jacobians, "A04"),
    ],
)
def test_a_wrong_gradient_is_found_and_named(step, fault):
    """A gradient taken in the wrong place fails with gradients alone, and its name is the first of the diagnosis."""
    report = verify(step, kind="step", dtypes=("float64",), problems=SHORT)
    assert (report.verdict, report.exit_code) == ("fail", 1)
    assert {finding.what for case in report.cases for finding in case.findings} == {"gradients"}
    assert report.diagnosis[0].name == fault


def test_first_order_where_second_order_is_claimed():
    """A first-order gradient fails as second-order MAML, and is named."""
    report = verify(right_step, kind="step", order=2, dtypes=("float64",), problems=SHORT)
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == "A01"


@pytest.mark.framework("torch")
def test_a_torch_subject_that_forgets_to_adapt():
    """The outer cost at θ fails in torch as well, and is named."""
    report = verify(torch_unadapted_subject, framework="torch", dtypes=("float32",), problems=PLAIN)
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == "B01"
    right = {case.problem for case in report.cases if case.verdict == "pass"}
    assert right == {"no-steps"}  # where θ is where it belongs


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (step_with_scaled_gradient, "gradients"),
        (step_with_wrong_cost, "cost"),
        (step_with_wrong_adaptation, "adapted"),
    ],
)
def test_a_part_that_is_wrong_alone(step, what):
    """Each part of the answer is judged by itself."""
    report = verify(step, kind="step", problems=("quadratic", "mlp-softplus-mse"))
    assert report.verdict == "fail"
    assert {case.verdict for case in report.cases} == {"fail"}
    assert {finding.what for case in report.cases for finding in case.findings} == {what}


def test_wrong_data():
    """A gradient on the inner batch where the outer one belongs fails on every problem."""
    report = verify(
        numpy_subject_on_support,
        framework="numpy",
        dtypes=("float64",),
        problems=("quadratic", "mlp-tanh-softmax", "one-task"),
    )
    assert {case.verdict for case in report.cases} == {"fail"}


def test_one_wrong_problem_fails_the_run():
    """A step that fails on one option alone fails, with the other cases passed."""

    def no_average(*arguments, **options):
        return refmaml.fomaml_step(*arguments, **{**options, "average_across_steps": False})

    report = verify(no_average, kind="step", dtypes=("float64",), problems=("quadratic", "average"))
    assert [(case.problem, case.verdict) for case in report.cases] == [("quadratic", "pass"), ("average", "fail")]
    assert (report.verdict, report.reason) == ("fail", "1 of 2 answers is wrong.")


# What a report holds


def test_a_finding_has_both_answers_and_the_error_in_units():
    """A finding names the leaf, both values, the error and the bound in units of rounding."""
    (case,) = verify(step_with_scaled_gradient, kind="step", dtypes=("float64",), problems=("mlp-tanh-mse",)).cases
    assert [finding.leaf for finding in case.findings] == ["w1", "b1", "w2", "b2", "outer_gain"]
    for finding in case.findings:
        np.testing.assert_allclose(finding.got, 1.0001 * finding.expected, rtol=1e-12)
        assert finding.error == pytest.approx(1e-4 * 2.0**53, rel=1e-6)
        assert 64 <= finding.bound < finding.error
        assert finding.message == (
            f"it differs from the reference by 0.01 % ({finding.error:.3g} units of rounding, "
            f"where {finding.bound:.3g} are allowed)"
        )
    assert case.worst == pytest.approx(max(finding.error / finding.bound for finding in case.findings))


def test_the_report_names_its_subject():
    """The report has the subject's name, framework and kind, and the order of each case."""
    report = verify(numpy_subject, framework="numpy", dtypes=("float64",), problems=("quadratic",))
    assert (report.subject, report.framework, report.kind) == ("implementations:numpy_subject", "numpy", "problem")
    assert [case.order for case in report.cases] == [1]
    by_name = verify("implementations:numpy_subject", framework="numpy", dtypes=("float64",), problems=("quadratic",))
    again = replace(by_name, conditions=replace(by_name.conditions, date=report.conditions.date))  # a second later
    assert again.to_dict() == report.to_dict()


class _Callable:
    def __call__(self, problem):
        return numpy_subject(problem)


def test_an_object_is_named_by_its_type():
    """A subject that is no function is named by its type."""
    assert verify(_Callable(), framework="numpy", problems=("quadratic",)).subject == "test_judge:_Callable"


@pytest.mark.once  # arithmetic
def test_json_is_strict():
    """A report of NaN and infinities is JSON by the standard, and comes back as it was."""

    def spoiled(problem):
        _, gradients = numpy_subject(problem)
        return float("nan"), {**gradients, "w1": gradients["w1"] * np.inf, "b1": np.full(3, -np.inf)}

    for report in (
        verify(spoiled, framework="numpy", problems=("no-steps",)),
        verify(lambda problem: None, framework="numpy", problems=("no-steps",)),
    ):
        data = report.to_dict()
        assert json.loads(json.dumps(data, allow_nan=False)) == data
        assert data["verdict"] == report.verdict == "fail"
        assert len(data["cases"]) == 2
    (case, _) = verify(spoiled, framework="numpy", problems=("no-steps",)).to_dict()["cases"]
    by_leaf = {finding["leaf"]: finding for finding in case["findings"]}
    assert by_leaf[None]["got"] == "nan"
    assert by_leaf["b1"]["got"] == ["-inf"] * 3
    assert case["worst_error_over_bound"] == "inf"


def test_progress_is_told_before_each_problem():
    """The caller hears of each problem before it is asked, and of the end."""
    heard = []
    verify(
        numpy_subject, framework="numpy", progress=lambda *note: heard.append(note), problems=("quadratic", "one-task")
    )
    assert heard == [(0, 2, "quadratic"), (1, 2, "one-task"), (2, 2, "done")]


def test_a_snippet_reproduces_the_answer(capsys):
    """The snippets of a problem subject and of a step run as they stand, and print what was judged."""
    for subject, framework in (
        ("implementations:numpy_subject", "numpy"),
        ("implementations:step_at_start", "autograd"),
    ):
        kind = "problem" if framework == "numpy" else "step"
        (case,) = verify(subject, framework=framework, kind=kind, dtypes=("float32",), problems=("no-steps",)).cases
        exec(case.snippet, {})
        printed = capsys.readouterr().out
        assert "float32" in printed
        assert "'w1'" in printed


def test_a_snippet_of_our_own_steps_runs(capsys):
    """Where the subject is refmaml as a whole, a snippet loads the step that was asked."""
    for case in verify_own(dtypes=("float64",), problems=("one-task",)).cases:
        exec(case.snippet, {})
        assert "'weight'" in capsys.readouterr().out


# What cannot be decided


def test_nothing_asked_is_nothing_known():
    """A subject that was asked nothing has not passed."""
    report = verify(right_step, kind="step", problems=())
    assert (report.verdict, report.reason) == ("inconclusive", "The judge tested nothing, so there is no result.")
    assert report.exit_code == 3
    report = verify(numpy_subject, framework="numpy", problems=("average", "batched"))
    assert (report.verdict, report.left_out) == ("inconclusive", ["average", "batched"])


# Our own steps


class OfOracles(Standard):
    """A standard that fails the test where the reference is asked what is right."""

    def truths(self, *, own):
        """Return what the oracles say."""
        assert own, "a run compared the reference with itself"
        return super().truths(own=own)


class OfOraclesAlone(Standards):
    """Standards of built-in problems, none of which asks the reference."""

    def of(self, name, order, *declared):
        """Return the standard of a built-in problem."""
        return OfOracles(verification.problem(name, order=order))


@pytest.mark.once  # arithmetic
@pytest.mark.parametrize("level", ["quick", pytest.param("full", marks=pytest.mark.nightly)])
def test_our_own_steps_pass_by_the_oracles_alone(level):
    """Refmaml is right at every order on every problem, and nothing of refmaml has a say in it."""
    report = verification.verify_own(
        dtypes=("float64",), level=level, seed=7, standards=OfOraclesAlone(), engine=lambda: None
    )
    assert (report.verdict, report.framework, report.kind) == ("pass", "autograd", "step")
    assert {case.order for case in report.cases} == set(ORDERS)
    assert [case.problem for case in report.cases if case.order == 1] == levels.names(level, 1, 7)
    assert all(case.separation >= 2 for case in report.cases)


FILLED_IN = functools.partial(functools.partial(refmaml.fomaml_step), average_across_steps=False)


@pytest.mark.parametrize(("step", "order"), [("refmaml:maml_step", 2), (FILLED_IN, 1)], ids=["by name", "filled in"])
def test_a_step_of_refmaml_is_known_by_its_module(step, order):
    """Verified by name, or with arguments filled in, a step of refmaml is judged by the oracles as well."""
    options = {"kind": "step", "order": order, "problems": ("quadratic",)}
    assert verification.verify(step, **options, standards=OfOraclesAlone()).verdict == "pass"


def test_a_step_of_somebody_else_is_held_against_the_reference():
    """What the two tests above rule out happens where it should: others' steps are compared with the reference."""
    with pytest.raises(AssertionError, match="a run compared the reference with itself"):
        verification.verify(right_step, kind="step", problems=("quadratic",), standards=OfOraclesAlone())


def test_a_step_keeps_the_dtypes_of_its_variables():
    """The interface gives back leaves of the variables' dtypes; a step that widens them is told so, and no more."""

    def widening(*arguments, **options):
        cost, gradients, adapted = refmaml.fomaml_step(*arguments, **options)
        return cost, {chain: leaf.astype(np.float64) for chain, leaf in gradients.items()}, adapted

    single, double = (
        verify(widening, kind="step", dtypes=(d,), problems=("quadratic",)) for d in ("float32", "float64")
    )
    assert (single.verdict, double.verdict, single.diagnosis) == ("fail", "pass", [])
    (case,) = single.cases
    assert [finding.what for finding in case.findings] == ["dtype"] * len(case.findings)
    assert case.findings[0].message == "expected gradients of dtype float32, but it is float64"


def test_a_wrong_step_of_our_own_fails():
    """Were the reference wrong, its own run would fail: the oracles know better."""

    def wrong(*arguments, **options):
        return step_with_scaled_gradient(*arguments, **options)

    wrong.__module__ = "refmaml.reference"
    report = verify(wrong, kind="step", dtypes=("float64",), problems=("quadratic", "one-task"))
    assert {case.verdict for case in report.cases} == {"fail"}
    messages = {finding.message.split(" by ")[0] for case in report.cases for finding in case.findings}
    assert messages == {"it differs from finite differences"}


# Wrong usage


@pytest.mark.parametrize(
    ("option", "error", "says"),
    [
        ({"order": 3}, ValueError, "order: expected one of 1, 2, 'reptile', but got 3"),
        ({"order": "1"}, ValueError, "order: expected one of 1, 2, 'reptile', but got '1'"),
        ({"kind": "library"}, ValueError, "kind: expected one of None, 'step', 'problem', but got 'library'"),
        ({"dtypes": ("float16",)}, ValueError, "dtypes: expected one of 'float64', 'float32', but got 'float16'"),
        (
            {"framework": "mlx"},
            ValueError,
            "framework: expected one of autograd, numpy, torch, jax, tensorflow, but got 'mlx'",
        ),
    ],
)
def test_an_option_that_there_is_not(option, error, says):
    """An option with another value is told with the values that there are."""
    with pytest.raises(error, match=says):
        verify(numpy_subject, **option)


def test_a_framework_that_is_not_installed(monkeypatch):
    """Without torch a run in torch says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingFrameworkError, match="python -m pip install torch"):
        verify(torch_func_subject, framework="torch")


def test_a_subject_by_a_name_that_leads_nowhere():
    """A name is looked up before anything is asked."""
    with pytest.raises(SubjectError, match="no file nowhere"):
        verify("nowhere.py:step")


@pytest.mark.parametrize("dtypes", [DTYPES, DTYPES[::-1]])
def test_a_second_call_is_asked_in_the_first_precision_alone(dtypes):
    """State outlives a call in any precision alike: where it is looked for, one more call is made, and not two."""
    calls = []

    def noting(problem):
        calls.append((problem.name, str(problem.dtype)))
        return numpy_subject(problem)

    assert verify(noting, framework="numpy", dtypes=dtypes, problems=("quadratic", "bilinear")).verdict == "pass"
    first, second = dtypes
    assert calls == [("quadratic", first)] * 2 + [("quadratic", second), ("bilinear", first), ("bilinear", second)]


def test_one_wrong_answer_is_told_in_the_singular():
    """The reason counts answers, one or several."""

    def wrong_once(problem):
        cost, gradients = numpy_subject(problem)
        return (cost if problem.name == "bilinear" else 2 * cost), gradients

    options = {"framework": "numpy", "dtypes": ("float64",)}
    report = verify(wrong_once, problems=("bilinear", "one-task"), **options)
    assert report.reason == "1 of 2 answers is wrong."
    report = verify(numpy_subject, problems=("bilinear",), **options)
    assert report.reason == "The one answer is right within its bound."
