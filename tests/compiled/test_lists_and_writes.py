"""Lists of numbers that functions are given, and writes into arrays that a cost has computed itself."""

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import ValueDependence

RNG = np.random.default_rng(7)
DATA = {"x": RNG.normal(size=(3, 6, 2)), "y": np.abs(RNG.normal(size=(3, 6))) + 0.1, "p": np.array([1.5, 2.5, 0.5])}
THETA = {"w": np.array([0.3, 0.2, 0.1]), "b": np.array(0.3), "m": RNG.normal(size=(2, 3))}
KINDS = ("fomaml", "maml", "reptile")


def agree(cost, kind, data=DATA):
    """Compare two answers of the compiled step with the reference's: to what it was traced on, and to other data."""
    mine, theirs = (getattr(module, f"{kind}_step") for module in (engine, refmaml))
    for given in (data, {name: leaf[::-1] * 0.75 for name, leaf in data.items()}):
        costs = (cost,) if kind == "reptile" else (cost, None)
        assert_same_answer(mine, theirs, given, *costs, THETA, 2, 0.05, batched=False)


LISTS = {
    "penalty": lambda b, v: anp.sum([anp.sum(leaf**2) for leaf in v.values()]) + anp.mean(b["y"]) * v["b"],
    "more than eight": lambda b, v: anp.sum([k * anp.sum(leaf**2) for leaf in v.values() for k in range(6)]),
    "constants": lambda _, v: anp.sum([v["b"], 2.0, v["b"] ** 2]),
    "data among variables": lambda b, v: anp.sum([v["b"], b["y"][0, 0], v["b"] ** 2]),
    "data alone": lambda b, v: anp.sum([b["y"][0, 0], b["y"][0, 1]]) * v["b"],
    "sums of data": lambda b, v: np.sum([np.sum(leaf) for leaf in b.values()]) * v["b"],
    "nested": lambda _, v: anp.sum([[v["b"], 1.0], [2.0, v["b"] ** 2]]),
    "arrays": lambda _, v: anp.sum(anp.sum([v["m"], v["m"] ** 2], axis=0)),
    "product": lambda _, v: anp.prod([v["b"], v["b"] ** 2, 3.0]),
    "dot": lambda _, v: anp.dot([v["b"], v["b"] ** 2], [1.0, 2.0]),
    "tuple": lambda _, v: anp.sum((v["b"], v["b"] ** 2)),
    "largest of data": lambda b, v: anp.max([b["y"][0, 0], b["y"][0, 1]]) * v["b"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_numbers(name, kind):
    """NumPy makes an array of what a list holds: of numbers, or of objects where there are variables."""
    agree(LISTS[name], kind)


@pytest.mark.parametrize("cost", [lambda _, v: anp.max([v["b"], 0.1]), lambda _, v: anp.maximum([v["b"]], [0.1])[0]])
def test_the_largest_of_a_list_of_variables_is_refused(cost):
    """It is found by comparing objects, so by truth values: the error says what to write."""
    with pytest.raises(ValueDependence, match=r"np\.max\(np\.array\(\[x, y\]\)\)"):
        engine.fomaml_step(DATA, cost, None, THETA, 1, 0.05, batched=False)


def _squares(y, v):
    return anp.mean((y - v["b"]) ** 2)


def standardized(b, v):
    y = anp.log(b["y"])
    y -= y.mean()
    y /= anp.std(y)
    return _squares(y, v)


def softmax(b, v):
    e = anp.exp(anp.dot(b["x"], v["m"]))
    e /= anp.sum(e, axis=-1, keepdims=True)
    return -anp.mean(anp.log(e[..., 0]))


def under_another_name(b, v):
    y = b["y"] * 1.0
    z = [y]
    y -= 1.0
    return _squares(z[0], v)


def through_a_view(b, v):
    y = b["y"] * 1.0
    z = y[0]
    z -= 1.0
    return _squares(y, v)


def after_a_product(b, v):
    y = b["y"] * 1.0
    z = v["b"] * y
    y -= 1.0
    return anp.mean(z * y)


def masked(copied):
    def cost(b, v):
        y = copied(b["y"])
        y[y < 0.5] = 0.0
        return _squares(y, v)

    return cost


def parts(b, v):
    y = b["y"] + 0.0
    y[0] = 1.0
    y[:, 1] = b["p"]
    y[0] += 0.5
    y[:, 2] *= 2.0
    return _squares(y, v)


def of_another_precision(b, v):
    y = b["y"].astype(np.float32)
    y += b["y"]
    return _squares(y.astype(float), v)


WRITES = {
    "standardized": standardized,
    "softmax": softmax,
    "under another name": under_another_name,
    "through a view": through_a_view,
    "after a product": after_a_product,
    "a copy by np.array": masked(lambda y: np.array(y)),  # noqa: PLW0108 - the name is looked up at each call
    "a copy by np.copy": masked(np.copy),
    "a copy by its method": masked(lambda y: y.copy()),
    "a result": masked(lambda y: y * 2.0),
    "parts": parts,
    "of another precision": of_another_precision,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITES)
def test_writes_into_results(name, kind):
    """Whoever has the array sees what is written; in Reptile's last cost variables are plain arrays as well."""
    agree(WRITES[name], kind)


def view_from_before(b, v):
    y = b["y"] * 1.0
    z = y[0]
    y -= 1.0
    return _squares(z, v)


def into_the_batch(b, v):
    y = b["y"]
    y -= 1.0
    return _squares(b["y"], v)


def into_the_batch_by_another_name(b, v):
    y = np.asarray(b["y"])
    y -= 1.0
    return _squares(b["y"], v)


def into_a_view_of_the_batch(b, v):
    y = anp.reshape(b["y"], -1)
    y[0] = 1.0
    return _squares(b["y"], v)


def on_the_diagonal(b, v):
    y = np.array(b["x"][0] @ b["x"][0].T)
    np.fill_diagonal(y, 1.0)
    return _squares(y, v)


def by_an_option(b, v):
    y = b["y"] * 1.0
    np.clip(y, -1.0, 1.0, out=y)
    return _squares(y, v)


def counted(b, v):
    counts = np.zeros(3)
    np.add.at(counts, b["y"][0].astype(int), 1.0)
    return _squares(counts, v)


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        (view_from_before, "Take the view after the write"),
        (into_the_batch, "x = x \\+ y"),
        (into_the_batch_by_another_name, "x = x \\+ y"),
        (into_a_view_of_the_batch, "Copy it first"),
        (on_the_diagonal, "np.where\\(np.eye\\(n\\) > 0, x, a\\)"),
        (by_an_option, ""),
        (counted, "np.bincount\\(index, minlength=n\\)"),
    ],
)
def test_other_writes_are_refused(cost, says):
    """What would change the batch, or is seen through a view from before, has its line and what to write."""
    before = {name: leaf.copy() for name, leaf in DATA.items()}
    with pytest.raises(ValueDependence, match=rf"test_lists_and_writes\.py:\d+.*{says}"):
        engine.fomaml_step(DATA, cost, None, THETA, 1, 0.05, batched=False)
    for name, leaf in DATA.items():
        np.testing.assert_array_equal(leaf, before[name])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "cost",
    [
        lambda b, v: _squares(b["y"][0] ** b["p"][0], v),
        lambda b, v: _squares(b["y"] ** anp.mean(b["p"]), v),
        lambda b, v: anp.mean(b["y"] ** anp.exp(v["b"])),
        lambda b, v: _squares(b["y"] ** np.float64(0.5), v),
    ],
)
def test_powers_of_data_to_numbers_that_are_recorded(cost, kind):
    """Whether a power is ½ is asked of numbers alone."""
    agree(cost, kind)


@pytest.mark.parametrize("kind", ["fomaml", "reptile"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [0, 1, 2, 3, -1, -2, 0.5, 1.5, 2.0, -1.0, np.float64(2.0), np.float64(0.5)])
def test_powers_of_data(power, dtype, kind):
    """The operator of arrays takes some powers by other functions than np.power, which some versions round otherwise.

    The proof at first use compares to the bit; in Reptile's last cost variables are plain arrays, too.
    """
    data = {"x": (np.abs(RNG.normal(size=(3, 200, 3))) + 0.1).astype(dtype)}
    theta = {"w": np.array([0.3, 0.2, 0.1], dtype)}
    mine, theirs = (getattr(module, f"{kind}_step") for module in (engine, refmaml))
    for cost in (
        lambda b, v: anp.mean(b["x"] ** power * v["w"]),
        lambda b, v: anp.mean((b["x"] * v["w"] ** power - 1.0) ** 2),
    ):
        costs = (cost,) if kind == "reptile" else (cost, None)
        assert_same_answer(mine, theirs, data, *costs, theta, 2, 0.01, batched=False)


def test_a_default_inner_step_is_no_name_of_the_users():
    """What keeps records is named, and told what to do."""
    kept = []

    def recording(b, v):
        kept.append(1)
        return _squares(b["y"], v)

    with pytest.raises(ValueDependence, match=r"^recording: .*keep records outside of the cost"):
        engine.fomaml_step(DATA, recording, None, THETA, 1, 0.05, batched=False)
