"""Kinks, and gradients that are 0 but for rounding: right code is not accused, and wrong code is caught."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from verification.relations import check_relations
from verification.relations.differences import derivative
from verification.relations.taylor import taylor_test

pytestmark = pytest.mark.once  # arithmetic

UNITS, INPUTS = 3000, 8


def rectifiers(seed: int) -> tuple[Any, Any, Any]:
    """Return the mean of many rectified units and a bowl, a point with kinks at every distance, the gradient there."""
    rng = np.random.default_rng(seed)
    weights, point = rng.normal(size=(UNITS, INPUTS)), rng.normal(size=INPUTS)

    def function(x: Any) -> float:
        return float(np.mean(np.maximum(weights @ x, 0)) + np.sum(x**2) / 10)

    return function, point, weights.T @ (weights @ point > 0) / UNITS + point / 5


@pytest.mark.parametrize("seed", range(7))
def test_a_right_gradient_between_kinks_passes(seed: int) -> None:
    """Where the steps are smaller than the way to the nearest kink the remainder vanishes."""
    function, point, gradient = rectifiers(seed)
    result = taylor_test(function, gradient, point, target="network")
    assert result.verdict == "pass", result.sentence


@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("factor", [2.0, 1.01, 0.0])
def test_a_wrong_gradient_between_kinks_fails(seed: int, factor: float) -> None:
    """The error of a wrong slope stays where the steps are smaller than the way to the nearest kink."""
    function, point, gradient = rectifiers(seed)
    assert taylor_test(function, factor * gradient, point, target="network").verdict == "fail"


@pytest.mark.parametrize("away", [2.0**-8, 2.0**-12, 2.0**-18, 2.0**-22])
def test_a_kink_near_the_point_is_told_from_a_wrong_slope(away: float) -> None:
    """Steps that are larger than the way to a kink have a remainder of order 1, as with a wrong slope."""
    point = np.array([0.7, 1.0, 2.0])
    gradient = 2 + point / 5
    result = partial(taylor_test, lambda x: float(np.sum(2 * np.maximum(x - point + away, 0)) + x @ x / 10))
    assert result(gradient, point, target="kink").verdict == "pass"
    assert result(2 * gradient, point, target="kink").verdict == "fail"


def test_a_gradient_at_a_kink_is_not_accused() -> None:
    """The slopes on both sides of a kink differ, and either may be the one that a framework takes."""
    point = np.array([0.0, 1.0, 2.0])
    slopes = np.array([0.0, 2.0, 4.0])
    result = taylor_test(lambda x: float(max(x[0], 0) + x @ x), slopes, point, target="kink")
    assert result.verdict == "inconclusive"


def test_differences_are_taken_between_kinks() -> None:
    """A derivative by differences is as exact beside kinks as elsewhere, and its error estimate holds."""
    function, point, gradient = rectifiers(0)
    direction = np.ones(INPUTS)
    slope, error = derivative(lambda e: function(point + e * direction), 1e-15)
    assert abs(float(slope) - gradient @ direction) <= error <= 1e-4 * abs(float(slope))


def fomaml(
    batch: Any, inner_cost: Any, outer_cost: Any, variables: Any, steps: int, rate: float,
    *, return_inner_v: bool = False,
) -> Any:  # fmt: skip
    """Return first-order MAML's answer in PyTorch; the loss is divided by T before it is differentiated."""
    torch = pytest.importorskip("torch", reason="autograd's backward pass is in float64 whatever the arrays are")
    outer, tasks = outer_cost or inner_cost, len(batch["x"])
    costs, ends, parts = [], [], []

    def slopes(cost: Any, task: Any, phi: Any, divisor: int) -> Any:
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in phi.items()}
        found = torch.autograd.grad(
            cost(task, leaves) / divisor, list(leaves.values()), allow_unused=True, materialize_grads=True
        )
        return dict(zip(leaves, found, strict=True))

    for t in range(tasks):
        task, phi = {name: leaf[t : t + 1] for name, leaf in batch.items()}, variables
        for _ in range(steps):
            moves = slopes(inner_cost, task, phi, 1)
            phi = {name: leaf - rate * moves[name] for name, leaf in phi.items()}
        parts.append(slopes(outer, task, phi, tasks))
        costs.append(outer(task, phi))
        ends.append(phi)
    answer = sum(costs) / tasks, {name: sum(part[name] for part in parts) for name in variables}
    if not return_inner_v:
        return answer
    return *answer, {name: torch.stack([end[name] for end in ends]) for name in variables}


def normalized(batch: Any, v: Any) -> Any:
    """Return the cost of a layer with a bias that the normalization takes away again."""
    layer = batch["x"].reshape(-1, INPUTS) @ v["w"] + v["b"]
    centred = layer - layer.mean(0)
    units = (centred / (centred.square().mean(0) + 1e-5).sqrt()).tanh()
    return (units @ v["head"] - batch["y"].reshape(-1)).square().mean()


@pytest.mark.framework("torch")
@pytest.mark.parametrize("relation", ["linearity", "composition"])
@pytest.mark.parametrize("seed", range(3))
def test_a_bias_before_normalization_accuses_nobody(relation: str, seed: int) -> None:
    """Its gradient is 0, and what code computes is the rounding of a mean: no disturbance of the inputs shows that."""
    rng = np.random.default_rng(seed)
    batch = {"x": rng.normal(size=(3, 9, INPUTS)), "y": rng.normal(size=(3, 9))}
    variables = {"w": rng.normal(size=(INPUTS, 5)), "b": rng.normal(size=5), "head": rng.normal(size=5)}
    report = check_relations(
        fomaml, batch, normalized, None, variables, 2, 0.1, framework="torch", relations=[relation]
    )
    assert report.verdict == "pass", [result.sentence for result in report.results]
