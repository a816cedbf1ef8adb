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


@pytest.mark.parametrize(("order", "dtype", "depth"), [(1, np.float64, 14), (2, np.float32, 6)])
def test_a_deep_network_whose_layers_come_again(order, dtype, depth):
    """A long program, whose equal loops are written once and called, gives the reference's answer."""
    rng = np.random.default_rng(order)
    width = 7

    def deep(data, v):
        h = data["x"][0]
        for layer in range(depth):
            z = anp.matmul(h, v["w"][layer]) + v["b"][layer]
            h = (anp.tanh(z) if layer % 2 else anp.maximum(z, 0.1 * z)) - 0.1 * anp.mean(h, axis=0)
        return anp.mean((h - data["y"][0]) ** 2)

    data = {name: rng.normal(size=(2, 5, width)).astype(dtype) for name in "xy"}
    theta = {
        "w": [(rng.normal(size=(width, width)) / 2).astype(dtype) for _ in range(depth)],
        "b": [rng.normal(size=width).astype(dtype) for _ in range(depth)],
    }
    steps = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}[order]
    assert_same_answer(*steps, data, deep, None, theta, 1, 0.01, batched=False)
    assert engine.emitted_sources()[-1].count("\n") > 500


def problem(dtype, shots, features, units):
    rng = np.random.default_rng(features)
    data = {"x": rng.normal(size=(3, shots, features)).astype(dtype)}
    shapes = {"w": (features, units), "u": (units, features), "c": (units,)}
    theta = {name: (0.3 * rng.normal(size=shape)).astype(dtype) for name, shape in shapes.items()}
    return data, cost, None, theta, 2, 0.01
