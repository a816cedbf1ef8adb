"""The proof of a trace bounds a gradient by what rounding does to it: it takes what cancels, and refuses what looks."""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import ValueDependence

STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}


def arguments(dtype):
    """Return two tasks' data of shape [3, 4], and one variable."""
    rng = np.random.default_rng(11)
    return {"x": rng.uniform(-1, 1, (2, 3, 4)).astype(dtype)}, {"b": rng.uniform(0.2, 0.9, 4).astype(dtype)}


def shifted(b, v):
    return b["x"] + v["b"]


def stretched(b, v):
    return b["x"] * v["b"]


def a_difference(b, v):
    y = shifted(b, v)
    nothing = 0.7 * anp.sin(y - y)
    return anp.mean((nothing - 0.3) ** 2) + 0.01 * anp.sum(nothing[0, 0])


def a_shift_that_the_mean_takes_back(b, v):
    y = anp.sum(shifted(b, v), axis=2)
    return anp.sum(anp.tanh(y - anp.mean(y)))


def a_scale_that_the_norm_takes_back(b, v):
    y = b["x"][0, 0, 0] * v["b"][:1]
    return anp.sum(anp.sin(3.0 * y / anp.sqrt(anp.sum(y * y))))


def a_ratio(b, v):
    y = stretched(b, v)
    return anp.sum(anp.tanh(y / (y + 0.0)))


def shares_of_a_whole(b, v):
    y = anp.exp(stretched(b, v))
    return anp.sum((anp.sum(y / anp.sum(y, axis=2, keepdims=True), axis=2) - 0.7) ** 2)


def an_inverse(b, v):
    y = stretched(b, v)
    return anp.mean(anp.log(anp.exp(y)) - y + 0.2) ** 2


def large_terms(b, v):
    y = stretched(b, v)
    return anp.mean(1e6 * anp.tanh(y) - 1e6 * anp.tanh(y) + 1e-3 * anp.sin(y))


CANCELLING = [
    a_difference, a_shift_that_the_mean_takes_back, a_scale_that_the_norm_takes_back, a_ratio, shares_of_a_whole,
    an_inverse, large_terms,
]  # fmt: skip


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cost", CANCELLING)
def test_a_gradient_that_is_rounding_alone_is_no_reason_to_refuse(cost, dtype, order):
    """Where the terms of a gradient cancel, the engine answers, within the bound of what each term is rounded by."""
    batch, theta = arguments(dtype)
    assert_same_answer(*STEPS[order], batch, cost, None, theta, 2, 0.05, batched=False, chain=True)


def test_a_derivative_that_underflows_is_no_reason_to_refuse():
    """1/cosh² is 0 where its denominator overflows, and sech² a subnormal number: neither looks at its arguments."""
    batch, theta = arguments(np.float32)
    _, gradients = engine.fomaml_step(
        batch, lambda b, v: anp.mean(anp.tanh(46.0 + stretched(b, v))), None, theta, 1, 0.05, batched=False
    )
    assert np.abs(gradients["b"]).max() < np.finfo(np.float32).tiny


def normalised(w, dcdw, lr, /, *, stop_gradients):
    """Step along the gradient's direction, whatever its length."""
    return {name: w[name] - lr * dcdw[name] / (1e-30 + anp.sqrt(anp.sum(dcdw[name] ** 2))) for name in w}


@pytest.mark.parametrize("cost", CANCELLING)
def test_an_inner_step_may_make_a_direction_of_what_is_rounding_alone(cost):
    """The step's proof, too, asks how far rounding leads: the direction of a gradient that cancels proves nothing."""
    batch, theta = arguments(np.float32)
    options = {"batched": False, "inner_optimization_step": normalised}
    assert len(engine.fomaml_step(batch, cost, None, theta, 1, 0.05, **options)) == 2


def looking(cost, size):
    """Return a cost that is the same to the bit however it looks, while its gradient is not: by `size`, on NumPy's."""
    _, theta = arguments(np.float32)

    def looks(b, v):
        scale = size if type(b["x"]) is np.ndarray else 0.0
        return cost(b, v) + scale * anp.sum(v["b"] - theta["b"])

    return looks


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-4])
@pytest.mark.parametrize("cost", [a_difference, a_ratio, shares_of_a_whole])
def test_a_gradient_that_depends_on_how_a_cost_looks_is_refused(cost, size):
    """Terms of size 1 that cancel hide 64 u of them, 4·10⁻⁶, and no more: a planted difference above is refused."""
    batch, theta = arguments(np.float32)
    with pytest.raises(ValueDependence, match="plain arrays"):
        engine.fomaml_step(batch, looking(cost, size), None, theta, 1, 0.05, batched=False)


def test_a_small_share_of_a_gradient_that_does_not_cancel_is_refused_too():
    """A planted difference of a thousandth of the gradient is far above its rounding."""
    batch, theta = arguments(np.float32)
    cost = looking(lambda b, v: anp.sum(stretched(b, v) ** 2), 1e-3)
    with pytest.raises(ValueDependence, match="plain arrays"):
        engine.fomaml_step(batch, cost, None, theta, 1, 0.05, batched=False)


def test_an_inner_step_that_looks_is_refused_where_its_gradient_cancels():
    """A step that takes boxes for a reason to go a thousandth further leads further than rounding does."""
    batch, theta = arguments(np.float32)

    def step(w, dcdw, lr, /, *, stop_gradients):
        factor = 1.0 if type(w["b"]) is np.ndarray else 1.001
        return {"b": factor * w["b"] - lr * dcdw["b"]}

    with pytest.raises(ValueDependence, match="leads elsewhere"):
        engine.fomaml_step(
            batch, a_difference, None, theta, 1, 0.05, batched=False, inner_optimization_step=step
        )  # fmt: skip
