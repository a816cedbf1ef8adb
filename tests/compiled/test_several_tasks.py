"""Small tasks are computed several at once, each in a lane of the vector registers: any number of them, in both modes.

In plain Python, and in machine code with checks, one task at a time is computed, with the same answers.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer, lanes_of_the_last_call

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.machine import runtime

RNG = np.random.default_rng(3)
STEPS, RATE = 2, 0.1


def made(tasks, dtype, shots=5):
    batch = {"x": RNG.normal(size=(tasks, shots, 3)), "y": np.sign(RNG.normal(size=(tasks, shots, 1)))}
    variables = {"w": RNG.normal(size=(3, 1)), "b": RNG.normal(size=1)}
    return tuple({name: leaf.astype(dtype) for name, leaf in tree.items()} for tree in (batch, variables))


def cost(batch, v):
    errors = batch["y"][0] * (anp.matmul(batch["x"][0], v["w"]) + v["b"])
    return anp.mean(anp.log1p(anp.exp(-errors))) + anp.sum(anp.where(errors > 0, errors, anp.tanh(errors)) ** 2)


def cost_of_all(batch, v):
    errors = batch["y"] * (anp.matmul(batch["x"], v["w"]) + v["b"][:, None])
    return anp.mean(anp.log1p(anp.exp(-errors)) + errors**2)


def half(first):
    return lambda batch: {name: leaf[:, first::2] for name, leaf in batch.items()}


@pytest.mark.parametrize("tasks", [1, 7, 16, 19, 33, 600])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_tasks(dtype, tasks):
    """Whether the tasks fill the last lanes or leave some of them empty, the answer is the reference's."""
    batch, variables = made(tasks, dtype)
    options = {"batched": False, "average_across_steps": tasks % 2 == 0}
    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, batch, cost, None, variables, STEPS, RATE, **options)
    assert lanes_of_the_last_call() == runtime.lanes_of(np.dtype(dtype))


@pytest.mark.parametrize("options", [
    {"return_inner_v": "all"}, {"return_inner_v": "first"}, {"inner_batch_fn": half(0), "outer_batch_fn": half(1)},
    {"inner_batch_fn": lambda batch: half(0)(half(0)(batch)), "outer_batch_fn": half(1)}, {"outer_v": {"w": True}},
])  # fmt: skip
@pytest.mark.parametrize("tasks", [16, 21])
def test_options(tasks, options):
    """Adapted variables, data of the two loops and selections are those of each task."""
    batch, variables = made(tasks, np.float64, shots=6)
    args = (batch, cost, None, variables, STEPS, RATE)
    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False, **options)
    assert lanes_of_the_last_call() == runtime.lanes_of(batch["x"].dtype)


@pytest.mark.parametrize("tasks", [8, 21])
def test_batched_mode(tasks):
    """In batched mode every lane has variables of its own."""
    batch, variables = made(tasks, np.float32)
    rows = {name: RNG.normal(size=(tasks, *leaf.shape)).astype(np.float32) for name, leaf in variables.items()}
    args = (batch, cost_of_all, None, rows, STEPS, RATE)
    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=True, return_inner_v="all")
    assert lanes_of_the_last_call() == runtime.lanes_of(batch["x"].dtype)


@pytest.mark.parametrize("extreme", [np.inf, np.nan])
@pytest.mark.parametrize("position", [0, 18])
def test_what_is_not_finite_stays_in_its_task(position, extreme):
    """Infinity and NaN of one task, the last one too, are those of the reference, and other lanes do not see them."""
    batch, variables = made(19, np.float64)
    batch["x"][position, 0, 0] = extreme
    args = (batch, lambda b, v: anp.sum(b["x"][0] @ v["w"] * b["y"][0]), None, variables, STEPS, RATE)
    with np.errstate(all="ignore"):
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)


def test_the_number_of_threads_does_not_show():
    """With more threads the answer has the same bits."""
    batch, variables = made(2000, np.float32)
    one, two = (
        engine.fomaml_step(batch, cost, None, variables, STEPS, RATE, batched=False, num_threads=threads)
        for threads in (1, 3)
    )
    assert one[0] == two[0]
    assert all(np.array_equal(one[1][name], two[1][name]) for name in variables)


def test_a_large_task_has_all_lanes_for_itself():
    """What does not fit into a cache several times is computed one task after the other."""
    batch = {"x": RNG.normal(size=(3, 40, 30))}
    engine.fomaml_step(
        batch, lambda b, v: anp.sum((b["x"][0] @ v["w"]) ** 2), None, {"w": RNG.normal(size=30)}, 1, 0.1, batched=False
    )
    assert lanes_of_the_last_call() == 1
