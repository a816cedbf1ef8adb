"""Labels, ids and orders are data: a compiled step that was made for some gives the reference's answer for others."""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import ValueDependence

STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}
TABLE = np.array([0.5, -1.0, 2.0, 3.0])


def batch(seed, dtype=np.float64, kind=np.int64):
    """Return data with labels below 4, some of them counted from the end."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-4 if np.dtype(kind).kind == "i" else 0, 4, (3, 5))
    return {
        "x": rng.normal(size=(3, 5, 4)).astype(dtype),
        "n": labels.astype(kind),
        "m": rng.integers(0, 5, (3, 2, 3)).astype(kind),
        "p": rng.uniform(size=(3, 5)) < 0.5,
    }


def theta(dtype):
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=shape).astype(dtype) / 2 for name, shape in {"w": (5, 4), "t": (4, 3)}.items()}


def _written(b, v):
    hot = np.zeros((5, 4))
    hot[np.arange(5), b["n"][0]] = 1.0
    hot[b["n"][0], 0] += 0.5
    return anp.sum(hot * anp.sin(b["x"][0] * v["w"]))


def _own_copy(b, v):
    x = b["x"][0].copy()
    x[x < 0] = 0.0
    x[0] += 2.0
    x *= 1.5
    x[1:] = x[:-1]
    return anp.sum(anp.sin(x * v["w"]))


COSTS = {
    "elements of rows": lambda b, v: anp.sum((b["x"][0] * v["w"])[np.arange(5), b["n"][0]] ** 2),
    "rows of a table": lambda b, v: anp.sum(anp.tanh(v["t"][b["n"][0]]) * b["x"][0][:, :3]),
    "columns": lambda b, v: anp.sum(v["w"][:, b["n"][0]] ** 2 * b["x"][0, :, :1]),
    "rows by a matrix": lambda b, v: anp.sum(anp.sin(v["w"][b["m"][0]])) * anp.mean(b["x"][0]),
    "separated indices": lambda b, v: anp.sum(
        b["x"][0] @ anp.stack([v["w"].T, v["w"].T ** 2])[b["p"][0] * 1, :, b["n"][0]].T),
    "a slice beside": lambda b, v: anp.sum(v["t"][b["n"][0], 1:] ** 3) + anp.sum(v["t"][..., b["p"][0] * 1] ** 2),
    "a new axis": lambda b, v: anp.sum(anp.exp(v["t"][None, b["n"][0], ::-2])),
    "one label": lambda b, v: v["t"][b["n"][0, 1], 2] ** 2 + anp.sum(v["t"][b["n"][0, 0]] ** 3),
    "take": lambda b, v: (
        anp.sum(anp.take(v["t"], b["n"][0], axis=0) ** 2) + anp.sum(anp.take(TABLE, b["n"][0])) * v["w"][0, 0]),
    "take along an axis": lambda b, v: anp.sum(
        anp.take_along_axis(b["x"][0] * v["w"], b["n"][0][:, None], axis=1) ** 2),
    "an array of the cost": lambda b, v: anp.sum(np.eye(4)[b["n"][0]] * anp.sin(b["x"][0] * v["w"])),
    "a list of the cost": lambda b, v: anp.sum(np.array([1.0, 3.0, 2.0, 5.0])[b["n"][0]] * anp.sin(v["w"][:, 1])),
    "arithmetic of labels": lambda b, v: (
        anp.sum(v["t"][(3 * b["n"][0] - 7) % 4] ** 2) + anp.sum(v["t"][abs(b["n"][0] // 2)] ** 3)),
    "the order of data": lambda b, v: anp.sum(
        (b["x"][0] * v["w"])[np.argsort(b["x"][0, :, 0])] * np.arange(5.0)[:, None]),
    "the order of results": lambda b, v: anp.sum(
        anp.sort(anp.sin(b["x"][0] * v["w"]), axis=0) * np.arange(5.0)[:, None]),
    "the largest": lambda b, v: (
        anp.sum(v["t"][anp.argmax(b["x"][0] * v["w"], axis=1)] ** 2) + v["w"][0, 0] * anp.argmin(b["x"][0])),
    "writing": _written, "writing into a copy": _own_copy,
    "data by data": lambda b, v: anp.sum(b["x"][0][b["n"][0], 1] * b["p"][0][b["n"][0]] * v["w"][:, 0] ** 2),
    "bins": lambda b, v: anp.sum(v["t"][anp.searchsorted(np.array([-0.5, 0.0, 0.5]), b["x"][0, :, 0])] ** 2),
}  # fmt: skip


@pytest.mark.sampled(10)
@pytest.mark.parametrize("name", COSTS)
def test_other_labels_give_the_answer_of_the_reference(name, monkeypatch):
    """Compiled for some labels, both orders answer as the reference for others, and nothing is compiled again."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    for order, (compiled, reference) in STEPS.items():
        for seed in (2, 3):
            made = len(engine.emitted_sources())
            args = (batch(seed), COSTS[name], None, theta(np.float64), 1, 0.05)
            assert_same_answer(compiled, reference, *args, batched=False)
            assert seed == 2 or len(engine.emitted_sources()) == made, order


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_of_each_kind_as_machine_code(dtype, kind):
    """A sum of costs, compiled, has the reference's answer for each kind of integers and in both precisions."""
    chosen = ["elements of rows", "rows of a table", "columns", "rows by a matrix", "take", "an array of the cost"]

    def cost(b, v):
        return sum(COSTS[name](b, v) for name in chosen)

    for seed in (2, 3):
        args = (batch(seed, dtype, kind), cost, None, theta(dtype), 1, 0.01)
        assert_same_answer(engine.maml_step, refmaml.maml_step, *args, batched=False)


def test_labels_in_batched_mode():
    """With a task axis on data and variables, elements are picked for each task."""

    def cost(b, v):
        rows = (b["x"] * v["w"])[np.arange(3)[:, None], np.arange(5), b["n"]]
        return anp.mean(rows**2) + anp.mean(anp.take_along_axis(v["w"], b["n"][..., None], -1) ** 3)

    for seed in (2, 3):
        stacked = {"w": np.stack([theta(np.float64)["w"]] * 3)}
        for compiled, reference in STEPS.values():
            assert_same_answer(compiled, reference, batch(seed), cost, None, stacked, 2, 0.05)


@pytest.mark.parametrize("jit", [0, 1])
def test_a_label_outside_of_its_axis_is_the_error_of_the_reference(jit, monkeypatch):
    """A label that is too large or too small, in one task of a later call, raises NumPy's IndexError."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1 - jit)
    args = (COSTS["rows of a table"], None, theta(np.float64), 1, 0.1)
    for compiled, reference in STEPS.values():
        assert_same_answer(compiled, reference, batch(2), *args, batched=False)
        for wrong in (4, -5, 10**12):
            data = batch(3)
            data["n"][1, 2] = wrong
            with pytest.raises(IndexError, match=f"index {wrong} is out of bounds"):
                compiled(data, *args, batched=False)
        assert_same_answer(compiled, reference, batch(4), *args, batched=False)


def _gaps(b, v):
    y = np.where(b["p"][0], np.nan, b["x"][0, :, 0])
    present = ~np.isnan(y)
    return anp.mean((b["x"][0][present] @ v["t"] - y[present][:, None]) ** 2) + anp.sum(y[~np.isnan(y)]) * v["w"][0, 0]


def _logarithms(b, v):
    z = anp.where(b["p"][0][:, None], b["x"][0] ** 2 + 0.1, 0.0) * v["w"] ** 2
    kept = z[b["p"][0]]
    return anp.sum(anp.log(kept)) / kept.size + anp.sum(anp.max(kept, axis=0) * anp.min(kept, axis=0))


def _labels_of_two_axes(b, v):
    x = b["x"][0][:4, :3]
    chosen, labels = x > 0, 1 * (x > 1) + b["p"][0, 0]
    return anp.sum((x[:, :, None] * v["t"][:, :, None] ** np.arange(1.0, 4.0))[chosen, labels[chosen]] ** 2)


SELECTIONS = {
    "mean": lambda b, v: anp.mean((b["x"][0] * v["w"])[b["p"][0]] ** 2), "gaps": _gaps, "logarithms": _logarithms,
    "elements": lambda b, v: anp.sum(anp.exp((b["x"][0] * v["w"])[b["x"][0] > 0])),
    "of results": lambda b, v: anp.sum(anp.sin(v["w"])[anp.sin(v["w"]) > 0] ** 3) * b["x"][0, 0, 0],
    "means of rows": lambda b, v: anp.sum(anp.mean((b["x"][0] * v["w"])[b["p"][0]], axis=1) ** 2),
    "columns": lambda b, v: anp.sum((b["x"][0] * v["w"])[b["p"][0]][:, 1:].mean(axis=0) ** 2) * 2.0,
    "some columns": lambda b, v: anp.sum((b["x"][0] * v["w"])[b["p"][0], 1:] ** 2),
    "one column": lambda b, v: anp.sum(anp.sin(b["x"][0] * v["w"])[b["p"][0], -1]),
    "a label of each": lambda b, v: (
        anp.sum(anp.tanh(b["x"][0] * v["w"])[b["p"][0], b["n"][0][b["p"][0]]]) / anp.sum(b["p"][0])),
    "a label of each of two axes": _labels_of_two_axes,
    "rows of a table": lambda b, v: anp.sum(v["t"][b["n"][0][b["p"][0]]] ** 2 * b["x"][0, :, :3][b["p"][0]]),
    "after a number": lambda b, v: anp.sum((v["w"][0, 0] * b["x"][0][b["p"][0]] - b["x"][0, 0, 0]) ** 2
        * (b["x"][0, 0, 0] < b["x"][0][b["p"][0]])),
    "two conditions": lambda b, v: (
        anp.sum((b["x"][0][b["p"][0]] > -1) & ~(b["x"][0][b["p"][0]] > 1) | False) * v["w"][0, 0]),
}  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", SELECTIONS)
def test_other_masks_give_the_answer_of_the_reference(name, monkeypatch):
    """What a mask selects is computed on the whole array, with the reference's answer for masks of other lengths."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    for order, (compiled, reference) in STEPS.items():
        for seed in (2, 3):
            made = len(engine.emitted_sources())
            args = (batch(seed), SELECTIONS[name], None, theta(np.float64), 1, 0.01)
            assert_same_answer(compiled, reference, *args, batched=False)
            assert seed == 2 or len(engine.emitted_sources()) == made, order


UNKNOWN = {
    "length": lambda b, v: len(b["x"][0][b["p"][0]]) * anp.sum(v["w"] ** 2),
    "two masks": lambda b, v: anp.sum(v["w"][b["p"][0]] * b["x"][0][b["x"][0, :, 0] > 0]),
    "cumulative": lambda b, v: anp.sum(anp.cumsum(v["w"][b["p"][0]])),
    "one of them": lambda b, v: anp.sum(v["w"][b["p"][0]][0] ** 2),
    "labels by another mask": lambda b, v: anp.sum(v["w"][b["p"][0], b["n"][0][b["x"][0, :, 0] > 0]]),
    "a truth value of each": lambda b, v: anp.sum(v["w"][(b["n"][0] > 1)[b["p"][0]]]),
    "with another array": lambda b, v: anp.sum(anp.maximum(v["w"][0, 0], b["x"][0][b["p"][0]])),
    "deviation": lambda b, v: anp.std(v["w"][b["p"][0]]),
    "transposed": lambda b, v: anp.sum(v["w"][b["p"][0]].T),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_depends_on_how_much_a_mask_selects_is_refused(name):
    """A use of x[mask] that is not elementwise is refused with its line, and with what to write."""
    with pytest.raises(ValueDependence, match=r"test_indexing\.py:\d+.*np\.sum\(np\.where\(mask, x, 0\.0\)\)"):
        engine.fomaml_step(batch(2), UNKNOWN[name], None, theta(np.float64), 1, 0.1, batched=False)


def test_a_plain_array_indexed_by_labels_is_refused_with_what_to_write():
    """An array from outside cannot be indexed by data; `np.take`, which the message names, can."""
    args = (None, theta(np.float64), 1, 0.1)
    with pytest.raises(ValueDependence, match=r"test_indexing\.py:\d+.*np\.take\(table, labels, axis=0\)"):
        engine.fomaml_step(batch(2), lambda b, v: anp.sum(TABLE[b["n"][0]] * v["w"][:, 0]), *args, batched=False)


def _view_before(b, v):
    x = np.zeros(5)
    part = x[:2]
    x[:] = b["x"][0, :, 0]
    return anp.sum(part) * anp.sum(v["w"])


def _view_between(b, v):
    x = np.zeros(5)
    x[:] = b["x"][0, :, 0]
    part = x[:2]
    x[:] = b["x"][0, :, 1]
    return anp.sum(part) * anp.sum(v["w"])


@pytest.mark.parametrize("cost", [_view_before, _view_between])
def test_a_view_of_an_array_that_data_are_written_into_later_is_refused(cost):
    """NumPy's views see later writes, which a recording does not: such a cost is refused."""
    with pytest.raises(ValueDependence, match="view"):
        engine.fomaml_step(batch(2), cost, None, theta(np.float64), 1, 0.1, batched=False)


def test_a_variable_written_into_an_array_is_the_error_of_the_reference():
    """Autograd cannot write a variable into an array, and neither can the engine."""

    def cost(b, v):
        x = np.zeros(5)
        x[:] = v["w"][:, 0]
        return anp.sum(x) + anp.sum(b["x"])

    for step in (refmaml.fomaml_step, engine.fomaml_step):
        with pytest.raises(ValueError, match="setting an array element"):
            step(batch(2), cost, None, theta(np.float64), 1, 0.1, batched=False)


def test_the_functions_that_make_arrays_are_as_before_after_a_trace():
    """While a cost is traced, NumPy's `zeros` gives an array of the engine's; then it is NumPy's own again."""
    before = np.zeros, anp.zeros, np.eye
    test_a_view_of_an_array_that_data_are_written_into_later_is_refused(_view_before)
    assert before == (np.zeros, anp.zeros, np.eye)
    assert type(np.zeros(2)) is np.ndarray
