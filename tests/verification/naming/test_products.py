"""Several choices wrong at once, and numbers that follow from the problem: named with what they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shared import verify

from verification.faults import CATALOGUE, order, place, scales, tasks
from verification.faults.algorithms import with_update
from verification.faults.order import right
from verification.faults.question import after
from verification.faults.subject import FaultySubject
from verification.naming.rules import short_numbers, simple
from verification.naming.scaling import under
from verification.oracles.updates import Momentum

pytestmark = pytest.mark.once  # arithmetic

#: Other numbers of tasks, steps, query examples and rates: three and one tasks, three, five and one steps.
PROBLEMS = ("bilinear", "one-step", "one-task", "five-steps")


def judged(answer, step=1, problems=PROBLEMS):
    """Return the diagnoses of a fault's answers in float64."""
    subject = FaultySubject(answer)
    report = verify(subject, framework="numpy", order=step, problems=problems, dtypes=("float64",))
    assert report.verdict == "fail"
    return report.diagnosis


def fault(id_, variant=""):
    return CATALOGUE[id_].variants[variant]


# A factor that follows from the problem


@pytest.mark.parametrize(
    ("factor", "ids", "words"),
    [
        (lambda question: question.problem.query_examples, {"D11"}, "c = N_q"),
        (lambda question: question.problem.query_examples * (1 + 2**-52), {"D11"}, "c = N_q"),
        (lambda question: question.tasks + 1, {"D11"}, "c = (T + 1)"),
        (lambda question: question.tasks / 2, {"D01", "D11"}, "c = 0.5"),
        (lambda question: -1 / max(question.problem.inner_grad_steps, 1), {"D11"}, "c = -1 1/K"),
        (lambda question: question.tasks * question.problem.query_examples, {"D01", "D11"}, "c = N_q"),
    ],
)
def test_a_factor_is_told_by_its_rule(factor, ids, words):
    """A factor of T, K or N is the rule that gives it on every problem, and not a number that fits one of them."""
    (only,) = judged(under(factor, right))
    assert set(only.faults) == ids
    assert words in only.evidence


def test_a_fitted_number_is_held_to_the_short_one_beside_it():
    """A fit that rounding disturbs lies beside the number that a person wrote; 1 and a little is no 1."""
    assert next(short_numbers(0.00300002)) == 0.003
    assert next(short_numbers(1 / 3 + 1e-9)) == 1 / 3
    assert list(short_numbers(0.0030171)) == []
    assert simple(1 + 1e-8) == 1 + 1e-8


def test_a_factor_without_a_rule_has_no_name():
    """A factor that no rule gives is several mistakes."""
    chance = under(lambda question: 1 + np.sin(question.works[0].theta[0] * 99), right)
    found = judged(chance, problems=("bilinear", "one-task"))
    assert [one.name for one in found] == ["several"]


# Products


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("answer", "step", "ids"),
    [
        (under(lambda _: 0.04, scales.with_scaled_loss(0.04)), 1, {"D11", "G10"}),
        (under(lambda question: question.problem.query_examples, fault("C05")), 1, {"D11", "C05"}),
        (under(lambda question: -question.tasks, fault("B06")), 2, {"D01", "D11", "B06"}),
        (under(lambda _: -1, fault("G03", "not divided")), "reptile", {"G03", "D11"}),
        (scales.displaced(fault("B03")), "reptile", {"G03", "B03"}),
        (scales.displaced(place.with_steps(lambda _: 4)), "reptile", {"G03", "B12"}),
        (after(scales.with_scaled_loss(0.02), fault("C04")), 1, {"C04", "G10"}),
        (after(tasks.weighted(lambda count: [0.5, 0.3, 0.2][:count]), fault("C01")), 1, {"C01", "D12"}),
        (after(fault("D12", "last micro-batch of 2 left out"), scales.with_scaled_loss(0.02)), 1, {"D12", "G10"}),
        (after(scales.with_rate(0.001), fault("B02")), 1, {"B02", "G01"}),
        (after(fault("D06"), place.with_steps(lambda steps: max(steps, 2))), 1, {"D06", "B12"}),
        (under(lambda _: 0.01, place.with_steps(lambda steps: steps // 2)), "reptile", {"D11", "B12"}),
        (under(lambda _: 0.01, fault("B02")), "reptile", {"D11", "B02"}),
        (under(lambda question: question.tasks, after(fault("C01"), fault("B02"))), 1, {"D01", "C01", "B02"}),
    ],
)
def test_a_product_is_named_by_its_parts(answer, step, ids):
    """Two or three choices at once are named, each of them, and nothing beside."""
    problems = (*PROBLEMS, "leaf-rates" if step == "reptile" else "logistic-regression")
    assert [set(one.faults) for one in judged(answer, step, problems)] == [ids]


# Numbers that people write


@pytest.mark.parametrize(("factor", "step"), [(65536.0, 1), (65536.0, "reptile"), (128.0, 1), (16.0, 1), (0.001, 1)])
def test_a_loss_scale_of_any_size_is_found(factor, step):
    """An inner loss times what a gradient scaler or a batch size makes of it is G10 with that number."""
    (only,) = judged(scales.with_scaled_loss(factor), step, ("logistic-regression", "mlp-tanh-mse", "one-step"))
    assert only.name == "G10"
    assert f"α times {factor:g}" in only.evidence


@pytest.mark.parametrize("rate", [1e-4, 2.0])
def test_a_rate_of_any_size_is_found(rate):
    """An inner learning rate that is the same on every problem is G01 with that number."""
    (only,) = judged(scales.with_rate(rate), problems=("logistic-regression", "mlp-tanh-mse", "one-step"))
    assert (only.name, f"rate of {rate:g}" in only.evidence) == ("G01", True)


# Weights


def test_weights_over_tasks_are_told():
    """The weights of a sum over tasks are solved for, and told for each number of tasks."""
    (only,) = judged(tasks.weighted(lambda count: [0.5, 0.3, 0.2][:count]))
    assert only.name == "D12"
    assert "weights 0.5, 0.3, 0.2 of 3 tasks" in only.evidence


def test_weights_over_steps_are_told():
    """The weights of a sum over the inner steps are solved for, and told for each number of steps."""

    def annealed(question):
        count = question.problem.inner_grad_steps
        shares = [0.0, *[0.25] * (count - 1), 1.5][: count + 1] if count else [1.0]
        parts = [place.at_step(k)(question) for k in range(count + 1)]
        return replace(right(question), gradients=tasks.combination(parts, shares))

    (only,) = judged(annealed, 2, ("bilinear", "five-steps", "one-step"))
    assert only.name == "M07"
    assert "0, 0.25, 0.25, 1.5 at φ_0, …, φ_3; 0, 1.5 at φ_0, …, φ_1)" in only.evidence


@pytest.mark.parametrize(
    ("variant", "weight", "words"),
    [
        ("", lambda _: -0.5, "times -0.5"),
        ("of θ − φ_K", lambda _: 50.0, "times 50 α"),
        ("", lambda q: 2 * q.tasks, "times 2 T"),
    ],
)
def test_what_is_left_in_the_accumulator_has_its_number(variant, weight, words):
    """Inner gradients left in with another weight, as where weights are not restored, are D06 with the weight."""
    (only,) = judged(tasks.left_in(variant, weight))
    assert (only.name, words in only.evidence) == ("D06", True)


@pytest.mark.parametrize("step", [1, 2])
def test_support_data_beside_the_query_data_is_told(step):
    """Support and query data in the outer loss, each with half a weight, are C07; with others, C01 and a factor."""
    names = ("logistic-regression", "one-step", "one-task")
    support = fault("C01", "with the inner cost")
    (only,) = judged(under(lambda _: 0.5, tasks.added(support, lambda _: 1.0)), step, names)
    assert only.name == "C07"
    (only,) = judged(under(lambda _: 0.5, tasks.added(support, lambda _: 0.3)), step, names)
    assert set(only.faults) == {"D11", "C01"}
    assert "c = 0.5, times 0.3, the support data with the inner cost beside the query data" in only.evidence


def test_an_undeclared_update_under_a_sum_is_told():
    """Momentum that nobody declared, in a step that sums over tasks, is both, and the declaration is shown."""
    (only,) = judged(under(lambda question: question.tasks, with_update(Momentum(mu=0.9))))
    assert set(only.faults) == {"D01", "O01"}
    assert '--algorithm "momentum(0.9)"' in only.evidence


# Differentiation


def test_a_window_is_told():
    """Where the last three of five steps are differentiated the window is told, and where it does not show."""
    (only,) = judged(order.last_steps_only(3), 2, ("bilinear", "five-steps"))
    assert (only.name, "(the last 3)" in only.evidence) == ("A08", True)


@pytest.mark.parametrize(
    ("step", "relative", "one_sided", "words"),
    [
        (0.02, False, False, "(ε = 0.02)"),
        (0.003, True, False, "(ε ‖u‖ = 0.003)"),
        (1e-4, False, True, "(one-sided, ε = 0.0001)"),
    ],
)
def test_differences_are_no_lower_precision(step, relative, one_sided, words):
    """Products by differences are right to some digits, and named with their step, however it is taken."""
    answer = order.by_differences(step, relative=relative, one_sided=one_sided)
    (only,) = judged(answer, 2, ("logistic-regression", "one-step"))
    assert only.name == "A10"
    assert words in only.evidence


# Where it is right


def test_where_answers_are_right_is_told():
    """A mistake that shows where K = 0 alone, or with three tasks alone, is told with what is right."""
    (only,) = judged(place.with_steps(lambda steps: max(steps, 1)), 1, (*PROBLEMS, "no-steps"))
    assert (only.name, "right wherever K ≥ 1" in only.evidence) == ("B12", True)
    (only,) = judged(fault("D12", "mean of the means over two workers"), 1, (*PROBLEMS, "two-of-three-tasks"))
    assert "right wherever T ≤ 2" in only.evidence
