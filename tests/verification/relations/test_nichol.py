"""The coefficients of Nichol, Achiam and Schulman (2018), section 5, by enumeration."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import broken_steps
import numpy as np
import pytest

from refmaml import fomaml_step, maml_step
from verification.relations.nichol import Coefficients, expansion_coefficients

pytestmark = pytest.mark.once  # arithmetic


def cost(batch: Any, v: Any) -> Any:
    return anp.mean((anp.tanh(batch["x"] @ v["w"] + v["b"]) - batch["y"]) ** 2)


def fitted(step: Any) -> Coefficients:
    rng = np.random.default_rng(5)
    minibatches = {"x": rng.normal(size=(4, 5, 2)), "y": rng.normal(size=(4, 5))}
    return expansion_coefficients(step, minibatches, cost, {"w": np.array([0.5, -0.7]), "b": np.array(0.3)})


@pytest.mark.parametrize(("order", "step"), [(1, fomaml_step), (2, maml_step)])
def test_the_published_coefficients_are_reproduced(order: int, step: Any) -> None:
    """The fit finds Nichol's coefficients, 1 and the order, within its own error, and fails the other order."""
    found = fitted(step)
    assert found.avg_grad == pytest.approx(1, abs=1e-8)
    assert found.avg_grad_inner == pytest.approx(order, abs=1e-5)
    assert found.residual < 1e-5
    assert abs(found.avg_grad_inner - order) <= found.errors[1] < 1e-3
    assert found.verdict(order) == "pass"
    assert found.verdict(3 - order) == "fail"


@pytest.mark.parametrize(
    ("fault", "avg_grad", "avg_grad_inner"),
    [
        ("B01", 1, 0),  # no adaptation: the second term is missing
        ("B03", 1, 2),  # two inner steps: the coefficient of each adds up
        ("C06", 1, 0.25),  # a quarter of α
        ("G02", 1, -1),  # ascent
        ("D01", 16, 16),  # the sum over sixteen pairs
        ("A03", 0, 0),
    ],
)
def test_a_wrong_step_has_wrong_coefficients(fault: str, avg_grad: float, avg_grad_inner: float) -> None:
    """Each fault has the coefficients that its formula says, and does not pass."""
    found = fitted(broken_steps.FIRST[fault]())
    assert found.avg_grad == pytest.approx(avg_grad, abs=1e-6)
    assert found.avg_grad_inner == pytest.approx(avg_grad_inner, abs=1e-4)
    assert found.verdict(1) == "fail"


def test_nan_does_not_pass() -> None:
    """Gradients that are no numbers fail."""

    def spoiled(*arguments: Any, **options: Any) -> Any:
        value, grads = fomaml_step(*arguments, **{**options, "return_inner_v": False})
        return value, {name: leaf * np.nan for name, leaf in grads.items()}

    assert fitted(spoiled).verdict(1) == "fail"


def test_errors_as_large_as_the_coefficients_are_inconclusive() -> None:
    """A coefficient within its error decides nothing, and an order beyond 2 is refused."""
    assert Coefficients(1.0, 1.2, (0.0, 0.5), 0.1).verdict(1) == "inconclusive"
    with pytest.raises(ValueError, match="order: expected 1 or 2, but got 3"):
        Coefficients(1.0, 1.0, (0.0, 0.0), 0.0).verdict(3)
