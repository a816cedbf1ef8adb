"""What a refusal says to write instead is compiled, and is the same cost."""

import autograd.numpy as anp
import autograd.scipy.special as asp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.errors import CompilationRefused

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
LENGTH = "how many elements the result has depends on data"
WHERE = r"np\.sum\(np\.where\(mask, x, 0\.0\)\)"


def batch(seed, dtype=np.float64):
    """Return data of three tasks; z has NaN in it, but no column of nothing else."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 6, 4)).astype(dtype)
    gaps = rng.uniform(size=x.shape) < 0.3
    gaps[:, seed % 6] = False
    return {
        "x": x, "y": rng.normal(size=(3, 6)).astype(dtype), "n": rng.integers(0, 4, (3, 6)),
        "p": rng.uniform(size=(3, 6)) < 0.6, "z": np.where(gaps, np.nan, x).astype(dtype),
    }  # fmt: skip


def theta(dtype=np.float64):
    rng = np.random.default_rng(1)
    shapes = {"w": (6, 4), "t": (4, 3), "s": ()}
    return {name: rng.uniform(0.2, 0.9, shape).astype(dtype) for name, shape in shapes.items()}


def cost_of(*functions):
    """Return a cost of a sum of functions of one task's data and of variables."""

    def cost(b, v):
        return sum(anp.sum(function({name: leaf[0] for name, leaf in b.items()}, v)) for function in functions)

    return cost


def _wide(b):
    return b["p"][:, None] & np.ones((6, 4), bool)


def _masked(b, x):
    return anp.sum(anp.where(b["p"][:, None], x, 0.0))


def _by_classes(b, v):
    return sum(anp.any(b["n"] == k) * anp.sum(v["t"][k] ** 2) for k in range(4))


def _rows(b, v):
    return _masked(b, (b["x"] * v["w"]) ** 2)


# What is refused, what it says, and what is to be written.
COSTS = {
    "where": (lambda b, v: anp.sum((b["x"] * v["w"])[anp.where(b["p"])[0]] ** 2), f"where.*{LENGTH}.*{WHERE}", _rows),
    "where of NumPy": (
        lambda b, v: anp.sum((b["x"] * v["w"])[np.where(b["p"])] ** 2),
        f"where.*{LENGTH}.*{WHERE}",
        _rows,
    ),
    "nonzero": (
        lambda b, v: anp.sum((b["x"] * v["w"])[anp.nonzero(b["p"])] ** 2),
        f"nonzero.*{LENGTH}.*{WHERE}",
        _rows,
    ),
    "nonzero as a method": (
        lambda b, v: anp.sum((b["x"] * v["w"])[b["p"].nonzero()] ** 2),
        f"nonzero.*{LENGTH}.*{WHERE}",
        _rows,
    ),
    "flatnonzero": (
        lambda b, v: anp.sum((b["x"] * v["w"])[np.flatnonzero(b["p"])] ** 2),
        f"flatnonzero.*{LENGTH}.*{WHERE}",
        _rows,
    ),
    "argwhere": (
        lambda b, v: anp.sum((b["x"] * v["w"])[anp.argwhere(b["p"])[:, 0]] ** 2),
        f"argwhere.*{LENGTH}.*{WHERE}",
        _rows,
    ),
    "compress": (
        lambda b, v: anp.sum(np.compress(b["p"], b["x"], axis=0)) * v["s"],
        f"compress.*{LENGTH}.*{WHERE}",
        lambda b, v: _masked(b, b["x"]) * v["s"],
    ),
    "unique": (lambda b, v: anp.sum(v["t"][anp.unique(b["n"])] ** 2), f"unique.*{LENGTH}.*labels == k", _by_classes),
    "a loop over unique": (
        lambda b, v: sum(anp.sum(v["t"][k] ** 2) for k in np.unique(b["n"])),
        "unique.*labels == k",
        _by_classes,
    ),
    "repeat": (
        lambda b, v: anp.sum(np.repeat(b["y"], b["n"])) * v["s"],
        f"repeat.*{LENGTH}.*np.sum",
        lambda b, v: anp.sum(b["n"] * b["y"]) * v["s"],
    ),
    "transposed": (
        lambda b, v: anp.sum(anp.sin(b["x"][b["p"]].T @ b["x"][b["p"]])) * v["s"],
        rf"x\[mask\]\.T.*{LENGTH}.*\(mask\[:, None\] \* x\)\.T @ x",
        lambda b, v: anp.sum(anp.sin((b["p"][:, None] * b["x"]).T @ b["x"])) * v["s"],
    ),
    "reshaped": (
        lambda b, v: anp.sum(b["x"][b["p"]].reshape(-1)) * v["s"],
        rf"reshape.*{LENGTH}.*{WHERE}",
        lambda b, v: _masked(b, b["x"]) * v["s"],
    ),
    "sum where": (
        lambda b, v: anp.sum(b["x"], where=_wide(b)) * v["s"],
        f"sum: .*where=.*{WHERE}",
        lambda b, v: _masked(b, b["x"]) * v["s"],
    ),
    "sum where of NumPy": (
        lambda b, v: np.sum(b["x"], where=_wide(b)) * v["s"],
        f"sum: .*where=.*{WHERE}",
        lambda b, v: _masked(b, b["x"]) * v["s"],
    ),
    "sum where as a method": (
        lambda b, v: b["x"].sum(where=_wide(b)) * v["s"],
        f"sum: .*where=.*{WHERE}",
        lambda b, v: _masked(b, b["x"]) * v["s"],
    ),
    "sum where, of constants": (
        lambda b, v: np.sum(np.ones(6), where=b["p"]) * v["s"],
        f"add: .*where=.*{WHERE}",
        lambda b, v: anp.sum(np.where(b["p"], np.ones(6), 0.0)) * v["s"],
    ),
    "sum where a constant": (
        lambda b, v: anp.sum(b["x"], where=np.eye(6, 4) > 0) * v["s"],
        f"sum: .*where=.*{WHERE}",
        lambda b, v: anp.sum(np.where(np.eye(6, 4) > 0, b["x"], 0.0)) * v["s"],
    ),
    "mean where": (
        lambda b, v: anp.mean(b["x"], where=_wide(b)) * v["s"],
        r"mean: .*where=.*divide by np\.sum\(mask\)",
        lambda b, v: _masked(b, b["x"]) / anp.sum(_wide(b)) * v["s"],
    ),
    "mean where a constant": (
        lambda b, v: anp.mean(b["x"], where=np.eye(6, 4) > 0) * v["s"],
        r"mean: .*where=.*divide by np\.sum\(mask\)",
        lambda b, v: anp.sum(np.where(np.eye(6, 4) > 0, b["x"], 0.0)) / 4 * v["s"],
    ),
    "std where a constant": (
        lambda b, v: anp.std(b["x"], where=np.eye(6, 4) > -1) * v["s"],
        "std: .*where=",
        lambda b, v: anp.std(b["x"]) * v["s"],
    ),
    "max where": (
        lambda b, v: anp.max(b["x"], where=_wide(b), initial=-9.0) * v["s"],
        r"max: .*where=.*-np\.inf",
        lambda b, v: anp.maximum(anp.max(np.where(_wide(b), b["x"], -np.inf)), -9.0) * v["s"],
    ),
    "any where a constant": (
        lambda b, v: anp.any(b["p"], where=np.arange(6) > 9) * v["s"],
        "any: .*where=",
        lambda b, v: 0.0 * v["s"],
    ),
    "sum initial": (
        lambda b, v: anp.sum(b["x"], initial=2.0) * v["s"],
        r"sum: .*initial=2\.0.*np\.sum\(x\) \+ a",
        lambda b, v: (anp.sum(b["x"]) + 2.0) * v["s"],
    ),
    "max initial": (
        lambda b, v: b["x"].max(initial=0.5) * v["s"],
        r"max: .*initial=0\.5.*np\.maximum\(np\.max\(x\), a\)",
        lambda b, v: anp.maximum(anp.max(b["x"]), 0.5) * v["s"],
    ),
    "int": (
        lambda b, v: anp.sum(v["t"][int(b["n"][0])] ** 2),
        r"int\(x\).*w\[label\] for w\[int\(label\)\]",
        lambda b, v: anp.sum(v["t"][b["n"][0]] ** 2),
    ),
    "item": (
        lambda b, v: anp.sum(v["t"][b["n"][0].item()] ** 2),
        r"item.*w\[label\] for w\[label\.item\(\)\]",
        lambda b, v: anp.sum(v["t"][b["n"][0]] ** 2),
    ),
    "tolist": (
        lambda b, v: anp.sum(v["t"][b["n"].tolist()] ** 2),
        r"tolist.*w\[labels\] for w\[labels\.tolist\(\)\]",
        lambda b, v: anp.sum(v["t"][b["n"]] ** 2),
    ),
    "the bound of a slice": (
        lambda b, v: anp.sum(b["y"][: b["n"][0]]) * v["s"],
        r"slice.*np\.arange\(n\) < k",
        lambda b, v: anp.sum(np.where(np.arange(6) < b["n"][0], b["y"], 0.0)) * v["s"],
    ),
    "the key of a dict": (
        lambda b, v: {k: k + 1.0 for k in range(4)}[b["n"][0]] * v["s"],
        r"dict.*np\.take\(np\.array\(table\), x\)",
        lambda b, v: anp.take(np.array([1.0, 2.0, 3.0, 4.0]), b["n"][0]) * v["s"],
    ),
    "logsumexp": (
        lambda b, v: asp.logsumexp(b["x"] * v["w"], axis=1, b=anp.abs(b["x"])),
        r"b=.*logsumexp\(x, axis, b\)",
        lambda b, v: asp.logsumexp(b["x"] * v["w"], 1, anp.abs(b["x"])),
    ),
    "weights of counts": (
        lambda b, v: anp.bincount(b["n"], weights=b["y"], minlength=4) * v["t"][:, 0],
        r"bincount: .*weights=.*np\.bincount\(x, w, k\)",
        lambda b, v: np.bincount(b["n"], b["y"], 4) * v["t"][:, 0],
    ),
    "counts of any length": (
        lambda b, v: anp.sum(anp.bincount(b["n"]) ** 2) * v["s"],
        rf"bincount.*{LENGTH}.*minlength=k",
        lambda b, v: anp.sum(anp.bincount(b["n"], minlength=4) ** 2) * v["s"],
    ),
    "two masks": (
        lambda b, v: anp.sum((b["x"] * v["w"])[b["p"], b["n"][b["y"] < 9]][:0]) + v["s"],
        f"{LENGTH}.*{WHERE}",
        lambda b, v: v["s"] * 1.0,
    ),
}


@pytest.mark.parametrize("name", COSTS)
def test_a_refusal_names_line_and_primitive_and_what_to_write(name):
    """A cost is refused with its line, what was met and a way to write it, on each batch."""
    refused, says, _ = COSTS[name]
    with pytest.raises(CompilationRefused, match=rf"(?s){says}") as refusal:
        engine.fomaml_step(batch(2), cost_of(refused), None, theta(), 1, 0.01, batched=False)
    assert "test_refusals.py:" in str(refusal.value)
    assert "on_unsupported='reference'" in str(refusal.value)


@pytest.mark.parametrize("name", [name for name in COSTS if name != "two masks"])
def test_what_a_refusal_says_to_write_is_the_same_cost_and_compiles(name, monkeypatch):
    """The other way to write it has the same cost in the reference, and compiled for one batch and used for another."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    refused, _, rewritten = (part if isinstance(part, str) else cost_of(part) for part in COSTS[name])
    for seed in (2, 3):
        args = (theta(), 0, 0.01)
        costs = [refmaml.fomaml_step(batch(seed), cost, None, *args, batched=False)[0] for cost in (refused, rewritten)]
        assert costs[0] == pytest.approx(costs[1], rel=1e-12)
        assert_same_answer(engine.maml_step, refmaml.maml_step, batch(seed), rewritten, None, *args, batched=False)
