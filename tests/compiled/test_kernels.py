"""Products and transpositions of sizes that fill no whole number of vectors agree with the reference."""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine

pytestmark = pytest.mark.once  # arithmetic


def cost(data, v):
    hidden = anp.tanh(anp.matmul(data["x"][0], v["w"]))
    return anp.mean(anp.matmul(hidden, v["u"]) ** 2) + anp.sum(anp.matmul(hidden, v["c"]) ** 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shots", "features", "units"), [(3, 13, 12), (11, 4, 31), (1, 9, 5)])
def test_products_of_awkward_sizes(dtype, shots, features, units):
    """Matrix products whose sizes are no multiple of a tile are right in both precisions."""
    args = problem(dtype, shots, features, units)
    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)


def test_products_of_second_order_that_are_read_transposed_or_added():
    """Second order reads factors transposed and adds to what is there, and is right at awkward sizes."""
    args = problem(np.float32, 11, 4, 31)
    assert_same_answer(engine.maml_step, refmaml.maml_step, *args, batched=False)


def problem(dtype, shots, features, units):
    rng = np.random.default_rng(features)
    data = {"x": rng.normal(size=(3, shots, features)).astype(dtype)}
    shapes = {"w": (features, units), "u": (units, features), "c": (units,)}
    theta = {name: (0.3 * rng.normal(size=shape)).astype(dtype) for name, shape in shapes.items()}
    return data, cost, None, theta, 2, 0.01
