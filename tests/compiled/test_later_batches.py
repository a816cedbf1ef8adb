"""Costs whose first numbers hide what a later batch shows: the compiled step agrees there, or the reference answers."""

import autograd
import autograd.numpy as np
import numpy as onp
import pytest
from autograd.extend import primitive

import refmaml
import refmaml.compiled as engine

W = {"w": onp.array([1.0, 2.0, 3.0, 4.0])}
EDGES = onp.array([0.0, 1.0])


def row(*numbers):
    return onp.array([numbers])


@primitive
def one_hot(labels):
    out = onp.zeros((len(labels), 2), bool)
    out[onp.arange(len(labels)), labels] = True
    return out


@primitive
def shifted(x):
    out = onp.zeros(len(x))
    out[1:] = x[:-1]
    return out


def into(b, v):
    h = np.zeros(4)
    np.maximum(b["x"][0], 0.0, out=h)
    return np.sum(h * v["w"])


def view_before_a_write(b, v):
    x = np.zeros((2, 4))
    x[:] = b["x"][0]
    y = x[0]
    x[0, 0] = 3.0
    return np.sum(np.where(b["f"][0] > 0, y, x[1]) * v["w"])


def view_of_what_was_nothing(b, v):
    x = np.zeros(4)
    y = x[0:1]
    x[0] = b["x"][0, 0]
    return np.sum(np.where(b["f"][0] > 0, y[0] * np.sum(v["w"]), np.sum(v["w"] ** 2)))


def selections_of_other_shapes(b, v):
    m = b["m"][0]
    return np.mean((b["y"][0][m] - b["x"][0][m] * v["w"][0]) ** 2)


def copied_with_a_dtype(b, v):
    m = np.zeros(3, bool)
    m[:] = b["x"][0] > 0
    return np.sum(np.where(b["f"][0] > 0, onp.array(m, dtype=float), 1.0) * v["w"][:3])


def two_masks(b, v):
    x = b["x"][0]
    return np.sum(x[x > EDGES[:, None]] * x[x > EDGES[None, :]]) * np.sum(v["w"])


COLUMN, TARGET = onp.arange(4.0)[None, :, None], row(1.0, 3.0, 2.0, 5.0)
CASES = {
    "a primitive of one's own that fills a mask": (
        lambda b, v: np.sum(one_hot(b["l"][0]) * np.array([1.0, 10.0])) * np.sum(v["w"]),
        [{"l": row(0, 1, 0)}, {"l": row(0, 0, 0)}],
    ),
    "a primitive of one's own that fills numbers": (
        lambda b, v: np.sum(shifted(b["x"][0]) * v["w"]), [{"x": row(1.0, 2.0, 3.0, 4.0)}],
    ),
    "out=": (into, [{"x": row(1.0, -1.0, 1.0, 1.0)}, {"x": row(5.0, 5.0, 5.0, 5.0)}]),
    "out= in two tasks of one call": (into, [{"x": onp.array([[1.0] * 4, [5.0] * 4])}]),
    "a view from before a write": (
        view_before_a_write, [{"x": onp.ones((1, 4)), "f": onp.array([f])} for f in (-1.0, 1.0)],
    ),
    "a view of what was nothing": (
        view_of_what_was_nothing, [{"x": onp.ones((1, 4)), "f": onp.array([f])} for f in (-1.0, 1.0)],
    ),
    "a copy in another dtype": (
        copied_with_a_dtype, [{"x": row(1.0, -1.0, 1.0), "f": onp.array([f])} for f in (-1.0, 1.0)],
    ),
    "selections of other shapes": (
        selections_of_other_shapes,
        [{"x": COLUMN, "y": TARGET, "m": onp.arange(4)[None] < count} for count in (4, 2)],
    ),
    "two masks of the same numbers": (
        two_masks, [{"x": onp.full((1, 2, 2), 9.0)}, {"x": onp.array([[[0.5, 0.6], [0.3, 2.0]]])}],
    ),
    "the largest of none": (
        lambda b, v: np.max(b["x"][0][b["x"][0] > 0]) * np.sum(v["w"]), [{"x": row(1.0, 2.0)}, {"x": row(-3.0, -4.0)}],
    ),
    "a function of none": (
        lambda b, v: np.sum(np.log(b["x"][0][b["x"][0] > 0]) * v["w"][0] + 1 / np.sqrt(b["x"][0][b["x"][0] > 0])),
        [{"x": row(1.0, 2.0)}, {"x": row(-3.0, -4.0)}, {"x": row(0.0, -4.0)}],
    ),
    "NaN among what is searched": (
        lambda b, v: np.sum(np.searchsorted(np.array([0.0, 1.0]), b["x"][0])) * np.sum(v["w"]),
        [{"x": row(0.5, 2.0)}, {"x": row(0.5, onp.nan)}],
    ),
    "counts of what is too large or negative": (
        lambda b, v: np.sum(np.bincount(b["l"][0], minlength=3) ** 2) * np.sum(v["w"]),
        [{"l": row(0, 1, 2)}, {"l": row(0, 1, 5)}, {"l": row(0, 2, -1)}],
    ),
    "exponents that wrap or are negative": (
        lambda b, v: np.sum(2 ** b["l"][0] // 3 + np.power(-3, b["l"][0])) * np.sum(v["w"]),
        [{"l": row(0, 1, 2)}, {"l": row(62, 63, 3)}, {"l": row(0, 64, 100)}, {"l": row(0, 1, -1)}],
    ),
    "elements by a mask and labels, of which others do not count": (
        lambda b, v: np.sum(v["w"][:3, None][b["x"][0] > 0, b["l"][0][b["x"][0] > 0]] ** 2),
        [
            {"x": row(*signs), "l": row(*labels)}
            for signs, labels in [((1, -1, 1), (0, 7, -1)), ((-1, -1, -1), (9, 9, 9)), ((1, 1, 1), (0, 1, 0))]
        ],
    ),
    "interpolation with infinities": (
        lambda b, v: np.interp(b["x"][0], onp.array([-1.0, 0.0, 2.0]), b["f"][0]) @ v["w"],
        [
            {"x": row(*places), "f": row(*values)}
            for places, values in [
                ((0.0, 1.0, -5.0, 7.0), (1.0, 2.0, 3.0)), ((0.0, 2.0, -1.0, 0.5), (onp.inf, 1.0, 2.0)),
                ((onp.inf, 1.0, 1.0, 1.5), (1.0, onp.inf, onp.inf)), ((-0.5, -0.5, -0.5, -0.5), (-onp.inf, 1.0, 1.0)),
            ]
        ],
    ),
    "the middle of fewer numbers": (
        lambda b, v: (np.nanmedian(b["x"][0]) + np.nanmax(b["x"][0])) * np.sum(v["w"]),
        [{"x": row(0.0, 1.0, -5.0, 7.0)}, {"x": row(onp.nan, 1.0, onp.nan, 4.0)}, {"x": row(*[onp.nan] * 3, 2.0)}],
    ),
}  # fmt: skip


def answer(module, cost, batch):
    """Return the cost and the gradient, or the kind of error: a refusal where the cost is not compiled."""
    try:
        value, gradients = module.fomaml_step(batch, cost, None, W, 0, 0.1, batched=False)
    except engine.CompilationRefused:
        return "refused"
    except Exception as error:
        return type(error).__name__
    return float(value), *gradients["w"].tolist()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of infinities
@pytest.mark.parametrize("name", CASES)
def test_no_later_batch_gives_another_answer(name):
    """On each batch in turn the answer is the reference's, or the cost is refused from the first batch on."""
    cost, batches = CASES[name]
    answers = [answer(engine, cost, batch) for batch in batches]
    if "refused" in answers:
        assert set(answers) == {"refused"}
    else:
        for got, batch in zip(answers, batches, strict=True):
            expected = answer(refmaml, cost, batch)
            assert got == (expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-12, nan_ok=False))


@pytest.mark.parametrize("order", [None, 3])
def test_the_gradient_of_a_norm_of_complex_numbers_is_autograds(order):
    """∂‖x‖/∂x of x = (1 + 2i, 3 − i) by hand: the conjugate of x over its norm, entry by entry to the power p − 2."""
    x = onp.array([1 + 2j, 3 - 1j])
    p = 2 if order is None else order
    size = onp.sum(onp.abs(x) ** p) ** (1 / p)
    expected = onp.conj(x) * onp.abs(x) ** (p - 2) * size ** (1 - p)
    got = autograd.grad(lambda x: np.real(np.linalg.norm(x, order)))(x)
    onp.testing.assert_allclose(got, expected, rtol=1e-14)
