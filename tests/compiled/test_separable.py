"""Batched costs that are sums over tasks run one task at a time; those that mix tasks run as one program, and agree."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import logsumexp
from problems import assert_same_answer, batch, repeated, variables
from test_steps import STEPS, batched_cost, momentum

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.calls import plans, shortcut

pytestmark = pytest.mark.once  # arithmetic

TASKS = 4  # and other axes are as long, so that a size alone tells nothing


@pytest.fixture(autouse=True)
def _as_python(monkeypatch):
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    plans.clear()
    shortcut.forget()


def data(dtype=np.float64):
    """Return x of [4, 4, 3] and labels of [4, 4, 2], different for every task."""
    rng = np.random.default_rng(7)
    x = rng.uniform(0.3, 1.4, (TASKS, 4, 3)).astype(dtype)
    return {"x": x, "y": rng.uniform(0.2, 0.8, (TASKS, 4, 2)).astype(dtype)}


def theta(dtype=np.float64):
    """Return variables whose rows differ from the start."""
    rng = np.random.default_rng(8)
    shapes = {"w": (3, 2), "b": (2,), "s": (), "q": (4, 4)}
    return {name: rng.uniform(0.2, 0.9, (TASKS, *shape)).astype(dtype) for name, shape in shapes.items()}


def output(b, v):
    return anp.tanh(anp.matmul(b["x"], v["w"]) + v["b"][:, None]) * v["s"][:, None, None]


def error(b, v):
    return output(b, v) - b["y"]


def attention(b, v):
    scores = anp.matmul(anp.matmul(b["x"], anp.swapaxes(b["x"], 1, 2)), v["q"])
    weights = anp.exp(scores - anp.max(scores, axis=-1, keepdims=True))
    return anp.matmul(weights / anp.sum(weights, axis=-1, keepdims=True), output(b, v))


def heads(b, v):
    split = anp.reshape(output(b, v), (TASKS, 2, 2, 2))  # tasks, shots, heads: merged with the tasks in a product
    split = anp.swapaxes(split, 1, 2)
    return anp.matmul(split, anp.swapaxes(split, 2, 3))


FIXED = np.random.default_rng(9).uniform(0.5, 1.5, (2, 4))
REPEATED = np.repeat(FIXED[None], TASKS, axis=0)
SEPARABLE = {
    "the mean": lambda b, v: anp.mean(error(b, v) ** 2),
    "a sum over a literal": lambda b, v: anp.sum(error(b, v) ** 2) / 32.0,
    "two terms and a constant": lambda b, v: anp.mean(error(b, v) ** 2) + 0.1 * anp.mean(v["w"] ** 2) - 0.5,
    "less a negative": lambda b, v: 0.5 - -anp.mean(error(b, v) ** 2),
    "a product of a task's reductions": lambda b, v: anp.mean(
        anp.sum(error(b, v) ** 2, axis=(1, 2)) * anp.mean(v["q"] ** 2, axis=(1, 2))
    ),
    "root of a task's sum": lambda b, v: anp.mean(anp.sqrt(anp.sum(error(b, v) ** 2, axis=(1, 2)))),
    "constants that are the same for all": lambda b, v: anp.mean(
        (anp.matmul(output(b, v), REPEATED) - anp.matmul(output(b, v), FIXED)) ** 2 + output(b, v) @ REPEATED
    ),
    "the axis moved and back": lambda b, v: anp.mean(
        anp.moveaxis(anp.sin(anp.moveaxis(error(b, v), 0, 2)) * np.arange(1.0, 3.0)[:, None], 2, 0) ** 2
    ),
    "transposed": lambda b, v: anp.mean(anp.transpose(error(b, v)) ** 2 * np.arange(1.0, 3.0)[:, None, None]),
    "flattened with the shots": lambda b, v: anp.mean(
        logsumexp(anp.reshape(output(b, v), (-1, 2)), axis=1) - anp.sum(anp.reshape(output(b, v) * b["y"], (-1, 2)), 1)
    ),
    "flattened entirely": lambda b, v: anp.dot(anp.ravel(error(b, v)), anp.ravel(error(b, v))),
    "einsum over everything": lambda b, v: anp.einsum("tij,tij->", error(b, v), error(b, v)) / 7.0,
    "einsum by task": lambda b, v: anp.mean(anp.einsum("tnf,tfo,tno->t", b["x"], v["w"], b["y"]) ** 2),
    "attention": lambda b, v: anp.mean((attention(b, v) - b["y"]) ** 2),
    "heads": lambda b, v: anp.mean(heads(b, v) ** 3),
    "columns and parts": lambda b, v: anp.mean(error(b, v)[:, ::-1, 1] * error(b, v)[:, :, 0] + v["b"][:, :1]),
    "fancy columns": lambda b, v: anp.mean(error(b, v)[:, [0, 2, 2]] ** 2),
    "side by side": lambda b, v: anp.mean(
        anp.concatenate([error(b, v), output(b, v)[:, :3], np.ones((TASKS, 1, 2))], axis=1) ** 2
    ),
    "one after the other": lambda b, v: anp.mean(anp.concatenate([error(b, v), output(b, v)], axis=0) ** 2),
    "stacked": lambda b, v: anp.mean(anp.stack([error(b, v)[:, :, 0], b["y"][:, :, 1] * v["b"][:, 1:]], axis=1) ** 2),
    "running sums": lambda b, v: anp.mean(anp.cumsum(error(b, v), axis=1) ** 2),
    "extremes and choices": lambda b, v: anp.mean(
        anp.where(error(b, v) > 0, anp.max(output(b, v), axis=1, keepdims=True) * error(b, v), error(b, v) ** 2)
    ),
    "triangles": lambda b, v: anp.mean(anp.tril(v["q"]) ** 2) + anp.mean(anp.diagonal(v["q"], 0, -1, -2) ** 3)
    + anp.mean(error(b, v)),
}  # fmt: skip
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])
MIXING = {
    "a sum over tasks inside a nonlinearity": lambda b, v: anp.sqrt(anp.mean(error(b, v) ** 2)),
    "a product of two means": lambda b, v: anp.mean(error(b, v) ** 2) * anp.mean(v["w"] ** 2),
    "a quotient of two means": lambda b, v: anp.mean(error(b, v) ** 2) / anp.sum(v["q"]),
    "the mean over tasks of another": lambda b, v: anp.mean((error(b, v) - anp.mean(error(b, v), axis=0)) ** 2),
    "the variance": lambda b, v: anp.var(error(b, v)),
    "the worst task": lambda b, v: anp.max(anp.mean(error(b, v) ** 2, axis=(1, 2))),
    "weights of tasks": lambda b, v: anp.sum(WEIGHTS * anp.mean(error(b, v) ** 2, axis=(1, 2))),
    "the next task": lambda b, v: anp.mean((error(b, v) - anp.roll(error(b, v), 1, axis=0)) ** 2),
    "the tasks turned round": lambda b, v: anp.mean(error(b, v) * output(b, v)[::-1]),
    "a task of its own": lambda b, v: anp.mean(error(b, v) ** 2) + anp.sum(error(b, v)[0] ** 2),
    "shots as tasks": lambda b, v: anp.mean(error(b, v) * anp.swapaxes(output(b, v), 0, 1)),
    "an axis as long as the tasks": lambda b, v: anp.mean(v["q"] * anp.sum(error(b, v), axis=(1, 2))),
    "tasks against tasks": lambda b, v: anp.mean(anp.einsum("tij,sij->ts", error(b, v), output(b, v)) ** 2),
    "a running sum over tasks": lambda b, v: anp.mean(anp.cumsum(error(b, v), axis=0) ** 2),
    "flattened and running": lambda b, v: anp.mean(anp.cumsum(anp.ravel(error(b, v))) ** 2),
    "a softmax over tasks": lambda b, v: logsumexp(anp.mean(error(b, v), axis=(1, 2))),
    "reshaped across tasks": lambda b, v: anp.mean(
        anp.sum(anp.reshape(error(b, v), (2, TASKS, 4)), axis=2) * v["q"][0, 0, 0]
    ),
}  # fmt: skip


def is_separable():
    ((_, execution, _),) = plans._known.values()
    return execution.plan.separable


@pytest.mark.sampled(24)
@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("cost", SEPARABLE.values(), ids=SEPARABLE)
def test_a_sum_over_tasks_runs_one_task_at_a_time(cost, order):
    """However a cost keeps tasks apart, it is cut down to one of them, and the answer is the reference's."""
    args = (data(), cost, None, theta(), 2, 0.05)
    assert_same_answer(*STEPS[order], *args, return_inner_v="all")
    assert is_separable()


@pytest.mark.sampled(18)
@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("cost", MIXING.values(), ids=MIXING)
def test_a_cost_that_mixes_tasks_runs_as_one_program(cost, order):
    """However a cost mixes tasks, it is left as it is, and the answer is the reference's."""
    args = (data(), cost, None, theta(), 2, 0.02)
    assert_same_answer(*STEPS[order], *args, return_inner_v="all")
    assert not is_separable()


@pytest.mark.parametrize("costs", [("the mean", "the variance"), ("the variance", "the mean")], ids=str)
def test_both_costs_have_to_keep_tasks_apart(costs):
    """Where one of the two costs mixes tasks, nothing is cut."""
    inner, outer = ((SEPARABLE | MIXING)[name] for name in costs)
    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, data(), inner, outer, theta(), 2, 0.05)
    assert not is_separable()


def normalised(w, dcdw, lr, /, *, stop_gradients):
    """Go along the gradients of all tasks, divided by their common length."""
    length = anp.sqrt(sum(anp.sum(leaf**2) for leaf in dcdw.values()))
    return {name: w[name] - lr * leaf / length for name, leaf in dcdw.items()}


RATES = {
    "by leaf": ({"w": 0.1, "b": np.array([0.02, 0.03]), "s": 0.01, "q": 0.05}, True),
    "the same row": (np.array([[0.07]]), True),
    "by task": ({"w": 0.1, "b": 0.02 * WEIGHTS[:, None], "s": 0.01, "q": 0.05}, False),
}


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize(("rate", "separable"), RATES.values(), ids=RATES)
def test_rates_of_leaves_are_shared_and_those_of_tasks_are_not(rate, separable, order):
    """A rate for each leaf holds for every task; one that differs from task to task leaves all in one program."""
    cost = SEPARABLE["two terms and a constant"]
    args = (data(), cost, None, theta(), 2, rate)
    if isinstance(rate, np.ndarray):
        args = (data(), lambda b, v: anp.mean(v["b"] ** 2), None, {"b": theta()["b"]}, 2, rate)
    assert_same_answer(*STEPS[order], *args)
    assert is_separable() is separable


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize(("step", "separable"), [(momentum, True), (normalised, False)])
def test_inner_steps_may_mix_tasks_too(step, separable, order):
    """An inner step that moves every row by its own gradient is cut; one that normalises all of them is not."""
    args = (data(), SEPARABLE["the mean"], None, theta(), 2, 0.05)
    assert_same_answer(*STEPS[order], *args, inner_optimization_step=step)
    assert is_separable() is separable


OPTIONS = {
    "averaged": {"average_across_steps": True},
    "a selection": {"inner_v": "w", "outer_v": ["b", "w"], "return_inner_v": "first"},
    "three of four tasks": {"num_tasks": 3},
    "batch functions": {
        "inner_batch_fn": lambda b: {name: leaf[:, :1] for name, leaf in b.items()},
        "outer_batch_fn": lambda b: {name: leaf[:, 1:] for name, leaf in b.items()},
    },
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_of_separable_costs(options, order, dtype):
    """Averaging, selections, fewer tasks and batch functions give the reference's answer from the cut program."""
    args = (data(dtype), SEPARABLE["two terms and a constant"], None, theta(dtype), 3, 0.05)
    assert_same_answer(*STEPS[order], *args, **options)
    assert is_separable()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.05, {"w": 0.1, "b": 0.02, "s": 0.01, "q": 0.05}], ids=["number", "by leaf"])
def test_reptile_of_separable_costs(rate, dtype):
    """Reptile goes back from every task's own variables, which differ from the start."""
    cost = SEPARABLE["two terms and a constant"]
    args = (data(dtype), cost, theta(dtype), 3, rate)
    assert_same_answer(engine.reptile_step, refmaml.reptile_step, *args, return_inner_v="all")
    assert is_separable()


def test_the_workspace_does_not_grow_with_the_tasks():
    """Nothing that a thread keeps for a separable cost depends on the number of tasks."""
    sizes = []
    for tasks in (3, 30):
        plans.clear()
        args = (batch(tasks=tasks), batched_cost, None, repeated(variables(), tasks), 2, 0.05)
        engine.fomaml_step(*args)
        ((_, execution, _),) = plans._known.values()
        sizes.append((execution.plan.sizes, execution.plan.totals))
    assert sizes[0] == sizes[1]


def test_a_repeated_call_sees_the_new_rows_and_the_new_data(monkeypatch):
    """The second and third call, by the remembered structure, answer for what they are given, in machine code too."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 0)
    cost = SEPARABLE["the mean"]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        new = {name: rng.uniform(0.2, 0.9, leaf.shape) for name, leaf in theta().items()}
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, data(), cost, None, new, 2, 0.05 * (seed + 1))
        assert_same_answer(
            engine.fomaml_step, refmaml.fomaml_step, data(), cost, None, new, 2, 0.05, num_tasks=3,
            average_across_steps=True,
        )  # fmt: skip


def test_a_rate_that_float32_cannot_hold_times_the_tasks_is_refused_again():
    """After a call of the same structure, too, a rate that overflows times the number of tasks is an error."""
    args = (data(np.float32), SEPARABLE["the mean"], None, theta(np.float32), 1)
    engine.fomaml_step(*args, 0.05)
    with pytest.raises(engine.UnsupportedPrimitive, match="times 4 tasks"):
        engine.fomaml_step(*args, 3e38)
