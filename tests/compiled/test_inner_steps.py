"""Inner steps that compute with the learning rate, which promotes nothing where it is a number of Python."""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import UnsupportedPrimitive
from refmaml.compiled.calls import plans, shortcut

DATA = {"x": np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)}
THETA = {"w": np.array([0.7, -0.3], np.float32)}


def squares(b, v):
    return anp.mean((b["x"] * v["w"] - 1.0) ** 2)


@pytest.fixture(autouse=True)
def _as_python(monkeypatch):
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    plans.clear()
    shortcut.forget()


def stepping(moved):
    """Return an inner step of one leaf; a rate of its own is taken out of its container."""

    def step(w, g, lr, /, *, stop_gradients):
        return {"w": moved(w["w"], g["w"], lr["w"] if isinstance(lr, dict) else lr)}

    return step


def halved_in_place(w, g, lr):
    lr *= 0.5
    return w - lr * g


def times_gradient_in_place(w, g, lr):
    lr *= g
    return w - lr


def through_the_plain_step(w, g, lr):
    return refmaml.gradient_descent_update({"w": w}, {"w": g}, 2 * lr, stop_gradients=False)["w"]


UPDATES = {
    "product": lambda w, g, lr: w - 2 * lr * g,
    "quotient": lambda w, g, lr: w - lr / 2 * g,
    "decay": lambda w, g, lr: w - lr * g - lr * 0.01 * w,
    "one minus": lambda w, g, lr: (1 - lr * 0.01) * w + -lr * g,
    "power": lambda w, g, lr: w - (lr**2 + 0.9**lr) * g,
    "remainder": lambda w, g, lr: w - abs(lr % 0.07 - 1) * 0.01 * g,
    "of itself": lambda w, g, lr: w - (lr + lr) * g,
    "compared": lambda w, g, lr: w - anp.where(anp.abs(g) > 2 * lr, g, 0.5 * g) * lr,
    "clipped": lambda w, g, lr: w - anp.clip(g, -lr, lr),
    "in place": halved_in_place,
    "by an array in place": times_gradient_in_place,
    "another step": through_the_plain_step,
}
RATES = {"a float": 0.1, "an integer": 1, "of its own": {"w": 0.1}, "of the leaf's dtype": np.float32(0.1)}


@pytest.mark.parametrize("order", ["fomaml_step", "maml_step"])
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("moved", UPDATES.values(), ids=UPDATES)
def test_a_number_of_python_stays_one_in_arithmetic(moved, rate, order):
    """A learning rate that is a number of Python does not widen float32 in whatever arithmetic an inner step does."""
    if moved in (halved_in_place, times_gradient_in_place) and isinstance(rate, np.float32):
        pytest.skip("a number of NumPy is refused here, since an array would be written into")
    args = (DATA, squares, None, THETA, 2, rate)
    assert_same_answer(
        getattr(engine, order), getattr(refmaml, order), *args, batched=False, inner_optimization_step=stepping(moved)
    )


def test_a_comparison_with_a_number_of_python_is_one_in_the_arrays_dtype():
    """A float32 array is compared with a number of Python in float32, where 0.1 equals 0.1."""

    # 0.1 is less than float32's 0.1, and equal to it in NumPy's promotion.
    def moved(w, g, lr):
        return w - anp.where(np.float32(0.1) + 0 * g > lr, g, 0.5 * g)

    assert_same_answer(
        engine.fomaml_step, refmaml.fomaml_step, DATA, squares, None, THETA, 1, 0.1, batched=False,
        inner_optimization_step=stepping(moved),
    )  # fmt: skip


@pytest.mark.parametrize("moved", [lambda w, g, lr: w - 1 / (1 - lr) * g, lambda w, g, lr: w - lr**0.5 * g])
def test_an_operator_that_fails_for_some_rates_is_refused_with_its_line(moved):
    """Dividing by, or taking a root of, what depends on the rate is refused, since another rate might fail."""
    with pytest.raises(UnsupportedPrimitive, match=r"for every learning rate.*test_inner_steps\.py:\d+"):
        engine.fomaml_step(DATA, squares, None, THETA, 1, 0.1, batched=False, inner_optimization_step=stepping(moved))
