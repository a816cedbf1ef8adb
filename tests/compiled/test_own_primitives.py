"""A user's own primitive is recorded as what its function calls, with the user's derivatives."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import ValueDependence

DATA = {"x": np.random.default_rng(3).normal(size=(2, 3)) + 0.2}
THETA = {"w": np.array([0.4, -0.3, 0.7])}
ARGS = (None, THETA, 2, 0.05)


def _clipped(slope):
    """Return a primitive whose derivative is the user's own, not that of its function."""

    @primitive
    def clipped(x, limit=1.0):
        return np.minimum(np.maximum(x, -limit), limit)

    defvjp(clipped, lambda ans, x, limit=1.0: lambda g: slope * g * anp.exp(-(x**2)))
    return clipped


@pytest.mark.parametrize("order", [1, 2])
def test_the_derivative_of_a_primitive_is_the_users(order):
    """Both orders use the derivative that the user gave, which is not that of the function."""
    own = _clipped(0.7)
    name = {1: "fomaml_step", 2: "maml_step"}[order]

    def cost(b, v):
        return anp.sum(own(b["x"][0] * v["w"], limit=0.3) ** 2)

    assert_same_answer(getattr(engine, name), getattr(refmaml, name), DATA, cost, *ARGS, batched=False)


def test_another_derivative_is_noticed():
    """A derivative that is defined anew, or that reads something that changes, leads to another trace."""
    slopes = [0.7]

    @primitive
    def own(x):
        return np.tanh(x)

    def cost(b, v):
        return anp.sum(own(b["x"][0] * v["w"]))

    defvjp(own, lambda ans, x: lambda g: slopes[0] * g)
    for change in (lambda: None, lambda: slopes.__setitem__(0, -2.0), lambda: defvjp(own, lambda ans, x: lambda g: g)):
        change()
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, DATA, cost, *ARGS, batched=False)


def test_a_primitive_that_looks_at_its_arguments_is_refused():
    """A primitive that gives something else on plain arrays, or reads a number, is refused with its line."""

    @primitive
    def looking(x):
        return x * (2.0 if type(x) is np.ndarray else 3.0)

    @primitive
    def reading(x):
        return x if x[0] > 0 else -x

    for own in (looking, reading):
        defvjp(own, lambda ans, x: lambda g: g)
        with pytest.raises(ValueDependence, match=r"test_own_primitives\.py:\d+"):
            engine.fomaml_step(DATA, lambda b, v, own=own: anp.sum(own(b["x"][0] * v["w"])), *ARGS, batched=False)
