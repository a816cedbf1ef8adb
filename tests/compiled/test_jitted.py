"""The step inside of a user's own Numba loop: the bits of the step that Python calls, and errors before it reads."""

from __future__ import annotations

import autograd.numpy as np
import numba
import numpy as onp
import pytest
from autograd.scipy.special import logsumexp

import refmaml.compiled as engine

RATE, OUTER_RATE = 0.25, 0.1


def classify(batch, variables):
    logits = np.dot(np.tanh(np.dot(batch["x"][0], variables["w"])), variables["head"]["w"]) + variables["head"]["b"]
    chosen = logits[onp.arange(len(logits)), batch["label"][0]]
    return np.mean(logsumexp(logits, axis=1) - chosen)


def squared(batch, variables):
    return np.mean(np.dot(batch["x"][0], variables["w"]) ** 2)


def half(first):
    return lambda batch: {name: leaf[:, first::2] for name, leaf in batch.items()}


def made(tasks, dtype, seed=0):
    rng = onp.random.default_rng(seed)
    batch = {"x": rng.normal(size=(tasks, 6, 3)).astype(dtype), "label": rng.integers(0, 4, (tasks, 6))}
    variables = {
        "w": rng.normal(size=(3, 5)).astype(dtype),
        "head": {"w": rng.normal(size=(5, 4)).astype(dtype), "b": onp.zeros(4, dtype)},
    }
    return batch, variables


def leaves(variables):
    return variables["w"], variables["head"]["w"], variables["head"]["b"]


@pytest.fixture(scope="module")
def second():
    """A second-order step in float32, averaged over the inner steps, on one batch for both loops."""
    batch, variables = made(2, onp.float32)
    return engine.jitted_step(batch, classify, None, variables, order=2, average_across_steps=True)


def test_a_training_loop_of_numba_has_the_bits_of_the_loop_of_python():
    """Gradient descent on the meta-gradient, inside of one @njit function, on more tasks than were traced."""
    batch, variables = made(2, onp.float64)
    batches = {"inner_batch_fn": half(0), "outer_batch_fn": half(1)}
    step = engine.jitted_step(batch, classify, None, variables, **batches)

    @numba.njit
    def train(w, head, bias, data, count):
        gradients = (onp.empty_like(w), onp.empty_like(head), onp.empty_like(bias))
        costs = onp.zeros(count)
        for turn in range(count):
            costs[turn] = step((w, head, bias), data, 3, RATE, gradients)
            w -= OUTER_RATE * gradients[0]
            head -= OUTER_RATE * gradients[1]
            bias -= OUTER_RATE * gradients[2]
        return costs

    more, start = made(70, onp.float64, seed=1)
    got = [leaf.copy() for leaf in leaves(start)]
    parts = [batches[f"{loop}_batch_fn"](more) for loop in ("inner", "outer")]
    data = tuple(onp.ascontiguousarray(part[name]) for part in parts for name in ("x", "label"))
    costs = train(*got, data, 4)
    for turn in range(4):
        cost, gradients = engine.fomaml_step(more, classify, None, start, 3, RATE, batched=False, **batches)
        assert costs[turn] == cost
        for leaf, gradient in zip(leaves(start), leaves(gradients), strict=True):
            onp.subtract(leaf, OUTER_RATE * gradient, out=leaf)
    for ours, expected in zip(got, leaves(start), strict=True):
        assert onp.array_equal(ours, expected)


@pytest.mark.parametrize("steps", [0, 2, 5])
def test_second_order_in_single_precision_has_the_bits_of_maml_step(second, steps):
    """For any number of inner steps, cost and gradients are those of `maml_step`, and the cost has its dtype."""
    batch, variables = made(3, onp.float32, seed=2)
    gradients = tuple(onp.zeros_like(leaf) for leaf in leaves(variables))
    cost = second(leaves(variables), (batch["x"], batch["label"]), steps, RATE, gradients)
    options = {"batched": False, "average_across_steps": True}
    expected, right = engine.maml_step(batch, classify, None, variables, steps, RATE, **options)
    assert onp.float32(cost) == expected
    assert all(map(onp.array_equal, gradients, leaves(right)))


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (
            {"variables": lambda arrays: (arrays[0][:2].copy(), *arrays[1:])},
            ValueError,
            "variables: expected arrays of",
        ),
        ({"batch": lambda arrays: (arrays[0][:, :5].copy(), arrays[1])}, ValueError, "batch: expected arrays of"),
        ({"batch": lambda arrays: (arrays[0][:1].copy(), arrays[1])}, ValueError, "batch: expected arrays of"),
        ({"gradients": lambda arrays: (arrays[0][:2].copy(), *arrays[1:])}, ValueError, "gradients: expected arrays"),
        ({"steps": lambda _: -1}, ValueError, "inner_grad_steps: expected 0 or more"),
        ({"batch": lambda arrays: (arrays[0], arrays[1] + 9)}, ValueError, "an index outside of its axis"),
        ({"variables": lambda arrays: tuple(leaf.astype(float) for leaf in arrays)}, TypeError, "No matching"),
        ({"variables": lambda arrays: (arrays[0].T.copy().T, *arrays[1:])}, TypeError, "No matching"),
    ],
)
def test_what_does_not_fit_is_refused(second, change, error, sentence):
    """Arrays of other sizes and types, and an index outside of its axis, are errors, and no memory is read for them."""
    batch, variables = made(2, onp.float32)
    given = {
        "variables": leaves(variables), "batch": (batch["x"], batch["label"]), "steps": 1, "rate": RATE,
        "gradients": leaves(variables),
    }  # fmt: skip
    given |= {name: made_from(given[name]) for name, made_from in change.items()}
    with pytest.raises(error, match=sentence):
        second(*given.values())


def test_what_cannot_be_made(monkeypatch):
    """Another order, tasks of several shapes, and Numba without a compiler are refused when the step is made."""
    batch, variables = made(2, onp.float64)
    with pytest.raises(ValueError, match="order: expected 1 or 2, but got 3"):
        engine.jitted_step(batch, classify, None, variables, order=3)
    turns = iter(range(10))

    def ragged(data):
        count = 5 + next(turns) % 2
        return {name: leaf[:, :count] for name, leaf in data.items()}

    with pytest.raises(engine.UnsupportedPrimitive, match="expected tasks of one shape"):
        engine.jitted_step(batch, squared, None, variables, inner_batch_fn=ragged)
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    with pytest.raises(engine.UnsupportedPrimitive, match="expected machine code"):
        engine.jitted_step(batch, squared, None, variables)
