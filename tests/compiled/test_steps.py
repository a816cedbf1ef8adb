"""The compiled steps give the reference's answers, for every option, in both modes, orders and precisions."""

import ctypes

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer, batch, repeated, variables

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.machine import runtime
from refmaml.containers import flatten

STEPS = {"first": (engine.fomaml_step, refmaml.fomaml_step), "second": (engine.maml_step, refmaml.maml_step)}


def cost(data, v):
    hidden = anp.tanh(anp.matmul(data["x"], v["hidden"]["w"]) + v["hidden"]["b"])
    error = anp.matmul(hidden, v["out"][0]) + v["out"][1] - data["y"]
    return anp.mean(error**2)


def batched_cost(data, v):
    hidden = anp.tanh(anp.matmul(data["x"], v["hidden"]["w"]) + v["hidden"]["b"][:, None])
    error = anp.matmul(hidden, v["out"][0]) + v["out"][1][:, None] - data["y"]
    return anp.mean(error**2)


def outer_cost(data, v):
    return anp.sum(anp.abs(anp.matmul(data["x"], v["hidden"]["w"]))) + anp.sum(v["out"][0] ** 3)


def three_parameter_cost(data, inner, outer):
    hidden = anp.tanh(anp.matmul(data["x"], inner["hidden"]["w"]) + inner["hidden"]["b"])
    error = anp.matmul(hidden, outer["out"][0]) + outer["out"][1] - data["y"]
    return anp.mean(error**2) + 0.1 * anp.sum(inner["hidden"]["w"] * outer["hidden"]["w"])


def halves(which):
    return lambda data: {name: leaf[:, which] for name, leaf in data.items()}


def ragged(data):
    rows = 2 if data["x"][0, 0, 0] > 0 else 3
    return {name: leaf[:, :rows] for name, leaf in data.items()}


def momentum(w, dcdw, lr, /, *, stop_gradients):
    return engine.gradient_descent_update(
        w, refmaml.containers.map_leaves(lambda g: g / (1.0 + anp.abs(g)), dcdw), lr, stop_gradients=stop_gradients
    )


OPTIONS = {
    "plain": {},
    "average": {"average_across_steps": True},
    "adapted": {"return_inner_v": "all"},
    "adapted first": {"return_inner_v": "first"},
    "two tasks": {"num_tasks": 2},
    "inner leaf": {"inner_v": "hidden/w"},
    "all but a branch": {"inner_v": "hidden", "keep_inner_v": False, "outer_v": ["out/0", "hidden/b"]},
    "outer mapping": {"outer_v": {"hidden": {"w": True, "b": False}, "out": [False, True]}},
    "batch functions": {"inner_batch_fn": halves(slice(0, 2)), "outer_batch_fn": halves(slice(2, 4))},
    "unequal halves": {"inner_batch_fn": halves(slice(0, 3)), "outer_batch_fn": halves(slice(3, 4))},
    "per-task shapes": {"inner_batch_fn": ragged, "return_inner_v": "all"},
    "per-task selections": {"outer_v": [["hidden/w"], None, ["hidden/w", "out/1"]], "inner_v": [None, "out", None][:0]},
    "custom step": {"inner_optimization_step": momentum, "return_inner_v": "all"},
    "custom step, averaged": {"inner_optimization_step": momentum, "average_across_steps": True, "inner_v": "out"},
}
OPTIONS["per-task selections"].pop("inner_v")


@pytest.mark.once
@pytest.mark.sampled(18)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_in_loop_mode(order, options, dtype):
    """With each option of the interface, one task after the other, the engine answers as the reference does."""
    compiled, reference = STEPS[order]
    args = (batch(dtype), cost, None, variables(dtype), 3, 0.05)
    assert_same_answer(compiled, reference, *args, batched=False, **options)


@pytest.mark.once
@pytest.mark.sampled(8)
@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("name", ["plain", "average", "adapted", "adapted first", "two tasks", "inner leaf",
                                  "batch functions", "custom step"])  # fmt: skip
def test_every_option_in_batched_mode(order, name):
    """With each option that batched mode has the engine answers as the reference does."""
    compiled, reference = STEPS[order]
    tasks = OPTIONS[name].get("num_tasks", 3)
    args = (batch(), batched_cost, None, repeated(variables(), tasks), 3, 0.05)
    assert_same_answer(compiled, reference, *args, batched=True, **OPTIONS[name])


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("steps", [0, 1])
def test_an_outer_cost_of_its_own(order, steps):
    """An outer cost that is another function than the inner one is differentiated at the adapted variables."""
    compiled, reference = STEPS[order]
    assert_same_answer(compiled, reference, batch(), cost, outer_cost, variables(), steps, 0.05, batched=False)


@pytest.mark.parametrize("order", STEPS)
def test_a_cost_that_is_a_matrix_product(order):
    """A cost whose last operation is a product of two vectors is the reference's."""

    def product(data, v):
        error = anp.ravel(data["x"][0] * v["w"] - data["y"][0])
        return anp.dot(error, error)

    theta = {"w": np.array([0.5, -0.7])}
    assert_same_answer(*STEPS[order], batch(), product, None, theta, 2, 0.05, batched=False)


@pytest.mark.parametrize("jit", [False, True])
def test_loops_over_six_axes(jit, monkeypatch):
    """Six indices of one loop hide nothing that the rest of a second-order step reads, as plain Python either."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", int(not jit))

    def waves(data, v):
        return anp.sum(anp.sin(anp.transpose(data["x"][0], (5, 3, 1, 4, 2, 0)) * v["w"]) * anp.tanh(v["w"]))

    rng = np.random.default_rng(6)
    data, theta = {"x": rng.normal(size=(2, 2, 3, 2, 3, 2, 3))}, {"w": rng.normal(size=(3, 3, 3, 2, 2, 2))}
    assert_same_answer(*STEPS["second"], data, waves, None, theta, 2, 0.1, batched=False)


@pytest.mark.parametrize("order", STEPS)
def test_the_three_parameter_form_counts_every_path(order):
    """A cost of inner and outer variables has the gradient of both ways in which a variable enters."""
    compiled, reference = STEPS[order]
    args = (batch(), three_parameter_cost, None, variables(), 2, 0.05)
    options = {"inner_v": "hidden", "outer_v": ["hidden/w", "out"]}
    assert_same_answer(compiled, reference, *args, batched=False, **options)


RATES = {
    "per leaf": {"hidden": {"w": 0.1, "b": 0.02}, "out": [0.05, np.array(0.03)]},
    "array": np.array([0.07]),
    "integer": 0,
}


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
def test_learning_rates_of_every_kind(order, rate):
    """A rate for all, for a branch or for each leaf moves each leaf as in the reference."""
    compiled, reference = STEPS[order]
    assert_same_answer(compiled, reference, batch(), cost, None, variables(), 3, rate, batched=False)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("rate", [0.05, RATES["per leaf"]], ids=["number", "per leaf"])
def test_reptile(batched, rate):
    """Reptile is the reference's in both modes, with one rate and with a rate for each leaf."""
    function, theta = (batched_cost, repeated(variables())) if batched else (cost, variables())
    assert_same_answer(
        engine.reptile_step, refmaml.reptile_step, batch(), function, theta, 3, rate, batched=batched,
        return_inner_v="all",
    )  # fmt: skip


@pytest.mark.parametrize("order", STEPS)
def test_precisions_may_be_mixed(order):
    """Where a float32 leaf takes part, float32's rounding bounds every leaf."""
    theta = variables(np.float32)
    theta["out"][0] = theta["out"][0].astype(np.float64)
    compiled, reference = STEPS[order]
    answer = assert_same_answer(compiled, reference, batch(), cost, None, theta, 2, 0.05, batched=False)
    assert [leaf.dtype for leaf in answer[1]["out"]] == [np.float64, np.float32]


def test_nothing_that_is_returned_shares_memory_with_the_inputs():
    """Without inner steps, too, writing into what comes back leaves data and variables as they were."""
    data, theta = batch(), variables()
    before = [np.array(leaf) for leaf in (*data.values(), theta["out"][0])]
    _, gradients, adapted = engine.fomaml_step(data, cost, None, theta, 0, 0.1, batched=False, return_inner_v=True)
    for leaf in (gradients["out"][0], adapted["out"][0]):
        leaf[...] = 7.0
    for leaf, was in zip((*data.values(), theta["out"][0]), before, strict=True):
        np.testing.assert_array_equal(leaf, was)


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    """Cost and gradients of 41 tasks are bit by bit the same from 1, 2, 3 and 7 threads."""
    monkeypatch.setattr("refmaml.compiled.running.execution._WORTH_WAKING", 1e-9)
    args = (batch(tasks=41, dtype=np.float32), cost, None, variables(np.float32), 3, 0.05)
    answers = [engine.fomaml_step(*args, batched=False, num_threads=threads) for threads in (1, 2, 3, 7)]
    for value, gradients in answers[1:]:
        assert value == answers[0][0]
        assert gradients["hidden"]["w"].tobytes() == answers[0][1]["hidden"]["w"].tobytes()


class LateCrew:
    """A helper that takes the first chunk, writes nonsense and does not finish."""

    def share(self, function, mine, theirs, keeps, seconds):
        """Claim a chunk, spoil it, and have it unfinished."""
        counter = ctypes.c_int64.from_address(ctypes.c_int64.from_address(theirs[0]).value)
        counter.value += 1
        ctypes.CFUNCTYPE(None, ctypes.c_int64)(function)(mine)
        late, _, _ = keeps
        late.out[np.dtype(np.float32)][0] = np.nan
        late.costs[0] = np.nan
        return False


@pytest.mark.skipif(runtime._setting("DISABLE_JIT"), reason="helpers run machine code only")
def test_a_chunk_that_a_helper_does_not_finish_is_computed_again(monkeypatch):
    """What a late helper spoiled is computed again, and the answer is that of one thread."""
    args = (batch(tasks=41, dtype=np.float32), cost, None, variables(np.float32), 3, 0.05)
    options = {"batched": False, "return_inner_v": "all"}
    expected = engine.fomaml_step(*args, **options, num_threads=1)
    monkeypatch.setattr("refmaml.compiled.running.execution._WORTH_WAKING", 1e-9)
    monkeypatch.setattr("refmaml.compiled.running.execution.CREW", LateCrew())
    value, gradients, adapted = engine.fomaml_step(*args, **options, num_threads=2)
    assert value == expected[0]
    for mine, theirs in ((gradients, expected[1]), (adapted, expected[2])):
        assert mine["hidden"]["w"].tobytes() == theirs["hidden"]["w"].tobytes()


def test_nan_and_infinity_come_out_as_the_reference_gives_them():
    """NaN in one task and infinity in another reach the answer where the reference has them."""
    data = batch()
    data["x"][1, 0, 0], data["x"][2, 1, 1] = np.nan, np.inf
    with np.errstate(all="ignore"):
        assert_same_answer(
            engine.fomaml_step, refmaml.fomaml_step, data, cost, None, variables(), 2, 0.05, batched=False,
            return_inner_v="all",
        )  # fmt: skip


def test_a_variable_that_the_cost_does_not_use_has_a_zero_gradient():
    """An idle variable's gradient is zeros of its shape."""
    theta = variables() | {"idle": np.ones((2, 2), np.float32)}
    answer = assert_same_answer(engine.maml_step, refmaml.maml_step, batch(), cost, None, theta, 2, 0.05, batched=False)
    np.testing.assert_array_equal(answer[1]["idle"], np.zeros((2, 2)))


def test_inside_an_enclosing_trace_the_reference_answers():
    """Differentiated through by autograd, the engine's step has the gradient that the reference's has."""
    from autograd import grad

    def through(step):
        return lambda v: step(batch(), cost, None, v, 2, 0.05, batched=False, stop_gradients=False)[0]

    got, expected = (grad(through(step))(variables()) for step in (engine.fomaml_step, refmaml.fomaml_step))
    for chain, leaf in flatten(expected):
        np.testing.assert_array_equal(dict(flatten(got))[chain], leaf)
