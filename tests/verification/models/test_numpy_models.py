"""The judge on models in NumPy: the steps of examples/own_model, autograd and own gradients, and what is refused."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

import verification
from verification.models.numpy_losses import NumpyHost
from verification.models.numpy_tracing import Disturbance, Disturbed
from verification.subjects import SubjectError

pytestmark = pytest.mark.once  # arithmetic

FOLDER = Path(__file__).parents[3] / "examples" / "own_model"
sys.path.insert(0, str(FOLDER))

import numpy_steps as network  # noqa: E402  # they lie in a folder of their own, which a script there has on its path
from numpy_wrong_steps import WRONG  # noqa: E402

RIGHT = network.RIGHT
TASKS = network.make_tasks(0)
#: The parameters and the losses of the examples, in the ways in which they can be handed over.
OWN = {"inner_loss": network.loss, "inner_gradient": network.gradient}


def in_autograd(params, batch):
    """Return the loss of the examples in autograd.numpy."""
    hidden = anp.tanh(anp.dot(batch[0], params["w"]) + params["b"])
    return anp.mean((anp.dot(hidden, params["head.w"]) + params["head.b"] - batch[1]) ** 2)


def state_of(model) -> str:
    """Return a hash of everything that judging might leave behind."""
    found = hashlib.sha256(repr((random.getstate(), np.random.get_state())).encode())
    for name, leaf in model.items():
        found.update(f"{name} {leaf.dtype} {id(leaf)}".encode() + leaf.tobytes())
    return found.hexdigest()


def judged(step, order, gives="gradients", adapts=None, *, losses=None, seed=0, **about):
    """Return the report on a step with a network, whose state must be the same afterwards."""
    about = {"model": network.make_model(seed), "tasks": network.make_tasks(seed), **about}
    before = state_of(about["model"])
    report = verification.check(
        step, **(losses or OWN), inner_steps=network.INNER_STEPS, inner_learning_rate=network.INNER_RATE, order=order,
        gives=gives, adapts=adapts, outer_learning_rate=network.OUTER_RATE if gives == "parameters" else None, **about,
    )  # fmt: skip
    assert state_of(about["model"]) == before
    return report


@pytest.mark.parametrize("losses", [OWN, {"inner_loss": in_autograd}], ids=["own gradient", "autograd"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_step_passes_and_leaves_no_trace(name, losses):
    """Right code passes, whether the gradient is the user's own or autograd's."""
    report = judged(*RIGHT[name], losses=losses)
    assert (report.verdict, report.framework) == ("pass", "numpy")
    assert report.cases[0].separation > 1e6


@pytest.mark.parametrize("losses", [OWN, {"inner_loss": in_autograd}], ids=["own gradient", "autograd"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_step_is_named(name, losses):
    """Each wrong step fails with the name of its mistake before all others, and leaves no trace either."""
    fault, *step = WRONG[name]
    report = judged(*step, losses=losses)
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == fault


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steps_on_other_networks(seed):
    """On other networks no right step is accused, and each wrong one is named."""
    assert [name for name, step in RIGHT.items() if judged(*step, seed=seed).verdict != "pass"] == []
    names = {name: judged(*step, seed=seed).diagnosis[0].name for name, (_, *step) in WRONG.items()}
    assert names == {name: fault for name, (fault, *_) in WRONG.items()}


def test_the_script_is_judged_from_the_shell(capsys):
    """`refmaml check` judges a problem in NumPy as well."""
    from verification.commands.cli import main

    with pytest.raises(SystemExit) as end:
        main(["check", str(FOLDER / "numpy_steps.py:problem")])
    assert end.value.code == 0
    assert "PASS" in capsys.readouterr().out


def test_single_precision():
    """A model in float32 is judged in both precisions."""
    model = {name: leaf.astype(np.float32) for name, leaf in network.make_model(0).items()}
    report = judged(network.first_order, 1, model=model)
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float64", "float32"])
    wrong = judged(WRONG["summed"][1], 1, model=model)
    assert [case.verdict for case in wrong.cases] == ["fail", "fail"]


def kinked(params, batch):
    """Return a gradient that is no analytic function: of a mean absolute error."""
    outputs, hidden = network.forward(params, batch[0])
    error = np.where(np.real(outputs - batch[1]) > 0, 1.0, -1.0) / batch[1].size
    back = np.asarray(error @ params["head.w"].T, float) * (1 - np.abs(hidden) ** 2)
    return {"w": batch[0].T @ back, "b": back.sum(0), "head.w": hidden.T @ error, "head.b": error.sum(0)}


def absolute_loss(params, batch):
    """Return the mean absolute error."""
    return float(np.abs(network.forward(params, batch[0])[0] - batch[1]).mean())


def absolute_in_autograd(params, batch):
    """Return the mean absolute error in autograd.numpy."""
    hidden = anp.tanh(anp.dot(batch[0], params["w"]) + params["b"])
    return anp.mean(anp.abs(anp.dot(hidden, params["head.w"]) + params["head.b"] - batch[1]))


def test_products_by_differences():
    """Where no complex step can be taken, products are differences whose errors are within their estimates."""
    model, (support, _) = network.make_model(0), TASKS[0]
    rng = np.random.default_rng(1)
    host = NumpyHost(model, "float64", {absolute_loss: kinked})
    exact = NumpyHost(model, "float64", {}).costs(absolute_in_autograd, support)
    phi = np.concatenate([np.ravel(leaf) for leaf in model.values()])
    costs, u = host.costs(absolute_loss, support), rng.standard_normal(phi.size)
    found = costs.product(phi, u)
    off = host.off_by_errors().costs(absolute_loss, support).product(phi, u)
    assert np.any(off != found)  # no complex step was taken
    error = np.linalg.norm(found - exact.product(phi, u))
    assert error <= 8 * np.linalg.norm(off - found)
    assert error <= 1e-9 * np.linalg.norm(found)


def test_products_by_a_complex_step():
    """Where a gradient is analytic code, products are exact to rounding, and have no error estimate."""
    model, (support, _) = network.make_model(0), TASKS[0]
    phi = np.concatenate([np.ravel(leaf) for leaf in model.values()])
    u = np.random.default_rng(1).standard_normal(phi.size)
    host = NumpyHost(model, "float64", {network.loss: network.gradient})
    found = host.costs(network.loss, support).product(phi, u)
    exact = NumpyHost(model, "float64", {}).costs(in_autograd, support).product(phi, u)
    assert np.linalg.norm(found - exact) <= 64 * 2.0**-53 * np.linalg.norm(exact)
    np.testing.assert_array_equal(found, host.off_by_errors().costs(network.loss, support).product(phi, u))


def test_a_model_of_one_number():
    """A direction of differences is ±1 there, and half of it random: what cancels is no direction."""

    def step(scale, tasks):
        slopes = []
        for support, query in tasks:
            phi = scale
            for _ in range(2):
                phi = phi - 0.1 * grad(error)(phi, support)
            slopes.append(grad(error)(phi, query))
        return sum(slopes) / len(slopes)

    def error(scale, batch):
        return anp.mean((scale * anp.sin(batch[0]) - batch[1][:, :1]) ** 2)

    for start in (0.7, -3.0, 3.0):
        report = verification.check(
            step, model=np.array(start), inner_loss=error, tasks=TASKS, inner_steps=2, inner_learning_rate=0.1
        )
        assert report.verdict == "pass"


def test_a_gradient_that_is_wrong_is_found():
    """A gradient function that is not the loss's is what is wrong, whatever a step makes of it."""

    def halved(params, batch):
        return {**network.gradient(params, batch), "b": network.gradient(params, batch)["b"] / 2}

    for order in (1, 2, "reptile"):
        report = judged(network.first_order, order, losses={"inner_loss": network.loss, "inner_gradient": halved})
        assert (report.verdict, report.diagnosis[0].name) == ("fail", "A09")
        assert "your gradient function" in report.diagnosis[0].evidence


def test_a_gradient_that_cancels_is_not_accused():
    """The gradient of a bias before normalisation is rounding alone, and each operation of NumPy's shows how much."""

    def normalised(params, batch):
        hidden = anp.dot(batch[0], params["w"]) + params["b"]
        hidden = (hidden - anp.mean(hidden, 0)) / anp.sqrt(anp.var(hidden, 0) + 1e-5)
        return anp.mean((anp.dot(anp.tanh(hidden), params["head.w"]) + params["head.b"] - batch[1]) ** 2)

    def step(params, tasks):
        parts = []
        for support, query in tasks:
            phi = params
            for _ in range(network.INNER_STEPS):
                phi = network.moved(phi, grad(normalised)(phi, support), network.INNER_RATE)
            parts.append(grad(normalised)(phi, query))
        return network.mean(parts)

    def otherwise(params, tasks):  # the same mathematics with other rounding
        permuted = [tuple(tuple(part[::-1] for part in batch) for batch in task) for task in tasks]
        return step(params, permuted[::-1])

    for right in (step, otherwise):
        report = judged(right, 1, losses={"inner_loss": normalised})
        assert report.verdict == "pass"


def test_random_numbers_are_reported():
    """A step that draws from a generator of its own gives something else in each call; the generator is put back."""
    generator = np.random.default_rng(3)
    before = repr(generator.bit_generator.state)

    def noisy(params, tasks):
        return {name: leaf * (1 + generator.random()) for name, leaf in network.first_order(params, tasks).items()}

    report = judged(noisy, 1)
    assert report.verdict == "inconclusive"
    assert "random numbers" in report.reason
    assert repr(generator.bit_generator.state) == before
    report = judged(lambda params, tasks: {n: random.random() * leaf for n, leaf in params.items()}, 1)
    assert report.verdict == "inconclusive"


@pytest.mark.parametrize("operation", [
    lambda x: x * 3, lambda x: np.sum(x, 0), lambda x: x.mean(0), lambda x: np.dot(x, x.T), lambda x: x @ x.T,
    lambda x: np.einsum("ij,kj->ik", x, x), np.exp, lambda x: np.linalg.inv(x @ x.T),
])  # fmt: skip
def test_every_operation_is_disturbed(operation):
    """The result of an operation moves by about δ; signs are the same where a run begins anew."""
    x = np.random.default_rng(0).uniform(1, 2, (3, 4))
    disturbance, results = Disturbance(1e-6, np.random.default_rng(1)), []
    watched = x.view(Disturbed)  # not moved itself
    watched.disturbance = disturbance
    for _ in range(2):
        disturbance.begin(5)
        results.append(np.asarray(operation(watched)))
    moved = np.abs(results[0] / operation(x) - 1)
    assert np.all(moved < 1e-3)
    assert np.mean(moved > 1e-8) >= 0.25  # the signs of a sum and of its division by a count may cancel
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("about", "error", "words"),
    [
        ({"gives": "grad"}, ValueError, "gives: expected one of 'gradients', 'parameters', but got 'grad'"),
        ({"losses": {"inner_loss": network.loss}}, SubjectError, "the losses cannot be computed"),
        (
            {"losses": {**OWN, "outer_loss": in_autograd}},
            ValueError,
            "outer_gradient: expected the gradient of the other",
        ),
        (
            {"losses": {**OWN, "inner_gradient": lambda p, b: {"w": p["w"]}}},
            SubjectError,
            "the gradient: expected an array",
        ),
        (
            {"model": {"count": np.arange(3)}},
            TypeError,
            "model: expected a torch.nn.Module or a pytree with arrays of JAX or a",
        ),
    ],
)
def test_what_a_problem_must_be(about, error, words):
    """A problem that cannot be judged is refused in a sentence that says what was expected."""
    with pytest.raises(error, match=words):
        judged(network.first_order, 1, **about)


def test_a_block_that_is_watched():
    """What a block says that its gradients are is judged."""
    model = network.make_model(0)
    with verification.observe(
        model=model, **OWN, tasks=TASKS, inner_steps=network.INNER_STEPS, inner_learning_rate=network.INNER_RATE
    ) as observed:
        observed.gradients = network.first_order(model, TASKS)
        model["w"] += 1  # the step that follows
    assert observed.report.verdict == "pass"
