"""The name of a mistake: every fault of the catalogue, fitted numbers, pairs, conventions, and what has no name."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject, right_step
from shared import STANDARDS, verify

from verification.faults import CATALOGUE, parameters, scales, state, tasks
from verification.faults.order import right
from verification.faults.question import after
from verification.faults.subject import FaultySubject
from verification.judge import run_of
from verification.judging.conventions import NAMES as CONVENTION_NAMES
from verification.judging.conventions import OWN_COST
from verification.naming.growth import _growth, family
from verification.naming.rules import decimal
from verification.naming.scaling import under
from verification.orders import DTYPES
from verification.subjects import Subject

pytestmark = pytest.mark.once  # arithmetic

#: Different costs, learning rates and numbers of steps: two with three steps, and one with one.
BASE = ("logistic-regression", "mlp-tanh-mse", "one-step")
#: Six and eight numbers: the search for pairs, which goes through all of them where none fits, is quick.
SMALL = ("bilinear", "one-task")
#: The problem beyond these that a fault needs to show, or to be told from the others.
NEEDS = {
    "A03": ("no-steps",),
    "A05": ("no-steps",),
    "A06": ("no-steps",),
    "B11": ("average",),
    "C02": ("same-cost-average",),
    "D08": ("batched",),
    "D09": ("three-parameters",),
    "F04": ("inner-chain",),
    "F06": ("inner-chain",),
}
#: Faults that answer every problem alike, by the variant too where it matters, and the order.
EQUAL = {
    ("A03", "", 1): {"A06"},
    ("A03", "", 2): {"A06"},
    ("A06", "", 1): {"A03"},
    ("A06", "", 2): {"A03"},
    # A05 is first order's alone.
    ("A03", "at each inner step", 1): {"A05"},
    ("A03", "where K ≥ 1", 1): {"A05"},
    ("A05", "", 1): {"A03"},
}


def judged(answer, order=1, problems=BASE, **options):
    """Return the report on a fault's answers in float64."""
    options = {"dtypes": ("float64",), **options}
    return verify(FaultySubject(answer), framework="numpy", order=order, problems=problems, **options)


def variants(order, only=None):
    return [
        pytest.param(id_, variant, id=f"{id_} {variant}".strip())
        for id_, fault in CATALOGUE.items()
        for variant in fault.variants
        if order in fault.orders and (only is None or id_ in only)
    ]


def assert_named(fault, variant, order, problems=BASE, dtype="float64"):
    answer = CATALOGUE[fault].variants[variant]
    report = judged(answer, order, (*problems, *NEEDS.get(fault, ())), dtypes=(dtype,))
    assert report.verdict == "fail"
    first = report.diagnosis[0]
    names = {first.name, *first.cannot_tell_from}
    assert names == {fault, *EQUAL.get((fault, variant, order), ())}
    assert {diagnosis.name for diagnosis in report.diagnosis} == names
    assert CATALOGUE[first.name].advice == first.advice
    return first


@pytest.mark.sampled(26)
@pytest.mark.parametrize(("fault", "variant"), variants(1))
def test_every_fault_of_first_order_is_named(fault, variant):
    """Each fault is named by its answers to four small problems, alone or with its equal."""
    assert_named(fault, variant, 1)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("fault", "variant"), variants(2, {"A01", "A02", "A08", "B05", "B06", "G06", "G09"}))
def test_faults_of_second_order_are_named(fault, variant):
    """The faults that only second order has, and those whose Jacobians are their own, are named."""
    assert_named(fault, variant, 2)


@pytest.mark.parametrize(("fault", "variant"), variants("reptile", {"B02", "D05", "G03", "G04"}))
def test_faults_of_reptile_are_named(fault, variant):
    """Reptile's scales and its likeness to FOMAML are named."""
    first = assert_named(fault, variant, "reptile")
    assert first.convention == ("reptile-displacement or reptile-per-step" if fault == "G03" else None)


@pytest.mark.parametrize("fault", ["B01", "C01", "D03", "E01", "G02", "G10"])
def test_faults_are_named_in_single_precision(fault):
    """Float32 answers are named as well as float64 ones."""
    assert_named(fault, next(iter(CATALOGUE[fault].variants)), 1, dtype="float32")


# Numbers that are fitted


FITTED = [
    ("G10", scales.with_scaled_loss(0.55), "an effective learning rate of α times 0.55"),
    ("G10", scales.with_scaled_loss(-2.0), "an effective learning rate of α times -2"),
    ("G01", scales.with_rate(0.05), "an inner learning rate of 0.05"),
    ("G06", scales.with_decay(0.97), "γ = 0.97"),
    ("G06", scales.with_weight_decay(0.03), "a weight decay of 0.03"),
    ("G06", scales.with_weight_decay_of_used(0.03), "of the variables used, a weight decay of 0.03"),
    ("E04", state.with_momentum(0.6), "a momentum of 0.6"),
    ("E04", state.with_momentum(0.6, across_calls=False), "within a call, a momentum of 0.6"),
    ("D11", tasks.multiplied(-0.625), "c = -0.625"),
    ("D11", tasks.multiplied(1.0001), "c = 1.0001"),
    ("G07", scales.clip_by_value(0.05), "by value, at 0.05"),
    ("G07", scales.clip_by_norm(0.3), "by norm, at 0.3"),
    ("G07", scales.clip_by_largest(0.2), "by the largest entry, at 0.2"),
    ("G07", scales.clip_leaves_by_norm(0.2), "of each leaf, by norm, at 0.2"),
    ("G07", scales.clip_each_by_value(0.05), "of each task, by value, at 0.05"),
    ("G07", scales.clip_each_by_norm(0.3), "of each task, by norm, at 0.3"),
    ("G07", scales.clip_each_by_norm(0.3, scales.PYTORCH_CLIP), "of each task, by norm as in PyTorch, at 0.3"),
]


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("fault", "answer", "words"), FITTED)
def test_a_number_that_nobody_knows_is_fitted(fault, answer, words):
    """A fault with another number than the catalogue's is named with the number that it has."""
    first, *others = judged(answer).diagnosis
    assert (first.name, others) == (fault, [])
    assert f"({words})" in first.evidence


def test_the_catalogues_own_numbers_are_told_without_a_fit():
    """G10 with 0.4, G06 with 0.98 and D11 with 0.375 are rows of the catalogue, and come before any fit."""
    for fault, value in (("G10", scales.with_scaled_loss(0.4)), ("D11", tasks.multiplied(0.375))):
        assert [diagnosis.name for diagnosis in judged(value).diagnosis] == [fault]


def test_the_variables_that_stayed_are_told():
    """A variable left out of the inner loop is found for each family of problems, and named."""
    chains = {"logistic-regression": "bias", "mlp-tanh-mse": "b1", "one-step": "b1"}
    first, *_ = judged(lambda question: parameters.never_adapted(chains[question.problem.name])(question)).diagnosis
    assert first.name == "F03"
    assert "never adapted: bias, b1" in first.evidence or "never adapted: b1, bias" in first.evidence


def test_several_variables_that_stayed_are_told():
    """A layer that is left out, weights and biases, is told whole; where one of them alone adapts, by its part."""
    layer = {"logistic-regression": ("weight",), "mlp-tanh-mse": ("w1", "b1"), "inner-chain": ("w1",)}
    report = judged(
        lambda question: parameters.never_adapted(*layer[question.problem.name])(question),
        problems=("logistic-regression", "mlp-tanh-mse", "inner-chain"),
    )
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["F03"]
    assert (
        "(never adapted: weight, w1, b1)" in report.diagnosis[0].evidence
        or "(never adapted: w1, b1, weight)" in report.diagnosis[0].evidence
    )


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.nightly), "reptile"])
def test_a_clip_at_ten_shows_on_large_gradients(order):
    """The clip that was copied most often is beyond most problems, and found where gradients are large."""
    report = judged(scales.clip_by_value(10.0), order, ("one-task", "large-gradients"))
    assert [case.verdict for case in report.cases] == ["pass", "fail"]
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["G07"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("fault", "mode", "words"),
    [
        ("D01", lambda options: options.batched, "in batched mode alone"),
        ("D07", lambda options: not options.batched, "in loop mode alone"),
        ("B07", lambda options: options.average_across_steps, "with averaging alone"),
        ("B01", lambda options: not options.average_across_steps, "without averaging alone"),
    ],
)
def test_a_mistake_in_one_mode_is_named_with_it(fault, mode, words):
    """An implementation with two loops may have a mistake in one of them; the other one is right."""
    wrong = CATALOGUE[fault].variants[""]
    report = judged(
        lambda question: wrong(question) if mode(question.problem.options) else right(question),
        problems=("logistic-regression", "mlp-tanh-mse", "batched", "average"),
    )
    assert [diagnosis.name for diagnosis in report.diagnosis] == [fault]
    assert f"({words})" in report.diagnosis[0].evidence


def in_bfloat16(question):
    """Cut the right answer down to the numbers of bfloat16."""
    found = right(question)
    cut = {
        chain: (leaf.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
        for chain, leaf in found.gradients.items()
    }
    return replace(found, gradients=cut)


def test_short_precisions_are_told_by_their_numbers():
    """Half precision and bfloat16 are G11 where every number is one of theirs; the same errors elsewhere are not."""
    report = judged(in_bfloat16)
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["G11"]
    assert "right to bfloat16, but not further" in report.diagnosis[0].evidence
    rng = np.random.default_rng(5)

    def nearly(question):
        found = in_bfloat16(question)
        off = {chain: leaf * (1 + 1e-6 * rng.normal(size=leaf.shape)) for chain, leaf in found.gradients.items()}
        return replace(found, gradients=off)

    assert [diagnosis.name for diagnosis in judged(nearly).diagnosis] == ["several"]


# Pairs

PAIRS = [
    ({"D01", "B02"}, under(lambda question: question.tasks, CATALOGUE["B02"].variants[""])),
    ({"D11", "B06"}, under(lambda _: 0.625, CATALOGUE["B06"].variants[""])),
    ({"C01", "B02"}, after(CATALOGUE["C01"].variants[""], CATALOGUE["B02"].variants[""])),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("faults", "answer"), PAIRS)
def test_a_pair_is_named_as_a_pair(faults, answer):
    """Two faults at once, a scale on a fault or a misread question under one, are both named."""
    first = judged(answer, problems=("bilinear", "logistic-regression", "one-task")).diagnosis[0]
    assert set(first.faults) == faults
    rows = [CATALOGUE[id_] for id_ in first.faults]
    assert first.title == " and ".join(row.title for row in rows)
    assert first.convention is None


# No name


def random_gradients(problem):
    """The right cost with gradients of chance."""
    cost, gradients = numpy_subject(problem)
    rng = np.random.default_rng(7)
    return cost, map_leaves(lambda leaf: rng.normal(size=leaf.shape), gradients)


def test_what_fits_nothing_has_no_name():
    """Gradients of chance are several mistakes, or none that is known: no id of the catalogue is told."""
    report = verify(random_gradients, framework="numpy", dtypes=("float64",), problems=SMALL)
    assert report.verdict == "fail"
    assert [diagnosis.faults for diagnosis in report.diagnosis] == [("several",)]


def _spoiled(power):
    """Return a subject whose gradients are off by α to a power, in a direction that no fault has."""

    def subject(problem):
        cost, gradients = numpy_subject(problem)

        def moved(leaf):
            return leaf + problem.inner_learning_rate**power * np.sin(1 + np.arange(leaf.size).reshape(leaf.shape))

        return cost, map_leaves(moved, gradients)

    return subject


def told_of_the_family(subject, kind, framework, name):
    """Return what is said of a subject's wrong answer to a problem, where no fault of the catalogue gives it."""
    run = run_of(("float64",), (), "quick", 0, (name,), STANDARDS)
    judged_one = Subject(subject, kind, framework, "nameless")
    case, observations = run.case(judged_one, STANDARDS.of(name, 1), "float64")
    assert case.verdict == "fail"
    (only,) = family(judged_one, 1, observations, run.declared)
    assert only.faults == ("several",)
    return only


@pytest.mark.parametrize(("power", "where"), [(0, "the outer loop"), (1, "the inner loop"), (2, "the inner recursion")])
@pytest.mark.parametrize("problem", ["mlp-tanh-mse", "quadratic"])
def test_the_family_of_what_has_no_name(power, where, problem):
    """An error that grows like α^p, of no fault of the catalogue, is told to be in the loop that p points to."""
    only = told_of_the_family(_spoiled(power), "problem", "numpy", problem)
    assert f"grows like α^{power:.2f}, which points to {where}" in only.evidence
    assert only.advice.endswith("name a remaining mistake of the catalogue.")


def _begun_elsewhere(batch, inner, outer, variables, steps, rate, /, **options):
    """First-order MAML from variables that are off by as much as is told nowhere."""
    begun = map_leaves(lambda leaf: leaf + np.sin(1 + np.arange(leaf.size).reshape(leaf.shape)), variables)
    return right_step(batch, inner, outer, begun, steps, rate, **options)


@pytest.mark.parametrize("tells", [True, False])
def test_wrong_adapted_variables_point_to_the_inner_loop(tells):
    """Where the inner loop begins elsewhere the error does not shrink with α, and yet the outer loop is right."""

    def step(*arguments, **options):
        result = _begun_elsewhere(*arguments, **options)
        return result if tells else result[:2]

    only = told_of_the_family(step, "step", "autograd", "quadratic")
    where = "and the adapted variables are wrong, too, which points to the inner loop, wrong from its first step on"
    assert (where in only.evidence) == tells
    assert ("which points to the outer loop" in only.evidence) != tells


def test_no_order_is_minus_zero():
    """A measured order of −0.001 is told as 0.00."""
    assert "α^0.00," in _growth(-0.001, 1, False)


def test_one_right_answer_is_enough_to_refuse_a_name():
    """B01 on one problem and a right answer on the other, where B01 would show, is no fault of the catalogue."""
    right = numpy_subject

    def sometimes(problem):
        return FaultySubject(CATALOGUE["B01"].variants[""])(problem) if problem.name == SMALL[0] else right(problem)

    report = verify(sometimes, framework="numpy", dtypes=("float64",), problems=SMALL)
    assert [diagnosis.faults for diagnosis in report.diagnosis] == [("several",)]


def test_a_subject_that_only_raises_has_no_diagnosis():
    """Where no gradient came back there is nothing to name."""

    def raising(problem):
        raise ValueError("no")

    report = verify(raising, framework="numpy", dtypes=("float64",), problems=BASE)
    assert (report.verdict, report.diagnosis) == ("fail", [])


def test_a_right_subject_has_no_diagnosis():
    """What passes is not named."""
    report = verify(numpy_subject, framework="numpy", dtypes=("float64",), problems=BASE)
    assert (report.verdict, report.diagnosis) == ("pass", [])


def test_faults_that_one_problem_cannot_tell_apart_are_listed():
    """With one step B01 and B02 are one: both are told, each with the other, and nothing is singled out."""
    report = judged(CATALOGUE["B02"].variants[""], problems=("one-step",))
    found = {diagnosis.name: set(diagnosis.cannot_tell_from) for diagnosis in report.diagnosis}
    assert {"B01", "B02"} <= set(found)
    assert all(others == set(found) - {name} for name, others in found.items())


@pytest.mark.parametrize("fault", ["A01", "A02"])
def test_a_side_effect_decides_between_equal_gradients(fault):
    """A01 and A02 give the same gradients; whether the caller's variables were changed tells one from the other."""
    (only,) = judged(CATALOGUE[fault].variants[""], order=2).diagnosis
    assert (only.name, only.cannot_tell_from) == (fault, ())


@pytest.mark.parametrize(
    ("fault", "order", "problem"),
    [("A08", 2, "bilinear"), ("B02", 2, "bilinear"), ("B03", "reptile", "no-steps"), ("G04", "reptile", "no-steps")],
)
def test_the_cost_decides_between_equal_gradients(fault, order, problem):
    """A08 and B02, and B03 and G04, give the same gradients there: where adapted variables are not told, costs are.

    Where all Hessians are one, A08 is also a form of G09, which has the same cost.
    """
    faulty = FaultySubject(CATALOGUE[fault].variants[""])
    options = {"framework": "numpy", "dtypes": ("float64",), "order": order, "problems": (problem,)}
    first = verify(lambda problem: faulty(problem)[:2], **options).diagnosis[0]
    assert (first.name, first.cannot_tell_from) == (fault, ("G09",) if fault == "A08" else ())


def test_nothing_on_one_problem_alone_is_no_pair():
    """Zeros on the one problem without inner steps, and right answers elsewhere, fit nothing, and break nothing."""

    def zero_without_steps(problem):
        cost, gradients = numpy_subject(problem)
        return cost, gradients if problem.inner_grad_steps else map_leaves(np.zeros_like, gradients)

    problems = ("bilinear", "no-steps")
    report = verify(zero_without_steps, framework="numpy", dtypes=("float64",), problems=problems)
    assert [diagnosis.faults for diagnosis in report.diagnosis] == [("several",)]


def _spoil(cost=None, gradients=None, inputs=False, single=False):
    """Return a right subject with one part changed."""

    def subject(problem):
        if single and str(problem.dtype) == "float32":
            raise RuntimeError("expected Double")
        right_cost, right_gradients = numpy_subject(problem)
        if inputs:
            next(iter(problem.variables.values()))[...] += 1
        changed = right_gradients if gradients is None else gradients(right_cost, right_gradients)
        return right_cost if cost is None else cost * right_cost, changed

    return subject


def _none_for_zero(_, gradients):
    return {chain: leaf if np.any(leaf) else None for chain, leaf in gradients.items()}


def _named(subject, dtypes=("float64",), problems=("bilinear", "mlp-tanh-mse"), order=1):
    report = verify(subject, framework="numpy", dtypes=dtypes, problems=problems, order=order)
    assert report.verdict == "fail"
    return report.diagnosis


@pytest.mark.parametrize(
    ("subject", "dtypes", "says"),
    [
        (_spoil(cost=2), ("float64",), "right on every answer that decides; the cost is 2 times the right one"),
        (_spoil(single=True), DTYPES, "right on every answer that decides; the subject raised an exception"),
        (_spoil(cost=2, gradients=_none_for_zero), ("float64",), "the cost is wrong, and a gradient of 0 is None"),
        (_spoil(cost=2, inputs=True), ("float64",), "the cost is wrong, and the call changed the caller's arrays"),
    ],
)
def test_right_gradients_get_no_name_of_what_leaves_them_right(subject, dtypes, says):
    """Where the gradients are right and another part is wrong, no fault is named that was not seen; the part is."""
    (only,) = _named(subject, dtypes)
    assert only.faults == ("several",)
    assert says in only.evidence


@pytest.mark.parametrize(("order", "fault"), [(2, "E02"), ("reptile", "E02")])
def test_a_wrong_cost_of_the_other_orders_is_no_change_of_the_inputs(order, fault):
    """E02 gives right gradients: it is named where the caller's arrays changed, and nowhere else."""

    def wrong(question):
        found = right(question)
        return replace(found, cost=2 * found.cost)

    assert judged(wrong, order, SMALL).diagnosis[0].faults == ("several",)
    assert judged(CATALOGUE[fault].variants[""], order, SMALL).diagnosis[0].faults == (fault,)


def test_what_is_seen_beside_a_fault_is_named_beside_it():
    """None for zeros, and a change of the caller's arrays, are mistakes of their own beside a sum over tasks."""

    def times(gradients, factor):
        return {chain: None if leaf is None else leaf * factor for chain, leaf in gradients.items()}

    def summed(problem):
        cost, gradients = _spoil(gradients=_none_for_zero)(problem)
        return cost, times(gradients, problem.num_tasks)

    def in_place(problem):
        cost, gradients = _spoil(inputs=True)(problem)
        return cost, times(gradients, problem.num_tasks)

    assert [one.faults for one in _named(summed)] == [("D01", "F02")]
    assert [one.faults for one in _named(in_place)] == [("D01", "E02")]
    assert [one.faults for one in _named(_spoil(gradients=_none_for_zero, inputs=True))] in (
        [("E02", "F02")],
        [("F02", "E02")],
    )


@pytest.mark.parametrize(
    "changed",
    [
        lambda cost, _: cost,
        lambda _, gradients: {chain: leaf + 0j for chain, leaf in gradients.items()},
    ],
)
def test_gradients_of_another_form_are_told_as_such(changed):
    """A number and complex numbers are no lost gradients: the form is wrong, and that is said."""
    (only,) = _named(_spoil(gradients=changed))
    assert only.faults == ("several",)
    assert only.evidence.endswith("the gradients do not have the form that is expected")


def test_a_vanishing_scale_is_no_lost_gradient():
    """Gradients times 1e-300 are small, and not lost: the factor is told."""
    found = _named(_spoil(gradients=lambda _, g: {chain: leaf * 1e-300 for chain, leaf in g.items()}))
    assert not {"A03", "A06"} & {one.name for one in found}
    assert "c = 1e-300" in found[0].evidence


def test_a_constant_factor_near_one_is_no_lower_precision():
    """Rounding errors differ from entry to entry: an error of 1e-8 of every entry is a factor, and not G11."""
    subject = _spoil(gradients=lambda _, g: {chain: leaf * (1 - 1e-8) for chain, leaf in g.items()})
    (only,) = _named(subject, problems=("bilinear", "mlp-tanh-mse", "one-step"))
    assert only.name == "D11"
    assert "c = 0.99999999)" in only.evidence


@pytest.mark.parametrize("problems", [("no-steps", "bilinear", "one-step"), ("bilinear", "one-step")])
def test_a_small_weight_decay_is_no_lower_precision(problems):
    """What is right to single precision and has a formula has its name; at one rate γ = 1 − αλ would do as well."""
    (only,) = judged(scales.with_weight_decay(1e-8), problems=problems).diagnosis
    assert only.name == "G06"
    assert "(a weight decay of 1e-08)" in only.evidence


@pytest.mark.parametrize(("order", "says"), [(1, "(c = -1)"), ("reptile", "(not divided, c = -1)")])
def test_a_factor_below_zero_is_a_turned_sign(order, says):
    """Nobody who returns φ_K − θ finds it by looking for a loss scale."""

    def turned(question):
        found = CATALOGUE["G03"].variants["not divided"](question) if order == "reptile" else right(question)
        return replace(found, gradients={chain: -leaf for chain, leaf in found.gradients.items()})

    (only,) = judged(turned, order, (*BASE, "five-steps")).diagnosis
    assert says in only.evidence
    assert "Turn the sign: " in only.advice
    assert "loss scale" not in only.advice


def test_no_problem_is_right_where_a_leaf_is_left_out():
    """A zero that is not returned is wrong, and is not said to be right on most problems."""

    def first_left_out(_, gradients):
        return dict(list(gradients.items())[1:])

    (only,) = _named(_spoil(gradients=first_left_out), problems=("bilinear", "one-task", "quadratic"))
    assert only.name == "several"
    assert "right on one-task" not in only.evidence
    assert "right wherever" not in only.evidence


def test_a_number_near_one_has_the_digits_that_tell_it_from_one():
    """Six digits are enough of others."""
    assert [decimal(value) for value in (1 + 1e-8, 1 - 1e-8, 0.1234567, 1.0)] == [
        "1.00000001", "0.99999999", "0.123457", "1",
    ]  # fmt: skip


def test_rounding_leaves_no_answer_right():
    """Errors of 1e-8 that no fault gives are G11 where all answers have them, and not where K = 0 is right."""

    def off(where):
        rng = np.random.default_rng(11)

        def answer(question):
            found = right(question)
            if not where(question.problem.inner_grad_steps):
                return found
            moved = {chain: leaf * (1 + 1e-8 * rng.normal(size=leaf.shape)) for chain, leaf in found.gradients.items()}
            return replace(found, gradients=moved)

        return answer

    problems = ("no-steps", "bilinear", "mlp-tanh-mse", "logistic-regression")
    assert [diagnosis.name for diagnosis in judged(off(lambda _: True), problems=problems).diagnosis] == ["G11"]
    assert [diagnosis.name for diagnosis in judged(off(bool), problems=problems).diagnosis] == ["several"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("E02", "gives the right gradients and changes the caller's arrays on "),
        ("D05", "gives in the n-th call the sum of n answers on "),
        ("F02", "gives the right gradients with None for zeros on "),
    ],
)
def test_what_is_no_formula_has_a_sentence_of_its_own(fault, says):
    """A fault that is no formula is told in words of its own."""
    (only,) = judged(CATALOGUE[fault].variants[""], problems=("quadratic", "mlp-tanh-mse")).diagnosis
    assert (only.name, only.evidence.startswith(says)) == (fault, True)


def test_answers_of_chance_are_said_to_change():
    """Where a second identical call has another answer that is said, though the first is wrong already."""
    rng = np.random.default_rng(3)

    def noisy(problem):
        cost, gradients = numpy_subject(problem)
        return cost, map_leaves(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape), gradients)

    report = verify(noisy, framework="numpy", dtypes=("float64",), problems=("quadratic",))
    found = {finding.what: finding.message for case in report.cases for finding in case.findings}
    assert found["second call"].startswith("the same call gives another answer the second time: it differs from the")
    assert "the same call gives another answer the second time" in report.diagnosis[0].evidence


def test_the_same_wrong_answer_twice_is_no_second_call():
    """A wrong answer that is repeated is told once."""
    subject = _spoil(gradients=lambda _, g: {chain: 2 * leaf for chain, leaf in g.items()})
    report = verify(subject, framework="numpy", dtypes=("float64",), problems=("quadratic",))
    assert {finding.what for case in report.cases for finding in case.findings} == {"gradients"}


@pytest.mark.parametrize(
    ("order", "power", "where"),
    [
        (2, 1, "the Jacobians of its steps"),
        (2, 2, "the Hessians are taken"),
        ("reptile", 0, "the number of inner steps"),
        ("reptile", 1, "the inner recursion"),
    ],
)
def test_each_order_has_pointers_of_its_own(order, power, where):
    """What a power of α points to depends on what the step computes."""
    assert where in _growth(float(power), order, False)


# Conventions

CONVENTIONS = [
    ("D01", "", 1, "sum-over-tasks", BASE),
    ("B11", "θ left out", 1, "average-adapted-points", ("average", "one-step")),
    ("B11", "sum over the points", 1, "sum-over-points", ("average", "one-step")),
    ("G03", "not divided", "reptile", "reptile-displacement", BASE),
    ("G03", "divided by Kα", "reptile", "reptile-per-step", BASE),
    ("G07", "by value", 1, "clip-value=0.1", BASE),
    ("G07", "by norm", 1, "clip-norm=0.25", BASE),
]


def test_every_convention_is_tried():
    """The list above has every convention that can be declared."""
    assert {OWN_COST, *(name.partition("=")[0] for _, _, _, name, _ in CONVENTIONS)} == {
        name.partition("=")[0] for name in CONVENTION_NAMES
    }


@pytest.mark.parametrize(("fault", "variant", "order", "name", "problems"), CONVENTIONS)
def test_a_declared_convention_passes_and_an_undeclared_one_is_named(fault, variant, order, name, problems):
    """What an author may mean fails with its name where it is not declared, and passes where it is."""
    answer = CATALOGUE[fault].variants[variant]
    assert judged(answer, order, problems, conventions=(name,)).verdict == "pass"
    report = judged(answer, order, problems)
    assert (report.verdict, report.diagnosis[0].name) == ("fail", fault)
    if fault != "G07":
        assert name in report.diagnosis[0].convention


def test_a_fault_under_a_declared_convention_is_named():
    """Where a sum over tasks is declared, the fault that remains is named by itself."""
    summed = under(lambda question: question.tasks, CATALOGUE["B02"].variants[""])
    assert [diagnosis.name for diagnosis in judged(summed, conventions=("sum-over-tasks",)).diagnosis] == ["B02"]


@pytest.mark.parametrize("name", ["clip-value=0.1", "clip-norm=0.25"])
def test_a_wrong_cost_under_a_convention_about_gradients(name):
    """A clip of the gradients says nothing of the cost: one that is wrong fails all the same."""
    clip = CATALOGUE["G07"].variants["by value" if "value" in name else "by norm"]

    def wrong(question):
        found = clip(question)
        return replace(found, cost=2 * found.cost)

    report = judged(wrong, problems=("bilinear",), conventions=(name,))
    assert [finding.what for case in report.cases for finding in case.findings] == ["cost"]


def test_a_mean_where_a_sum_is_declared():
    """Who declares a sum over tasks and returns the mean divided once too often, which is D02."""
    declared = {"conventions": ("sum-over-tasks",), "dtypes": ("float64",)}
    report = verify(right_step, kind="step", problems=BASE, **declared)
    assert report.verdict == "fail"
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["D02"]


def _clipped_as_pytorch_does(problem, limit=0.25):
    """Clip by the norm as torch.nn.utils.clip_grad_norm_ does, which divides by the norm and 1e-6."""
    cost, gradients = numpy_subject(problem)
    size = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in gradients.values()))
    factor = min(1.0, limit / (size + 1e-6))
    return cost, map_leaves(lambda leaf: leaf * leaf.dtype.type(factor), gradients)


def test_a_clip_of_the_norm_may_add_a_hair_to_it():
    """clip_grad_norm_ of PyTorch divides by ‖g‖ + 1e-6: declared it passes, and undeclared it is G07."""
    options = {"framework": "numpy", "problems": BASE}
    declared = verify(_clipped_as_pytorch_does, conventions=("clip-norm=0.25",), **options)
    assert declared.verdict == "pass"
    first, *others = verify(_clipped_as_pytorch_does, **options).diagnosis
    assert (first.name, others) == ("G07", [])
    assert "by norm as in PyTorch, at 0.25" in first.evidence


@pytest.mark.nightly
def test_a_fault_under_a_clip_as_pytorch_does_is_named():
    """What is wrong beside a declared clip is named under either form of it."""

    def clipped(question):
        found = CATALOGUE["B03"].variants[""](question)
        return replace(found, gradients=scales.norm_clipped(found.gradients, 0.25, scales.PYTORCH_CLIP))

    assert [diagnosis.name for diagnosis in judged(clipped, conventions=("clip-norm=0.25",)).diagnosis] == ["B03"]


# What counts as evidence


def test_a_missing_gradient_does_not_hide_a_fault():
    """None for a variable that the outer cost ignores is read as zero: B01 is named all the same."""
    faulty = FaultySubject(CATALOGUE["B01"].variants[""])

    def subject(problem):
        cost, gradients, adapted = faulty(problem)
        return cost, {chain: leaf if np.any(leaf) else None for chain, leaf in gradients.items()}, adapted

    report = verify(subject, framework="numpy", dtypes=("float64",), problems=BASE)
    assert any("None" in finding.message for case in report.cases for finding in case.findings)
    assert report.diagnosis[0].name == "B01 + F02"


def test_the_evidence_is_told():
    """A diagnosis says on how many answers it holds, how closely, and how many of them tell it from right ones."""
    # The quadratic is asked twice, and without an inner step nothing shows.
    (only,) = judged(CATALOGUE["B02"].variants[""], problems=("quadratic", "no-steps")).diagnosis
    start, error, end = re.split(r"to (\S+);", only.evidence)
    assert (start, end) == ("equals ∇Q(φ_{K−1}) on 3 of 3 answers, ", " 2 of them distinguish it from the right answer")
    assert float(error) < 1e-14  # sums of a dozen terms, in units of 2⁻⁵³
    row = CATALOGUE["B02"]
    assert (only.source, only.title, only.formula) == (row.source, row.title, row.formula)


@pytest.mark.parametrize(
    "name", ["sum", "clip-value", "clip-value=", "clip-norm=-1", "clip-norm=inf", "clip-value=nan"]
)
def test_a_convention_that_there_is_not(name):
    """An unknown convention, or a clip without a positive number, is refused with those that there are."""
    with pytest.raises(ValueError, match=r"expected one of sum-over-tasks, .* clip-norm=C with C a positive number"):
        verify(numpy_subject, framework="numpy", problems=("bilinear",), conventions=(name,))


def test_a_fault_that_overflows_on_some_problem_is_named_by_the_others():
    """Ascent that ends in infinity somewhere is ascent all the same, and the evidence says what was left aside."""

    def ascent_that_overflows_on_one(question):
        found = CATALOGUE["G02"].variants[""](question)
        if question.problem.name != "one-task":
            return found
        return replace(found, gradients={chain: np.inf * np.sign(leaf) for chain, leaf in found.gradients.items()})

    with np.errstate(invalid="ignore"):
        report = judged(ascent_that_overflows_on_one, problems=("bilinear", "one-task"))
    assert report.diagnosis[0].name == "G02"
    assert report.diagnosis[0].evidence.endswith("; 1 more hold NaN or infinity and do not count")
