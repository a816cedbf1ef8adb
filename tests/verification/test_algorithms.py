"""How algorithms are spelled, and that the ways to their truth agree."""

from __future__ import annotations

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest

from verification import problem, verify
from verification.algorithms import INGREDIENTS, algorithm, importance
from verification.faults import pose
from verification.faults.decays import AbsoluteDecay, DecayOfNew, HeldDecay
from verification.faults.order import by_differences, right
from verification.faults.pairing import Exchanged
from verification.faults.parts import (
    DoubledMomentum,
    HalfCorrectedAdam,
    LaggingMomentum,
    LookingAhead,
    NAdam,
    RAdam,
    RMSPropFromFirst,
    RMSPropWithoutRoot,
)
from verification.faults.subject import FaultySubject
from verification.judging.truth import by_unrolling, from_oracles
from verification.oracles import finite_differences, unrolled
from verification.oracles.updates import (
    BEFORE,
    UNDER,
    Adam,
    InnerUpdate,
    Momentum,
    Part,
    Proximal,
    RatesByStep,
    RMSProp,
    WeightDecay,
)
from verification.problems import suite
from verification.subjects.reply import read

pytestmark = pytest.mark.once  # arithmetic

SPELLED = [
    ("adam", "adam"),
    ("momentum", "momentum(0.9)"),
    ("Heavy-Ball(0.5,held)", "momentum(0.5, held)"),
    ("clip_by_norm(1)+adam(eps=1e-7)", "clip-by-norm(1) + adam(eps=1e-07)"),
    ("maml++(5, 10) + adam", "multi-step-loss(5, 10) + adam"),
    ("rates-by-step(1, 0.5)", "rates-by-step(1, 0.5)"),
    ("Meta-SGD (by-leaf)", "meta-sgd(by-leaf)"),
    ("Per-FedAvg", "per-fedavg(0.001)"),
    ("iMAML(2)", "imaml(2)"),
    ("imaml(0.5, cg=5)", "imaml(0.5, 5)"),
    (" ", ""),
]


@pytest.mark.parametrize(("text", "full"), SPELLED)
def test_an_algorithm_is_spelled_in_full(text, full):
    """What is left to a default, or spelled in another way, comes back in one spelling, which reads as the same."""
    assert algorithm(text).spelled == full
    assert algorithm(full).update == algorithm(text).update
    assert algorithm(full).rates == algorithm(text).rates


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adamm", "Did you mean 'adam'"),
        ("momentum(x)", "a number of at least 0"),
        ("clip-by-norm", "no limit"),
        ("momentum(1, 2)", "momentum(mu=0.9"),
        ("rates-by-step", "expected numbers"),
        ("adam(held=1)", "expected adam("),
        ("anil + boil", "at most one"),
        ("mldg(0)", "a beta above 0"),
        ("per-fedavg(0)", "a delta above 0"),
        ("per-fedavg + adam", "per-fedavg alone"),
        ("imaml(0)", "a lambda above 0"),
        ("imaml(2, 1.5)", "a whole number of steps"),
        ("imaml(2) + adam", "imaml alone"),
        ("meta-sgd + adam", "without another inner update"),
        ("((", "NAME"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(text, words):
    """A wrong spelling raises a ValueError that says what there is."""
    with pytest.raises(ValueError, match="algorithm: expected") as error:
        algorithm(text)
    assert words in str(error.value)


def test_every_example_can_be_read():
    """The examples of the list are algorithms."""
    assert all(algorithm(ingredient.example or ingredient.name).spelled for ingredient in INGREDIENTS.values())


def test_the_weights_of_the_points_are_those_of_the_paper():
    """In epoch 0 they are 1/K; they end at 0.03/K for all but the last; and they always sum to 1."""
    assert importance(4, 0, 10) == [0.0, 0.25, 0.25, 0.25, 0.25]
    assert importance(4, 1000, 10) == pytest.approx([0.0, 0.0075, 0.0075, 0.0075, 0.9775])
    assert importance(5, 5, 10) == pytest.approx([0.0, 0.1, 0.1, 0.1, 0.1, 0.6])
    assert importance(0, 5, 10) == [1.0]


SMOOTH = ("momentum(0.9)", "nesterov(0.5)", "weight-decay(0.1) + momentum(0.9)", "clip-by-norm(0.5)",
          "clip-by-value(0.3) + momentum(0.5)", "rates-by-step(1, 0.5)", "maml++(5, 10)", "meta-sgd",
          "meta-sgd(by-leaf) + maml++(5, 10)", "mldg(0.5)")  # fmt: skip


@pytest.mark.parametrize("text", SMOOTH)
@pytest.mark.parametrize("order", [1, 2])
def test_the_unrolled_loop_agrees_with_differences(text, order):
    """The gradient of the unrolled loop is what differences of values alone give, within both error estimates."""
    differences, by_loop = from_oracles(problem("logistic-regression", order=order, algorithm=text))
    for chain, gradient in by_loop.answer.gradients.items():
        apart = np.linalg.norm(gradient - differences.answer.gradients[chain])
        assert apart <= by_loop.errors[chain] + differences.errors[chain] <= 1e-7


@pytest.mark.parametrize("text", ["adam", "rmsprop(0.9)", "adam + weight-decay(0.1)"])
def test_updates_with_jumps_agree_with_differences_where_there_is_none(text):
    """Where no entry of an inner gradient passes 0 nearby, differences give the gradient through Adam too."""
    setting = problem("used:quadratic", order=2, algorithm=text)
    by_loop = [unrolled.solve(view, 2).gradient for view in setting.views(anp)]
    apart = [
        np.linalg.norm(finite_differences.solve(view, 2).gradient - gradient)
        for view, gradient in zip(setting.views(np), by_loop, strict=True)
    ]
    assert min(apart) <= 1e-7 * np.linalg.norm(by_loop)


@pytest.mark.parametrize(
    "text", [*SMOOTH, "per-fedavg", "imaml(4)", "adam", "adam(held)", "momentum(0.9, held)", "clip-by-norm(0.5, held)"]
)
@pytest.mark.parametrize("order", [1, 2, "reptile"])
def test_faults_start_from_the_same_right_answer(text, order):
    """The chain rule step by step, which faults are written in, gives what the unrolled loop gives."""
    setting = problem("used:logistic-regression", order=order, algorithm=text)
    truth, stepwise = by_unrolling(setting).answer, right(pose(setting))
    for chain, gradient in truth.gradients.items():
        assert stepwise.gradients[chain] == pytest.approx(gradient, rel=1e-11, abs=1e-13)
    assert stepwise.cost == pytest.approx(truth.cost, rel=1e-13)


@pytest.mark.parametrize("text", ["", "weight-decay(0.1) + momentum(0.9)", "adam", "clip-by-norm(0.5)"])
def test_products_by_differences_are_those_of_the_declared_step(text):
    """A10 differs from a right step by its differences alone, whatever else the step does with φ."""
    setting = problem("used:logistic-regression", order=2, algorithm=text)
    # A central difference of ε = 1e-5 is off by about ε² and by u/ε, 1e-10 and 1e-11; a step may divide by small roots.
    rough, exact = by_differences(1e-5, relative=False)(pose(setting)), right(pose(setting))
    for chain, gradient in exact.gradients.items():
        assert rough.gradients[chain] == pytest.approx(gradient, rel=1e-8, abs=1e-9)


LINEAR = [
    Momentum(mu=0.9), Momentum(mu=0.5, nesterov=True), Momentum(mu=0.9, dampening=0.9), WeightDecay(strength=0.1),
    Proximal(strength=2.0), DecayOfNew(strength=0.1, rate=0.2), LaggingMomentum(mu=0.9), DoubledMomentum(mu=0.9),
    LookingAhead(mu=0.9, last=1), LookingAhead(mu=0.9, last=2),
]  # fmt: skip


ANALYTIC = [
    RMSProp(), RMSProp(rho=0.5, eps=1e-3, place=UNDER), RMSPropFromFirst(), RMSPropWithoutRoot(), Adam(),
    Adam(corrected=False, place=BEFORE), NAdam(), RAdam(place=BEFORE), HalfCorrectedAdam(),
]  # fmt: skip
OF_GRADIENT = [
    RatesByStep(factors=(2.0, 0.5)), Exchanged(taking=(2, 0, 2, -1)), HeldDecay(strength=0.1),
    AbsoluteDecay(strength=0.1),
]  # fmt: skip


@pytest.mark.parametrize("part", [*LINEAR, *ANALYTIC, *OF_GRADIENT], ids=str)
def test_parts_are_differentiated_as_autograd_does(part):
    """Sums go back by their numbers, others by complex steps, and both arrive where autograd would lead them."""
    autograd_alone = {"is_linear": False, "is_analytic": False, "arriving": Part.arriving}
    slow = type(type(part).__name__, (type(part),), autograd_alone)(**vars(part))
    random = np.random.default_rng(0)
    g, phi, back, *state = random.normal(size=(3 + part.vectors, 4))
    if part.vectors and not part.is_linear:
        state[-1] = state[-1] ** 2  # a mean of squares
        g[0], state[-1][0] = -(0.3 * phi[0]), 0.0  # the gradient is 0 there, and a root has no slope
    found, expected = (
        InnerUpdate((WeightDecay(strength=0.3), one)).pull_back(
            ((), tuple(state)), g, phi, 1, back, ((), tuple(2 * vector for vector in state))
        )
        for one in (part, slow)
    )
    for mine, other in zip((*found[:2], *found[2][1]), (*expected[:2], *expected[2][1]), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-14, atol=1e-15)


def test_context_parameters_start_at_zero_and_are_not_learned():
    """In CAVIA one variable is 0 at first and adapts alone, and the outer gradient is by the others."""
    setting = problem("mlp-tanh-mse", order=2, algorithm="cavia")
    assert [chain for chain, leaf in setting.variables.items() if not np.any(leaf)] == ["b1"]
    answer = by_unrolling(setting).answer
    assert "b1" not in answer.gradients
    assert answer.gradients.keys() == setting.variables.keys() - {"b1"}
    moved = {chain for chain, leaf in answer.adapted.items() if not np.allclose(leaf, setting.variables[chain])}
    assert moved == {"b1"}
    assert not suite.is_asked("mlp-tanh-mse", "reptile", algorithm("cavia"))


def test_differences_of_gradients_by_hand():
    """One inner step of Per-FedAvg (HF) is u − α (∇S(θ + δu) − ∇S(θ − δu)) / 2δ with u = ∇Q(φ), the mean over tasks."""
    setting, delta = problem("one-step", order=2, algorithm="per-fedavg(0.01)"), 0.01
    theta, rate, found = setting.variables, setting.inner_learning_rate, []
    for support, query in setting.tasks():
        slopes = setting.inner_gradient(support, theta)
        u = setting.outer_gradient(query, {name: theta[name] - rate * slopes[name] for name in theta})
        ahead, behind = (
            setting.inner_gradient(support, {name: theta[name] + sign * delta * u[name] for name in theta})
            for sign in (1, -1)
        )
        found.append({name: u[name] - rate * (ahead[name] - behind[name]) / (2 * delta) for name in theta})
    truth, exact = by_unrolling(setting).answer.gradients, by_unrolling(problem("one-step", order=2)).answer.gradients
    for name in theta:
        expected = np.mean([gradient[name] for gradient in found], axis=0)
        assert truth[name] == pytest.approx(expected, rel=1e-11, abs=1e-12)
    assert np.linalg.norm(truth["w1"] - exact["w1"]) > 1e-6 * np.linalg.norm(exact["w1"])


def test_an_implicit_gradient_is_that_of_the_exact_solution():
    """Where the inner loop has converged, iMAML is the derivative of Q(φ*(θ)): differences through the whole loop."""
    setting = replace(
        problem("quadratic", order=2, algorithm="imaml(2)"), inner_grad_steps=80, inner_learning_rate=0.25
    )
    truth = by_unrolling(setting).answer.gradients
    step, by_hand = 1e-6, {name: np.zeros_like(leaf) for name, leaf in setting.variables.items()}
    for name, leaf in setting.variables.items():
        for entry in np.ndindex(leaf.shape):
            aside = np.zeros_like(leaf)
            aside[entry] = step
            ahead, behind = (_after_proximal_steps(setting, name, leaf + sign * aside) for sign in (1, -1))
            by_hand[name][entry] = (ahead - behind) / (2 * step)
    for name, gradient in by_hand.items():
        assert truth[name] == pytest.approx(gradient, rel=1e-8, abs=1e-8)


def _after_proximal_steps(setting, name, leaf, strength=2.0):
    """Return the mean outer cost after φ ← φ − α(∇S(φ) + λ(φ − θ)), from variables of which one is another."""
    theta = {**setting.variables, name: leaf}
    costs = []
    for support, query in setting.tasks():
        phi = theta
        for _ in range(setting.inner_grad_steps):
            slopes = setting.inner_gradient(support, phi)
            phi = {
                one: phi[one] - setting.inner_learning_rate * (slopes[one] + strength * (phi[one] - theta[one]))
                for one in phi
            }
        costs.append(setting.outer_cost(query, phi))
    return np.mean(costs)


def test_conjugate_gradients_that_end_early_are_as_good_as_the_solution():
    """Under imaml(λ, n) what n steps leave is in the bound, and where none is left over it is next to nothing."""
    few, enough = (by_unrolling(problem("quadratic", order=2, algorithm=f"imaml(2, {n})")) for n in (3, 20))
    exact = by_unrolling(problem("quadratic", order=2, algorithm="imaml(2)"))
    by_steps = right(pose(problem("quadratic", order=2, algorithm="imaml(2, 3)"))).gradients
    for chain, gradient in exact.answer.gradients.items():
        assert few.answer.gradients[chain] == pytest.approx(gradient, rel=1e-14)
        off = np.linalg.norm(by_steps[chain] - gradient)
        assert 1e-6 < off <= few.errors[chain] * (1 + 1e-12)
        assert enough.errors[chain] < 1e-10


def test_no_gradient_is_expected_where_the_inner_problem_has_no_minimum():
    """Where I + H/λ is not positive definite the expected gradient is no number, and no bound can be derived."""
    assert not np.all(
        np.isfinite(by_unrolling(problem("bilinear", order=2, algorithm="imaml(0.1)")).answer.gradients["latent"])
    )


def test_what_is_not_asked_is_told_with_its_reason():
    """An implicit gradient is there at a minimum alone; where there is one, rounding may hide what is wrong with it."""
    asked = {"framework": "numpy", "kind": "problem", "order": 2, "problems": ("bilinear", "quadratic")}
    implicit, clipped = (
        verify(FaultySubject(right), algorithm=text, **asked).reason for text in ("imaml(0.1)", "clip-by-norm(0.0001)")
    )
    nowhere = "Not asked, since I + H/λ is not positive definite at φ_K there, and imaml(0.1) has no gradient"
    assert f"{nowhere}: bilinear in float64, bilinear in float32." in implicit
    assert "rounding" not in implicit
    hidden = "Not asked, since rounding would hide a mistake there under clip-by-norm(0.0001)"
    assert f"{hidden}: bilinear in float32." in clipped


def test_differences_of_gradients_are_exact_on_a_quadratic_cost():
    """Where the inner gradient is linear, Per-FedAvg (HF) is MAML, whatever δ is; at first order it is FOMAML."""
    for order, text in ((2, "per-fedavg(0.5)"), (2, "per-fedavg"), (1, "per-fedavg")):
        differences, plain = (
            by_unrolling(problem("quadratic", order=order, algorithm=declared)).answer.gradients
            for declared in (text, "")
        )
        for chain, gradient in plain.items():
            assert differences[chain] == pytest.approx(gradient, rel=1e-9, abs=1e-9)


def test_learned_rates_have_the_gradient_of_a_task_by_hand():
    """One inner step at order 2: ∂Q/∂r = −∇Q(φ) ∇S(θ) in each entry, and its sum over a leaf for a rate of the leaf."""
    by_entry, by_leaf = (
        by_unrolling(problem("one-step", order=2, algorithm=text)).answer.gradients
        for text in ("meta-sgd", "meta-sgd(by-leaf)")
    )
    setting = problem("one-step", order=2, algorithm="meta-sgd")
    theta, rates, products = setting.variables, setting.inner_learning_rate, []
    for support, query in setting.tasks():
        slopes = setting.inner_gradient(support, theta)
        ends = setting.outer_gradient(query, {name: theta[name] - rates[name] * slopes[name] for name in theta})
        products.append({name: -ends[name] * slopes[name] for name in theta})
    for name in theta:
        expected = np.mean([product[name] for product in products], axis=0)
        assert by_entry[f"rates/{name}"] == pytest.approx(expected, rel=1e-12)
        assert by_leaf[f"rates/{name}"].shape == ()
    assert len({float(rate) for rate in rates["w1"].ravel()}) > 1


@pytest.mark.parametrize(
    ("gradients", "words"),
    [
        ({"weight": 0.0}, "expected {'variables': …, 'rates': …}"),
        (3.0, "expected {'variables': …, 'rates': …}"),
        ({"variables": {}}, "the leaf is missing"),
        ({"variables": {}, "rates": None}, "the leaf is missing"),
    ],
)
def test_an_answer_without_rates_is_refused_with_the_form_that_is_expected(gradients, words):
    """Where rates are learned, gradients of the variables alone are a wrong answer that says what is missing."""
    setting = problem("logistic-regression", algorithm="meta-sgd")
    reply = read(setting, (1.0, gradients))
    assert words in " ".join(str(finding) for finding in reply.findings)
    assert reply.malformed == ("{" in words)


def test_learned_rates_are_not_asked_where_they_have_no_gradient():
    """Reptile has no outer gradient, and with a selection not all of them are wanted: such problems are left out."""
    assert not suite.is_asked("quadratic", "reptile", algorithm("meta-sgd"))
    assert not suite.is_asked("inner-chain", 2, algorithm("meta-sgd"))
    assert suite.is_asked("leaf-rates", 2, algorithm("meta-sgd"))
    assert not suite.is_asked("quadratic", "reptile", algorithm("mldg"))


def test_a_held_state_changes_the_second_order_gradient_alone():
    """What is held moves as what is not; its outer gradient is another one at second order, and the same at first."""
    found = {
        (text, order): by_unrolling(problem("logistic-regression", order=order, algorithm=text)).answer
        for text in ("momentum(0.9)", "momentum(0.9, held)")
        for order in (1, 2)
    }
    assert found["momentum(0.9)", 1].cost == found["momentum(0.9, held)", 2].cost
    weights = [answer.gradients["weight"] for answer in found.values()]
    assert np.array_equal(weights[0], weights[2])
    assert np.linalg.norm(weights[1] - weights[3]) > 1e-3


def test_anil_adapts_the_last_layer_and_boil_the_rest():
    """The inner loop moves the head alone, or all but the head; without them it moves everything."""
    settings = {name: problem("mlp-tanh-mse", algorithm=name) for name in ("anil", "boil")}
    head = settings["anil"].options.inner_v.meant
    assert head == ("w2", "b2")
    assert set(settings["boil"].options.inner_v.meant) == set(settings["boil"].names) - set(head)
    assert replace(settings["anil"]).needs == {"selections"}
