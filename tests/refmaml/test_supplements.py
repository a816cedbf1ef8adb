"""The derivatives that the project adds to autograd's, each against differences, in both orders."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads

import refmaml

X = np.random.default_rng(0).normal(size=(3, 4))
PLACES = np.array([[0, 1], [3, 2], [1, 1]])
ROWS = np.array([2, 0, 2])

FUNCTIONS = {
    "take of rows": lambda x: anp.take(x, ROWS, axis=0) ** 2, "take of columns": lambda x: anp.take(x, ROWS, axis=-1),
    "take of a matrix of places": lambda x: anp.take(x, PLACES, axis=1) ** 2,
    "take of all": lambda x: anp.take(x, -ROWS) ** 2,
    "take along rows": lambda x: anp.take_along_axis(x, PLACES, axis=1) ** 3,
    "take along one row": lambda x: anp.take_along_axis(x, np.array([[0, 1, 2, 0]]), axis=0) ** 2,
    "take along a repeated row": lambda x: anp.take_along_axis(x[:1], PLACES, axis=-1) ** 3,
    "take along all": lambda x: anp.take_along_axis(x, ROWS, axis=None) ** 2,
    "sort of columns": lambda x: anp.sort(x, axis=0) ** 2 * np.arange(3.0)[:, None],
    "sort of all": lambda x: anp.sort(x, axis=None) ** 2 * np.arange(12.0),
    "nuclear norm": lambda x: anp.linalg.norm(x, "nuc") ** 2,
    "nuclear norms": lambda x: anp.linalg.norm(anp.stack([x, 2 * x]), "nuc", axis=(1, 2)) ** 2,
    "Frobenius norms": lambda x: anp.linalg.norm(anp.stack([x, 2 * x]), axis=(2, 1), keepdims=True) ** 3,
    **{
        f"convolve {mode} of {name}": lambda x, mode=mode, pair=pair: anp.convolve(*pair(x), mode=mode) ** 2
        for mode in ("full", "same", "valid")
        for name, pair in {
            "a shorter": lambda x: (x[0], x[1, :3]), "a longer": lambda x: (x[1, :2], x[0]),
            "a much longer": lambda x: (anp.ravel(x), x[0]),
        }.items()
    },
    **{
        f"norm {order} along {axis}, {keepdims}": lambda x, order=order, axis=axis, keepdims=keepdims: anp.linalg.norm(
            x, order, axis=axis, keepdims=keepdims
        ) ** 2
        for order in (None, 1, 2, 3, np.inf)
        for axis, keepdims in ((0, False), (-1, True))
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_derivative_is_that_of_differences(name):
    """First and second derivatives of each function agree with finite differences."""
    check_grads(FUNCTIONS[name], modes=["rev"], order=2)(X)


def test_a_norm_that_has_no_derivative_is_named():
    """An order below 1, a matrix norm without a formula, and an unusual mode raise an error that says what is there."""
    for cost, text in (
        (lambda v: anp.linalg.norm(v["w"], 0.5, axis=0)[0], "order of 1 or more"),
        (lambda v: anp.linalg.norm(v["w"], 2), "Frobenius or the nuclear"),
        (lambda v: anp.sum(anp.take(v["w"], ROWS, mode="clip")), "mode='raise'"),
    ):
        with pytest.raises(NotImplementedError, match=text):
            refmaml.fomaml_step({"x": X[None]}, lambda b, v, c=cost: c(v), None, {"w": X}, 1, 0.1, batched=False)


def test_grids_are_made_by_autograd_numpy_too():
    """`ogrid` and `mgrid` are NumPy's."""
    assert np.array_equal(anp.ogrid[:3, :2][1], np.ogrid[:3, :2][1])
    assert np.array_equal(anp.mgrid[:3], np.mgrid[:3])


MASK = np.array([True, False, True, True])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"where": MASK}) for name in ("sum", "prod", "mean", "var", "std")),
        *((name, {"where": MASK, "initial": 0.0}) for name in ("max", "min", "amax", "amin")),
        *((name, {"initial": 9.0}) for name in ("max", "sum", "prod")), ("min", {"initial": -9.0}),
    ],
)  # fmt: skip
def test_an_argument_that_a_derivative_would_ignore_is_refused(name, options):
    """Their derivatives in autograd are those of the function without it."""
    with pytest.raises(NotImplementedError, match=r"autograd's derivative ignores\. Write np\.sum") as refusal:
        grad(lambda x: anp.sum(getattr(anp, name)(x, axis=-1, **options)))(X)
    assert all(f"{option}=" in str(refusal.value) for option in options)


@pytest.mark.parametrize(
    "reduce",
    [
        lambda x: anp.sum(x, axis=0, keepdims=True) ** 2, lambda x: anp.std(x, axis=-1, ddof=1),
        lambda x: anp.var(x, 1, ddof=0), lambda x: anp.max(x, axis=0, keepdims=True), anp.mean,
        lambda x: anp.prod(x, axis=1), lambda x: anp.amin(x) ** 2, lambda x: x.mean(axis=0) * x.std(),
    ],
)  # fmt: skip
def test_reductions_keep_the_derivatives_that_they_have(reduce):
    """What a derivative knows it still takes."""
    check_grads(reduce, modes=["rev"], order=2)(X)
