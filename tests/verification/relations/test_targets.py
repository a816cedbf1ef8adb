"""What a gradient is the gradient of: first order of the surrogate, second order of the meta-objective."""

from __future__ import annotations

from typing import Any

import broken_steps
import numpy as np
import pytest

from refmaml import fomaml_step, maml_step
from verification import problem
from verification.relations import NotTested, check_taylor
from verification.relations.targets import taylor_of_problem

pytestmark = pytest.mark.once  # arithmetic

STEPS = {1: fomaml_step, 2: maml_step}
OWN = {1: "surrogate", 2: "meta-objective"}
OTHER = {1: "meta-objective", 2: "surrogate"}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("order", [1, 2])
def test_each_order_is_the_gradient_of_its_own_function(order: int, dtype: str) -> None:
    """First order against its surrogate, and second against the meta-objective, has a remainder of order 2."""
    result = taylor_of_problem(STEPS[order], problem("linear-regression", order=order, dtype=dtype), OWN[order])
    assert result.verdict == "pass", result.sentence
    assert result.order == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("order", [1, 2])
def test_each_order_is_not_the_gradient_of_the_other_function(order: int) -> None:
    """Against the other order's function the remainder is of order 1, and fails."""
    result = taylor_of_problem(STEPS[order], problem("linear-regression", order=order), OTHER[order])
    assert result.verdict == "fail", result.sentence
    assert result.order == pytest.approx(1, abs=0.05)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["batched", "outer-list", "branches", "leaf-rates"])
def test_options_change_nothing_about_it(name: str) -> None:
    """With options too, FOMAML is the gradient of its surrogate and not of the meta-objective."""
    assert taylor_of_problem(fomaml_step, problem(name), "surrogate").verdict == "pass"
    assert taylor_of_problem(fomaml_step, problem(name), "meta-objective").verdict == "fail"


def local_orders(step: Any, order: int, target: str) -> tuple[float, ...]:
    """Return three orders between neighbouring steps, where h is small and the remainder far above the noise."""
    return taylor_of_problem(step, problem("mlp-tanh-mse", order=order), target).fits[0].local[6:9]


@pytest.mark.nightly
def test_the_documented_orders_of_the_remainder() -> None:
    """First order against the meta-objective: 1.01, 1.005, 1.003 and so on, an excess that halves with h."""
    first = np.array(local_orders(fomaml_step, 1, "meta-objective")) - 1
    assert np.all((first > 0) & (first < 0.02))
    assert first[1:] / first[:-1] == pytest.approx(0.5, abs=0.05)
    assert local_orders(fomaml_step, 1, "surrogate") == pytest.approx([2, 2, 2], abs=0.02)
    assert local_orders(maml_step, 2, "meta-objective") == pytest.approx([2, 2, 2], abs=0.02)


@pytest.mark.parametrize("fault", ["A03", "A04", "B01", "D01", "D03", "D06", "G07"])
def test_a_wrong_outer_gradient_is_not_the_gradient_of_the_surrogate(fault: str) -> None:
    """Each fault of the outer gradient fails the Taylor test."""
    step = broken_steps.FIRST[fault]()
    assert taylor_of_problem(step, problem("linear-regression"), "surrogate").verdict == "fail"


def squared(batch: Any, v: Any) -> Any:
    return ((batch["x"] @ v["w"] - batch["y"]) ** 2).mean()


def test_it_runs_on_ones_own_costs() -> None:
    """A user's own data and cost are tested as built-in problems are."""
    rng = np.random.default_rng(4)
    data = {"x": rng.normal(size=(3, 6, 5)), "y": rng.normal(size=(3, 6))}
    arguments = (data, squared, None, {"w": rng.normal(size=5)}, 2, 0.1)
    assert check_taylor(fomaml_step, *arguments, target="surrogate", batched=False).verdict == "pass"
    assert check_taylor(fomaml_step, *arguments, target="meta-objective", batched=False).verdict == "fail"


def test_what_cannot_be_asked_says_why() -> None:
    """An unknown target, and options that have no such function, are refused with the reason."""
    with pytest.raises(ValueError, match="target: expected one of surrogate, meta-objective, but got 'loss'"):
        taylor_of_problem(fomaml_step, problem("linear-regression"), "loss")
    with pytest.raises(NotTested, match="average_across_steps"):
        taylor_of_problem(fomaml_step, problem("average"), "surrogate")
    with pytest.raises(NotTested, match="three parameters"):
        taylor_of_problem(fomaml_step, problem("three-parameters"), "surrogate")
    with pytest.raises(NotTested, match="its own outer variables"):
        taylor_of_problem(fomaml_step, problem("per-task"), "surrogate")
