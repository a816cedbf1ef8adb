"""What a recording keeps of a cost: its calls and their forms, and no numbers but constants."""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.program.program import same_everywhere
from refmaml.compiled.recording.record import recorded, value_and_gradients


def _cost(boxes):
    hidden = anp.tanh(boxes["x"] @ boxes["w"]) + np.zeros((500, 8))
    values, vectors = anp.linalg.eigh(hidden.T @ hidden)
    return anp.sum(values**2) + anp.sum(anp.stack([hidden, hidden]) ** 2) + vectors[0, 0]


def test_a_tape_holds_the_form_of_each_result_alone():
    """Each array of it is one number everywhere: it would hold the memory of all tasks until the last gradient."""
    data = {"x": np.ones((500, 4)), "w": np.arange(32.0).reshape(4, 8)}
    tape, _, results = recorded(
        lambda boxes: value_and_gradients(lambda moving: _cost({**boxes, **moving}), {"w": boxes["w"]})[1], data
    )
    arrays = [
        part
        for entry in tape.entries
        for part in (entry.value if isinstance(entry.value, tuple) else [entry.value])
        if isinstance(part, np.ndarray) and part.ndim
    ]
    assert {array.shape for array in arrays} >= {(500, 8), (4, 8), (2, 500, 8), (8,), (8, 8)}
    assert not any(stride for array in arrays for stride in array.strides)
    assert results["w"].shape == (4, 8)


def test_constants_that_are_one_number_take_no_memory():
    """What a cost makes with `zeros` is as large as what it is added to."""
    tape, _, _ = recorded(lambda boxes: {"y": boxes["x"] + np.zeros((500, 4))}, {"x": np.ones((500, 4))})
    (constant,) = (arg for entry in tape.entries for arg in entry.args if isinstance(arg, np.ndarray))
    assert constant.shape == (500, 4)
    assert not any(constant.strides)


@pytest.mark.parametrize(
    ("array", "number"),
    [
        (np.full((2, 3), 0.5), 0.5),
        (np.broadcast_to(np.array(7), (4, 1)), 7),
        (np.array([[0.0, -0.0]]), None),  # they differ in what 1 / x is
        (np.array([np.nan, np.nan]), np.nan),
        (np.array([1, 2]), None),
        (np.zeros((0, 2)), None),
        (np.array(3.0), 3.0),
        (np.array(["a", "a"], object), None),
    ],
)
def test_the_number_that_an_array_has_everywhere(array, number):
    """It is compared to the bit."""
    found = same_everywhere(array)
    assert (found is None) == (number is None)
    if found is not None:
        assert found.shape == ()
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, number)


@pytest.mark.parametrize(
    "likeness",
    [
        anp.zeros_like,
        anp.ones_like,
        lambda x: anp.full_like(x, 0.25),
        lambda x: anp.full_like(x, np.array([1.0, 2.0, 3.0])),
        lambda x: anp.full_like(x, 2, dtype=np.float64),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_like_a_variable(likeness, dtype):
    """Nothing of the variable but its shape and dtype is in them."""
    theta = {"w": np.array([0.5, -1.0, 2.0], dtype)}
    data = {"x": np.array([[1.0, 2.0, 0.5], [3.0, 5.0, 1.0]], dtype)}

    def cost(b, v):
        return anp.mean((b["x"] * v["w"] + likeness(v["w"])) ** 2)

    assert_same_answer(engine.maml_step, refmaml.maml_step, data, cost, None, theta, 2, 0.01, batched=False)
