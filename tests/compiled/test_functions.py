"""NumPy's functions that are recorded as others: on the first batch, and compiled for it on a second one."""

import autograd.numpy as anp
import autograd.scipy.special as asp
import numpy as np
import pytest
from problems import assert_same_answer
from test_refusals import batch, cost_of, theta

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.errors import CompilationRefused

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:[rc]_ is slow"), pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]  # fmt: skip
STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}
EDGES = np.array([-0.5, 0.0, 0.5])


def _made(b, v):
    filled = anp.empty_like(v["w"])
    filled[:, 1] = b["y"]
    filled[:, :1] = filled[:, 2:] = 3.0
    return filled * v["w"]


# By variables too, as far as autograd has derivatives.
OF_VARIABLES = {
    "c_": lambda b, v: anp.c_[b["x"] * v["w"], b["y"], np.ones(6)] * np.arange(1.0, 7.0),
    "c_ of vectors": lambda b, v: anp.c_[v["w"][:, 0], v["w"][:, 1] ** 2] @ np.array([1.0, 3.0]),
    "r_": lambda b, v: anp.r_[v["s"], b["y"], 2.0, v["w"][0], [1.0, 4.0]] * np.arange(1.0, 15.0),
    "r_ of matrices": lambda b, v: anp.r_[b["x"], v["w"]] * np.arange(1.0, 5.0), "empty_like": _made,
    "linspace": lambda b, v: anp.linspace(0.5, v["s"], 5) * np.arange(5.0) + anp.linspace(v["s"] ** 2, b["y"][0], 5),
    "logsumexp with weights": lambda b, v: asp.logsumexp(b["x"] * v["w"], 1, anp.maximum(b["x"], 0.0) + 0.1),
    "logsumexp with constants": lambda b, v: asp.logsumexp(b["x"] * v["w"], axis=0, b=np.array([0.5, 0.0, 2.0, 1.0])),
    "convolve": lambda b, v: anp.convolve(b["y"], v["w"][:3, 0]) * np.arange(1.0, 9.0),
    "convolve with a longer one": lambda b, v: anp.convolve(v["t"][0] ** 2, b["y"], "same") * np.arange(1.0, 7.0),
    "convolve valid": lambda b, v: anp.convolve(v["w"][:, 1], b["y"][:2], mode="valid") ** 2,
    "cross": lambda b, v: anp.cross(b["x"][:, :3], v["w"][:, 1:]) ** 2,
    "cross of columns": lambda b, v: anp.cross(b["x"][:3], v["w"][3:], axis=0) ** 2,
    "gradient": lambda b, v: anp.gradient(b["y"] * v["w"][:, 0]) ** 2,
    "gradient along an axis": lambda b, v: anp.gradient(b["x"] * v["w"], axis=0) ** 2,
}  # fmt: skip

OF_DATA = {
    "c_": lambda b: np.c_[b["x"], b["y"], b["n"]] * np.arange(6.0), "r_": lambda b: np.r_[b["y"], 2.0, b["n"]],
    "dstack": lambda b: np.dstack([b["x"], b["x"] ** 2]) * np.arange(2.0), "dstack of rows": lambda b: anp.dstack(
        (b["y"], b["n"])) * np.arange(2.0),
    "block": lambda b: np.block([[b["x"], b["y"][:, None]], [b["x"] ** 2, np.ones((6, 1))]]) * np.arange(5.0),
    "block of vectors": lambda b: np.block([b["y"], b["y"] ** 2]) * np.arange(12.0),
    "cumprod": lambda b: anp.cumprod(b["x"], axis=0), "cumprod of all": lambda b: anp.cumprod(b["n"]),
    "cumprod as a method": lambda b: b["x"].cumprod(1),
    "powers of 2": lambda b: 2 ** b["n"], "powers of -3": lambda b: np.power(-3, b["n"]),
    "correlate": lambda b: anp.correlate(b["y"], b["x"][0]), "correlate full": lambda b: anp.correlate(
        b["y"], np.array([1.0, 0.5]), "full"), "smoothed": lambda b: np.convolve(b["y"], np.ones(3) / 3, mode="same"),
    "gradient": lambda b: anp.gradient(b["y"], 0.1), "gradient of integers": lambda b: np.gradient(b["n"]),
    "trapezoid": lambda b: _trapezoid(b["x"], dx=0.5), "trapezoid of places": lambda b: _trapezoid(
        b["y"], anp.sort(b["x"][:, 0])), "trapezoid along an axis": lambda b: _trapezoid(b["x"], b["y"], axis=0),
    "digitize": lambda b: anp.digitize(b["x"], EDGES) ** 2, "digitize downwards": lambda b: np.digitize(
        b["y"], EDGES[::-1], right=True) ** 2, "digitize integers": lambda b: anp.digitize(b["n"], [1, 2, 3], True),
    "isin": lambda b: anp.isin(b["n"], [1, 3]) * b["y"], "isin data": lambda b: np.isin(
        np.arange(4), b["n"][:3], invert=True) * np.arange(1, 5),
    "interp": lambda b: anp.interp(b["x"], np.array([-1.0, 0.0, 2.0]), np.array([1.0, 3.0, 2.0])),
    "interp of data": lambda b: np.interp(b["y"], EDGES, b["x"][0, :3], left=-1.0, right=5.0),
    "interp at its ends": lambda b: np.interp(b["n"], [0.0, 1.0, 3.0], [0.0, np.inf, 2.0], right=1.0) < 1e9,
    "interp of NaN": lambda b: anp.isnan(np.interp(b["z"], EDGES, [1.0, 1.0, 2.0])) * b["x"],
    "quantile": lambda b: anp.quantile(b["x"], 0.3), "quantiles of columns": lambda b: np.quantile(
        b["x"], [0.1, 0.5, 0.9], axis=0) * np.arange(1.0, 4.0)[:, None], "percentile": lambda b: anp.percentile(
        b["y"], [25, 75, 100]) * np.arange(1.0, 4.0), "quantile of integers": lambda b: anp.quantile(b["n"], 0.7),
    "quantile of NaN": lambda b: anp.isnan(anp.quantile(b["z"], 0.4, axis=1)) * b["y"],
    "nanmax": lambda b: anp.nanmax(b["z"], axis=0), "nanmin": lambda b: anp.nanmin(b["z"]),
    "nanmax of integers": lambda b: np.nanmax(b["n"] + 2**62) - 2**62, "nanmax of rows": lambda b: anp.nanmax(
        b["z"], axis=0, keepdims=True), "nanmedian": lambda b: anp.nanmedian(b["z"], axis=0),
    "nanmedian of all": lambda b: np.nanmedian(b["z"]), "corrcoef": lambda b: anp.corrcoef(b["x"]) * np.arange(6.0),
    "corrcoef of columns": lambda b: np.corrcoef(b["x"], rowvar=False) * np.arange(4.0),
    "bincount": lambda b: anp.bincount(b["n"], minlength=5) ** 2 * np.arange(5.0),
    "bincount with weights": lambda b: anp.bincount(b["n"], b["y"], 4) ** 2 * np.arange(1.0, 5.0),
    "bincount of constants": lambda b: np.bincount(np.array([0, 1, 1, 0, 2, 2]), b["y"], 3) * np.arange(1.0, 4.0),
}  # fmt: skip
_trapezoid = anp.trapezoid if hasattr(anp, "trapezoid") else anp.trapz


def times_a_variable(function):
    return lambda b, v: function(b) * anp.sin(v["s"])


ALL = OF_VARIABLES | {f"{name} of data alone": times_a_variable(function) for name, function in OF_DATA.items()}


@pytest.mark.sampled(20)
@pytest.mark.parametrize("name", ALL)
def test_another_batch_gives_the_answer_of_the_reference(name, monkeypatch):
    """Compiled for one batch, both orders answer as the reference for another, and nothing is compiled again."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    cost = cost_of(ALL[name])
    for order, (compiled, reference) in STEPS.items():
        for seed in (2, 3):
            made = len(engine.emitted_sources())
            args = (batch(seed), cost, None, theta(), 1, 0.01)
            assert_same_answer(compiled, reference, *args, batched=False)
            assert seed == 2 or len(engine.emitted_sources()) == made, order


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table", [OF_VARIABLES, ALL], ids=["variables", "all"])
def test_their_sum_as_machine_code(table, dtype):
    """The sum of all, compiled, has the reference's answer in both precisions, dtypes included."""
    cost = cost_of(*table.values())
    for seed in (2, 3):
        args = (batch(seed, dtype), cost, None, theta(dtype), 0, 0.01)
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)


def test_they_keep_tasks_apart_in_batched_mode():
    """With a task axis on data and variables, every task has its own answer."""

    def cost(b, v):
        rows = anp.cumprod(b["x"], axis=1) + anp.interp(b["x"], EDGES, EDGES) + anp.gradient(b["x"] * v["w"], axis=2)
        columns = anp.nanmax(b["z"], axis=1) + anp.quantile(b["x"], 0.3, axis=1) + anp.nanmedian(b["z"], axis=1)
        labels = 2 ** b["n"] + anp.isin(b["n"], [1, 3]) + anp.digitize(b["y"], EDGES)
        return anp.mean(anp.sin(rows * v["w"])) + anp.mean(columns * v["w"][:, 0]) + anp.mean(labels * v["w"][..., 0])

    stacked = {"w": np.stack([theta()["w"]] * 3)}
    for seed in (2, 3):
        for compiled, reference in STEPS.values():
            assert_same_answer(compiled, reference, batch(seed), cost, None, stacked, 1, 0.05)


NOT_DEFINED = {
    "gradient by positions": lambda b: anp.gradient(b["y"], anp.sort(b["x"][:, 0])),
    "gradient at the edges": lambda b: anp.gradient(b["y"], edge_order=2),
    "gradient of all axes": lambda b: anp.gradient(b["x"])[0],
    "linspace without its end": lambda b: anp.linspace(0.0, b["y"][0], 5, False),
    "linspace of arrays": lambda b: anp.linspace(0.0, b["y"], 5), "cumprod dtype": lambda b: anp.cumprod(
        b["n"], dtype=float), "corrcoef of two": lambda b: anp.corrcoef(b["y"], b["x"][:, 0]),
    "interp of data": lambda b: anp.interp(0.3, anp.sort(b["y"]), b["y"]), "interp with a period": lambda b: anp.interp(
        b["y"], EDGES, EDGES, period=2.0), "bins of data": lambda b: anp.digitize(b["y"], anp.sort(b["x"][:, 0])),
    "another quantile": lambda b: anp.quantile(b["y"], 0.3, method="lower"),
    "quantile with axes": lambda b: anp.quantile(b["x"], 0.3, axis=(0, 1)), "quantile of data": lambda b: anp.quantile(
        b["y"], b["y"][0] % 1.0),
    "nanmax with a first": lambda b: anp.nanmax(b["z"], initial=0.0), "nansum with a first": lambda b: anp.nansum(
        b["z"], initial=0.0), "nanmedian with axes kept": lambda b: anp.nanmedian(b["z"], axis=0, keepdims=True),
    "trapezoid with distances": lambda b: _trapezoid(b["y"], dx=np.arange(1.0, 6.0)),
    "correlate with a longer one": lambda b: anp.correlate(b["y"][:2], b["y"]), "r_ with an axis": lambda b: np.r_[
        "1", b["x"], b["x"]], "r_ with a slice": lambda b: np.r_[0:3, b["y"]],
    "bincount without a length": lambda b: anp.bincount(b["n"]), "powers of narrow integers": lambda b: np.power(
        np.int8(2), b["n"].astype(np.int8)),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_DEFINED)
def test_an_argument_that_is_not_followed_is_refused(name):
    """What a definition does not handle is never left out: the cost is refused, with its line."""
    args = (batch(2), cost_of(times_a_variable(NOT_DEFINED[name])), None, theta(), 1, 0.01)
    refmaml.fomaml_step(*args, batched=False)
    with pytest.raises(CompilationRefused, match=r"test_functions\.py:\d+"):
        engine.fomaml_step(*args, batched=False)
