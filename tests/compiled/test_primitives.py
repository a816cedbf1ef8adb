"""Every primitive with a rule, alone and as plain Python, and its family as machine code, against the reference."""

import operator

import autograd.numpy as anp
import autograd.numpy.linalg as alg
import autograd.scipy.special as asp
import numpy as np
import pytest
from autograd import grad
from hypothesis import settings
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import UnsupportedPrimitive
from refmaml.compiled.calls import plans, shortcut

ELEMENTWISE = {
    "exp": anp.exp, "exp2": anp.exp2, "expm1": anp.expm1, "log": lambda x: anp.log(x + 3), "tanh": anp.tanh,
    "log2": lambda x: anp.log2(x + 3), "log10": lambda x: anp.log10(x + 3), "log1p": lambda x: anp.log1p(x + 2),
    "sin": anp.sin, "cos": anp.cos, "tan": anp.tan, "sinh": anp.sinh, "cosh": anp.cosh, "arctan": anp.arctan,
    "arcsin": lambda x: anp.arcsin(x / 3), "arccos": lambda x: anp.arccos(x / 3), "arcsinh": anp.arcsinh,
    "arccosh": lambda x: anp.arccosh(x + 4), "arctanh": lambda x: anp.arctanh(x / 3), "square": anp.square,
    "sqrt": lambda x: anp.sqrt(x + 3), "reciprocal": lambda x: anp.reciprocal(x + 3), "abs": anp.abs,
    "fabs": anp.fabs, "negative": anp.negative, "sign": lambda x: anp.sign(x) * x, "floor": lambda x: anp.floor(x) * x,
    "ceil": lambda x: anp.ceil(x) * x, "rint": lambda x: anp.rint(x) * x, "trunc": lambda x: anp.trunc(x) * x,
    "degrees": anp.degrees, "radians": anp.radians, "sinc": anp.sinc, "nan_to_num": anp.nan_to_num,
    "power": lambda x: (x + 3) ** 1.7, "cube": lambda x: x**3, "power of power": lambda x: anp.power(x + 3, x),
    "mod": lambda x: anp.mod(x, 0.7), "divide": lambda x: x / (x + 3), "subtract": lambda x: 1.0 - x,
    "maximum": lambda x: anp.maximum(x, 0.1), "minimum": lambda x: anp.minimum(x, x * x),
    "fmax": lambda x: anp.fmax(x, 0.2), "fmin": lambda x: anp.fmin(x, 0.2), "hypot": lambda x: anp.hypot(x, 0.5),
    "arctan2": lambda x: anp.arctan2(x, 0.5), "logaddexp": lambda x: anp.logaddexp(x, 0.3),
    "logaddexp2": lambda x: anp.logaddexp2(x, 0.3), "clip": lambda x: anp.clip(x, -0.5, 0.6),
    "clip below": lambda x: anp.clip(x, 0, None), "clip above": lambda x: anp.clip(x, a_min=None, a_max=0.2),
    "comparisons with None": lambda x: x * (x != None) + (x == None),  # noqa: E711 - what is tested
    "where": lambda x: anp.where(x > 0.1, x * x, anp.exp(x)), "comparisons": lambda x: x * (x <= 0.3) * (x != 0.1),
    "logic": lambda x: x * anp.logical_and(x > -1, anp.logical_not(x > 0.5)), "isfinite": lambda x: x * anp.isfinite(x),
    "ones_like": lambda x: x * anp.ones_like(x) + anp.zeros_like(x), "astype": lambda x: x.astype(x.dtype) * 2,
}  # fmt: skip

SPECIAL = {
    "psi": lambda x: asp.psi(x + 3), "gamma": lambda x: asp.gamma(x + 3), "gammaln": lambda x: asp.gammaln(x + 3),
    "rgamma": lambda x: asp.rgamma(x + 3), "digamma": lambda x: asp.digamma(x + 3), "j0": asp.j0, "j1": asp.j1,
    "y0": lambda x: asp.y0(x + 3), "y1": lambda x: asp.y1(x + 3), "i0": asp.i0, "i1": asp.i1, "erf": asp.erf,
    "erfc": asp.erfc, "erfinv": lambda x: asp.erfinv(x / 3), "erfcinv": lambda x: asp.erfcinv(1 + x / 3),
    "logit": lambda x: asp.logit((x + 3) / 6), "expit": asp.expit, "beta": lambda x: asp.beta(x + 3, 1.5),
    "betaln": lambda x: asp.betaln(x + 3, 1.5), "betainc": lambda x: asp.betainc(1.2, 1.5, (x + 3) / 6),
    "gammainc": lambda x: asp.gammainc(1.5, x + 3), "gammaincc": lambda x: asp.gammaincc(1.5, x + 3),
    "jn": lambda x: asp.jn(2, x), "yn": lambda x: asp.yn(2, x + 3), "iv": lambda x: asp.iv(2, x + 3),
    "ive": lambda x: asp.ive(2, x + 3), "polygamma": lambda x: asp.polygamma(1, x + 3),
    "logsumexp": lambda x: asp.logsumexp(x, axis=1), "logsumexp all": asp.logsumexp,
}  # fmt: skip

ARRAYS = {
    "sum": lambda x: anp.sum(x * x, axis=1), "sum of two axes": lambda x: anp.sum(x * x, axis=(0, 1)),
    "keepdims": lambda x: x * anp.sum(x, axis=0, keepdims=True), "mean": lambda x: anp.mean(x * x, axis=1),
    "prod": lambda x: anp.prod(x, axis=1), "var": lambda x: anp.var(x, axis=0), "std": lambda x: anp.std(x, axis=1),
    "max": lambda x: anp.max(x, axis=1), "min": anp.min, "cumsum": lambda x: anp.cumsum(x, axis=1) ** 2,
    "cumsum all": lambda x: anp.cumsum(x) ** 2, "trace": lambda x: anp.trace(x) ** 2,
    "diff": lambda x: anp.diff(x) ** 2,
    "norm": alg.norm, "norm of rows": lambda x: alg.norm(x, axis=1),
    "norm of order 3": lambda x: alg.norm(x, 3, axis=0),
    "Fortran's order": lambda x: x.ravel("F") * anp.arange(12.0),
    "flattened": lambda x: x.flatten("F") * x.T.ravel("F"),
    "Fortran's order by keyword": lambda x: anp.ravel(x, order="F") * anp.arange(12.0),
    "reshaped in Fortran's order": lambda x: anp.reshape(x, (2, 6), "F") * anp.arange(12.0).reshape(2, 6),
    "reshape": lambda x: anp.reshape(x, (2, 6)) ** 2, "ravel": lambda x: anp.ravel(x.T) * anp.arange(12.0),
    "transpose": lambda x: x.T @ x, "swapaxes": lambda x: anp.swapaxes(x, 0, 1) * anp.arange(3.0),
    "moveaxis": lambda x: anp.moveaxis(x, 0, 1) ** 2, "expand_dims": lambda x: anp.expand_dims(x, 1) * x,
    "squeeze": lambda x: anp.squeeze(x[:, :1]) ** 2, "flip": lambda x: anp.flipud(x) * anp.fliplr(x),
    "rot90": lambda x: anp.rot90(x) ** 2, "roll": lambda x: anp.roll(x, 2, axis=1) * x,
    "repeat": lambda x: anp.repeat(x, 2, axis=0) ** 2, "tile": lambda x: anp.tile(x, (2, 1)) ** 2,
    "diagonal": lambda x: anp.diagonal(x[:, :3], axis1=-1, axis2=-2) ** 2, "diag": lambda x: anp.diag(x[0]) @ x.T,
    "triu": lambda x: anp.triu(x) @ anp.tril(x).T, "pad": lambda x: anp.pad(x, 1, mode="constant") ** 2,
    "concatenate": lambda x: anp.concatenate([x, 2 * x[:1]], axis=0) ** 2, "stack": lambda x: anp.stack([x, x * x]),
    "vstack": lambda x: anp.vstack([x, x * x]), "hstack": lambda x: anp.hstack([x, x * x]) ** 2,
    "array of boxes": lambda x: anp.array([x[0, 0], x[1, 1]]) ** 2, "append": lambda x: anp.append(x, 2 * x) ** 2,
    "split": lambda x: anp.split(x, 2, axis=1)[1] ** 2, "slices": lambda x: x[::2, 1:] * x[:2, -2::-1],
    "integer index": lambda x: x[np.array([0, 2, 0])] ** 2, "boolean index": lambda x: x[np.eye(3, 4) > 0] ** 2,
    "mixed index": lambda x: x[[0, 1], 2] ** 2, "broadcast": lambda x: x * x[:1] + x[:, :1],
    "broadcast_to": lambda x: anp.broadcast_to(x[:1], (3, 4)) * x, "full": lambda x: anp.full((2,), x[0, 0]) ** 2,
    "dot": lambda x: anp.dot(x, x.T), "dot of vectors": lambda x: anp.dot(x[0], x[1]), "matmul": lambda x: x @ x[0],
    "matmul of stacks": lambda x: anp.matmul(anp.stack([x, 2 * x]), x.T), "vector times matrix": lambda x: x[:, 0] @ x,
    "inner": lambda x: anp.inner(x, x[:2]), "inner of a number": lambda x: anp.inner(x[0, 1], x) * anp.arange(4.0),
    "outer": lambda x: anp.outer(x[0], x[:, 1]),
    "tensordot": lambda x: anp.tensordot(x, x, axes=([0], [0])), "tensordot of all": lambda x: anp.tensordot(x, x, 2),
    "einsum": lambda x: anp.einsum("ij,kj->ik", x, x), "einsum of a sum": lambda x: anp.einsum("ij,ij->", x, x),
    "einsum of three": lambda x: anp.einsum("ij,kj,kl->il", x, x, x), "einsum of a batch": lambda x: anp.einsum(
        "bi,bj->bij", x, x), "einsum of one": lambda x: anp.einsum("ij->j", x) ** 2,
}  # fmt: skip

FAMILIES = {"elementwise": ELEMENTWISE, "special": SPECIAL, "arrays": ARRAYS}
# Their second derivatives in autograd use functions that the engine has no rule for, or do not exist there.
FIRST_ORDER_ONLY = {"betainc", "gammainc", "gammaincc", "ive", "iv"}


def data(dtype):
    rng = np.random.default_rng(3)
    return {"x": rng.uniform(-1.9, 1.9, (2, 3, 4)).astype(dtype)}


def theta(dtype):
    return {"w": np.random.default_rng(4).uniform(0.2, 0.4, (3, 4)).astype(dtype)}


def cost_of(*functions):
    def cost(batch, v):
        x = batch["x"][0] * v["w"] + 0.05
        return sum(anp.mean(anp.sin(function(x))) for function in functions)

    return cost


@pytest.fixture
def _as_python(monkeypatch):
    """In CI each primitive alone runs as plain Python; in the profile `nightly`, as machine code."""
    if settings.get_current_profile_name() != "nightly":
        monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    plans.clear()
    shortcut.forget()


def _compare(functions, dtype, steps, order):
    compiled, reference = (
        (engine.fomaml_step, refmaml.fomaml_step) if order == 1 else (engine.maml_step, refmaml.maml_step)
    )
    args = (data(dtype), cost_of(*functions), None, theta(dtype), steps, 0.05)
    with np.errstate(all="ignore"):
        assert_same_answer(compiled, reference, *args, batched=False)


@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize("family", FAMILIES)
def test_each_primitive_alone(family):
    """A cost of one primitive, run as plain Python, has the reference's answer in each order that it has."""
    failures = {}
    for name, function in FAMILIES[family].items():
        for order in (1,) if name in FIRST_ORDER_ONLY else (1, 2):
            try:
                _compare([function], np.float64, 2, order)
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"[:200]
    assert not failures


@pytest.mark.sampled(3)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_as_machine_code(family, dtype):
    """The sum of all primitives of a family, compiled, has the reference's answer."""
    # No inner step: with so many terms one would carry the variables far away, where the cost is ill-conditioned.
    _compare(FAMILIES[family].values(), dtype, 0, 1)


def _of_data(leaves, function, **options):
    """Compare the two engines on the sum of a function of the data, times a variable; twice, by the shortcut too."""

    def cost(batch, v):
        return anp.sum(function(batch)) * v["w"] * 0.5

    for steps in (0, 1, 1):
        theta = {"w": np.ones(2 if options.get("batched") else (), np.float64)}
        args = (leaves, cost if not options else lambda b, v: anp.sum(cost(b, v)), None, theta, steps, 0.01)
        with np.errstate(all="ignore"):
            got = engine.fomaml_step(*args, **{"batched": False, **options})
            expected = refmaml.fomaml_step(*args, **{"batched": False, **options})
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(got[1]["w"], expected[1]["w"], rtol=1e-12)


WHOLE = {
    "n": np.array([[[1, -2, 3], [4, 5, -7]], [[2, 9, -4], [0, 3, 8]]]),
    "p": np.array([[[True, False, True], [False, True, True]], [[True, True, True], [False, False, True]]]),
    "x": np.array([[[0.3, -1.7, 2.5], [-0.5, 4.0, 1.1]], [[np.nan, np.inf, -np.inf], [1e30, -1e30, 7.0]]]),
}

LEAST = np.int64(-(2**63))
INTEGERS = {
    "arithmetic": lambda n, p: n + 2 * n - n * n - (-n), "abs": lambda n, p: abs(n), "square": lambda n, p: n**2,
    "cube": lambda n, p: n**3, "fifth power": lambda n, p: n**5, "zeroth power": lambda n, p: n**0,
    "wrapped power": lambda n, p: (n + 10**5) ** 7, "np.square": lambda n, p: anp.square(n),
    "root": lambda n, p: abs(n) ** 0.5, "float power": lambda n, p: abs(n) ** 2.5, "divide": lambda n, p: n / 7,
    "dot": lambda n, p: anp.dot(n[0].T, n[0]), "matmul": lambda n, p: n @ n[0].T, "inner": lambda n, p: anp.inner(n, n),
    "vectors": lambda n, p: n[0, 0] @ n[0, 1], "outer": lambda n, p: anp.outer(n, n),
    "tensordot": lambda n, p: anp.tensordot(n, n, axes=([1], [1])), "times a scalar": lambda n, p: anp.dot(n, 3),
    "einsum": lambda n, p: anp.einsum("bij,bkj->ik", n, n) * n[0, 0, 0], "large": lambda n, p: n @ n[0].T * 2**60,
    "floor": lambda n, p: anp.floor(n), "ceil": lambda n, p: anp.ceil(n), "trunc": lambda n, p: anp.trunc(n),
    "rint": lambda n, p: anp.rint(n), "fabs": lambda n, p: anp.fabs(n), "maximum": lambda n, p: anp.maximum(n, 2),
    "fmax": lambda n, p: anp.fmax(n, 2), "fmin": lambda n, p: anp.fmin(n, 2), "clip": lambda n, p: anp.clip(n, 0, 4),
    "max": lambda n, p: anp.max(n, axis=1), "min": lambda n, p: anp.min(n), "mean": lambda n, p: anp.mean(n, axis=2),
    "extremes": lambda n, p: anp.max(abs(n) + -(2**63)) + anp.min(2**63 - 20 - abs(n)) / 2**40,
    "var": lambda n, p: anp.var(n), "prod": lambda n, p: anp.prod(n + 11), "cumsum": lambda n, p: anp.cumsum(n, axis=2),
    "large cumsum": lambda n, p: anp.cumsum(n + 2**60) - 2**60 * np.arange(1, 7),
    "isfinite": lambda n, p: anp.isfinite(n), "isnan": lambda n, p: anp.isnan(n), "pad": lambda n, p: anp.pad(
        n, 1, mode="constant"), "nan_to_num": lambda n, p: anp.nan_to_num(n), "where": lambda n, p: anp.where(p, n, -n),
    "with more axes": lambda n, p: anp.array([n[0, 0], n[0, 1]], ndmin=3) * n[0],
    "diag": lambda n, p: anp.diag(n[0, 0]), "triu": lambda n, p: anp.triu(n[0]), "diff": lambda n, p: anp.diff(n),
    "stack": lambda n, p: anp.stack([n, n * n]), "roll": lambda n, p: anp.roll(n, 1)[..., 0] * 3,
    "compare": lambda n, p: (n > 2) * n + (n == 3), "exp": lambda n, p: anp.exp(n), "norm": lambda n, p: alg.norm(n[0]),
    "or": lambda n, p: p + p, "and": lambda n, p: p * p[:, :1], "maximum of truths": lambda n, p: anp.maximum(p, p[:1]),
    "minimum of truths": lambda n, p: anp.minimum(p, p[:, :1]), "max of truths": lambda n, p: anp.max(p, axis=1),
    "min of truths": lambda n, p: anp.min(p, axis=2), "sum of truths": lambda n, p: anp.sum(p, axis=1) * n[:, :1, 0],
    "mean of truths": lambda n, p: anp.mean(p), "truth and integer": lambda n, p: p * n + p,
    "abs of truths": lambda n, p: abs(p), "compare truths": lambda n, p: (p > p[:, :1]) == p,
    "pad of truths": lambda n, p: anp.pad(p, 1, mode="constant"), "as float": lambda n, p: n.astype(float) / 3,
    "float32 of truths": lambda n, p: p.astype(np.float32),
    "| of truths": lambda n, p: n * (p | (n > 2)), "& of truths": lambda n, p: n * (p & p[:, :1] & True),
    "^ of truths": lambda n, p: n * (p ^ np.array([True, False, True])), "~ of truths": lambda n, p: n * ~p,
    "| after a plain array": lambda n, p: n * (np.array([True, False, True]) | p),
    "bitwise_and": lambda n, p: n * anp.bitwise_and(p, n > 2),
    "tests": lambda n, p: anp.isnan(n / 0) | anp.isinf(n / 0),
    "mod": lambda n, p: n % 3 + n % -4 + 17 % (n - 1), "floor_divide": lambda n, p: n // 3 - n // -4 + 17 // (n - 1),
    "mod by 0": lambda n, p: n % (n * 0) + n // (n * 0), "mod by integers": lambda n, p: n % (n[::-1] + 1),
    "smallest by -1": lambda n, p: (n * 0 + LEAST) // -p.astype(int) / 2**40 + (n * 0 + LEAST) % -p.astype(int),
    "sign": lambda n, p: anp.sign(n), "floor_divide as a function": lambda n, p: anp.floor_divide(n, 3),
    "select": lambda n, p: anp.select([p, n > 3], [n / 2.0, -n / 3.0], 0.5),
    "select with another default": lambda n, p: anp.select([p, n > 3], [n / 2.0, -n / 3.0], n / 5.0),
    "concatenate of NumPy": lambda n, p: np.concatenate([n, 2 * n], axis=1),
    "stack of NumPy": lambda n, p: np.stack([n, p]),
    "count": lambda n, p: anp.count_nonzero(n, axis=1), "argmax": lambda n, p: anp.argmax(n, axis=2) + anp.argmin(n),
    "argsort": lambda n, p: anp.argsort(n, axis=1) * n, "sort": lambda n, p: anp.sort(n) * np.arange(3),
    "cumsum of truths": lambda n, p: anp.cumsum(p, axis=1), "not": lambda n, p: anp.logical_not(p) * n,
}  # fmt: skip

REFUSED = {
    "reciprocal": lambda n, p: anp.reciprocal(n), "power": lambda n, p: abs(n) ** abs(n),
    "matmul of truths": lambda n, p: p[0] @ p[0].T, "einsum of truths": lambda n, p: anp.einsum("bij->b", p),
    "dot of truths": lambda n, p: anp.dot(p[0], p[0].T), "outer of truths": lambda n, p: anp.outer(p, p),
    "large constants": lambda n, p: n * np.array([2**63, 1, 1], np.uint64),
    "and": lambda n, p: n & 3, "or of both": lambda n, p: p | n,
    "bits": lambda n, p: n << 1, "not": lambda n, p: ~n, "bitwise_or": lambda n, p: anp.bitwise_or(n, 1),
    "in place": lambda n, p: operator.ior(p, p), "and a plain array": lambda n, p: np.array(3) & n,
    "floor_divide of floats": lambda n, p: (n / 2.0) // 0.7,
    "choice of NumPy": lambda n, p: np.choose(abs(n) % 2, [n, -n]),
}  # fmt: skip


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_and_truth_values(name):
    """What a cost computes from integers and truth values of the data is what NumPy computes."""
    _of_data(WHOLE, lambda b: INTEGERS[name](b["n"], b["p"]))


@pytest.mark.parametrize("name", REFUSED)
def test_what_integers_have_no_form_for_is_refused_with_its_line(name):
    """An operation on integers or truth values without a compiled form is refused, with the line."""
    with pytest.raises(UnsupportedPrimitive, match=r"test_primitives\.py"):
        _of_data(WHOLE, lambda b: REFUSED[name](b["n"], b["p"]))


def test_a_negative_power_of_integers_is_an_error_as_in_the_reference():
    """A constant negative power of integers is NumPy's own error, and a power that data decide is refused."""
    with pytest.raises(ValueError, match="negative integer powers"):
        _of_data(WHOLE, lambda b: b["n"] ** -1)
    leaves = {"n": np.array([[2], [2]]), "p": np.array([[1], [-1]])}
    with pytest.raises(UnsupportedPrimitive, match="power"):
        _of_data(leaves, lambda b: b["n"] ** b["p"])


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4", ">i2", ">i4", ">i8", ">u4"])
def test_data_of_every_kind_of_integer(dtype):
    """Data of any width, sign, byte order and strides are read rightly, and wrap as NumPy's do.

    A sum of unsigned integers is one of 64 bits, which nothing here can keep.
    """
    leaves = {"n": np.arange(1, 25).reshape(2, 3, 4).astype(dtype), "x": np.ones((2, 3, 4))}
    _of_data(leaves, lambda b: b["n"] * b["x"])
    _of_data(leaves, lambda b: anp.mean(b["n"], axis=0) + (b["n"][:, 0] > 5))
    strided = {"n": leaves["n"][:, ::2, ::-1], "x": leaves["x"][:, ::2]}
    _of_data(strided, lambda b: b["n"] * b["x"], num_tasks=1)
    _of_data(strided, lambda b: b["n"] * b["x"], batched=True)
    _of_data(leaves, lambda b: b["n"] * b["x"], inner_batch_fn=lambda b: {**b, "x": b["x"] * 2})
    _of_data(leaves, lambda b: (b["n"] * b["n"] * b["n"] - 100) * b["x"])
    _of_data(leaves, lambda b: (-b["n"] + b["n"] ** 3) * b["x"])
    _of_data(leaves, lambda b: anp.matmul(b["n"] ** 6, anp.swapaxes(b["n"], -1, -2)) * anp.mean(b["x"]))
    _of_data(leaves, lambda b: anp.ravel(anp.abs(b["n"] * b["n"]) // 7) * anp.mean(b["x"]))
    if np.dtype(dtype).kind == "u":
        with pytest.raises(UnsupportedPrimitive, match=r"expected .*int64.*test_primitives\.py"):
            _of_data(leaves, lambda b: anp.sum(b["n"], axis=0) * b["x"])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32])
def test_conversions_to_narrow_integers(dtype):
    """Labels are converted to the integers of other frameworks, and what does not fit into them wraps."""
    leaves = {"n": np.array([[0, 2, 1], [300, -70000, 2**33 + 5]]), "x": np.array([[0.5, 2.9, 100.2], [7.0, 0.0, 1.5]])}
    _of_data(leaves, lambda b: b["n"].astype(dtype) * b["x"])
    _of_data(leaves, lambda b: b["x"].astype(dtype) * b["x"])
    _of_data(leaves, lambda b: anp.where(b["n"] > 5, b["n"], 2).astype(dtype).astype(np.int64) * b["x"])
    _of_data(leaves, lambda b: np.array([0.5, 1.5, 2.5])[abs(b["n"].astype(dtype)) % 3])


def test_integers_of_floating_point_numbers():
    """Casts of floating-point data, infinite ones included, to integers and truth values are those of NumPy."""
    _of_data(WHOLE, lambda b: b["x"].astype(int) * 1e-18)
    _of_data({"x": WHOLE["x"].astype(np.float32)}, lambda b: b["x"].astype(int) * 1e-18)
    _of_data(WHOLE, lambda b: b["x"].astype(bool))
    _of_data({"x": np.array([[1.0, 2.0], [3.0, 4.0]])}, lambda b: (b["x"] / 0).astype(int) * 1e-18)


def test_the_root_of_minus_infinity():
    """A power of −∞ is what the reference gives for it, whichever way the power is written."""
    leaves = {"x": np.array([[1.0], [-np.inf]])}
    _of_data(leaves, lambda b: b["x"] ** 0.5)
    _of_data({"x": leaves["x"].astype(np.float32)}, lambda b: anp.power(b["x"], 0.5))
    for order in (engine.fomaml_step, engine.maml_step):
        reference = getattr(refmaml, order.__name__)
        for exponent in (0.5, 1.5):
            args = (leaves, lambda b, v, e=exponent: anp.sum((b["x"] * v["w"]) ** e), None, {"w": np.ones(())}, 1, 0.1)
            with np.errstate(all="ignore"):
                got, expected = order(*args, batched=False), reference(*args, batched=False)
            np.testing.assert_allclose([got[0], got[1]["w"]], [expected[0], expected[1]["w"]])


PAIRS = {"x": np.array([[1.0, 2.0], [3.0, 5.0]]), "none": np.ones((2, 0))}
LINEAR = {
    "linear": lambda b, v: anp.sum(v["w"] * b["x"]), "constant": lambda b, v: anp.sum(b["x"]),
    "number": lambda b, v: 2.0, "whole number": lambda b, v: 2, "quadratic": lambda b, v: anp.sum(v["w"] ** 2 * b["x"]),
}  # fmt: skip


@pytest.mark.parametrize("outer", LINEAR)
@pytest.mark.parametrize("inner", ["linear", "constant", "number", "whole number"])
def test_costs_without_a_gradient_or_without_a_second_one(inner, outer):
    """Constant and linear costs, and plain numbers, give each step the reference's answer."""
    theta = {"w": np.array(1.5)}
    for steps in (0, 2):
        for name in ("fomaml_step", "maml_step"):
            args = (PAIRS, LINEAR[inner], LINEAR[outer], theta, steps, 0.1)
            assert_same_answer(getattr(engine, name), getattr(refmaml, name), *args, batched=False)
    args = (PAIRS, LINEAR[inner], theta, 2, 0.1)
    assert_same_answer(engine.reptile_step, refmaml.reptile_step, *args, batched=False)


INSIDE = {
    "tanh": anp.tanh, "tanh of tanh": lambda z: anp.tanh(anp.tanh(z)), "sin": anp.sin, "square": anp.square,
    "tanh twice": lambda z: anp.tanh(z) * anp.tanh(2.0 * z),
}  # fmt: skip


@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("function", INSIDE.values(), ids=INSIDE)
def test_a_cost_may_differentiate(function, order):
    """A cost that takes gradients itself, by its data and by its variables, has the reference's answer."""

    def cost(b, v):
        slope = grad(lambda x: anp.sum(function(x * v["w"])))(b["x"])
        by_variable = grad(lambda w: anp.sum(function(b["x"] * w)))(v["w"])
        return anp.mean((slope - 1.0) ** 2) + by_variable**2

    step = "fomaml_step" if order == 1 else "maml_step"
    args = (PAIRS, cost, None, {"w": np.array(0.4)}, 2, 0.01)
    assert_same_answer(getattr(engine, step), getattr(refmaml, step), *args, batched=False)


def _unpacked(v):
    a, _, c = v["p"]
    return a - 0.5 * c


PARTS = {
    "element": lambda v: v["p"][1], "slice": lambda v: v["p"][:2], "mask": lambda v: v["m"][np.eye(3) > 0],
    "difference": lambda v: v["p"][-1] - 2 * v["p"][0], "diff": lambda v: anp.diff(v["p"]), "row": lambda v: v["m"][0],
    "twice": lambda v: v["p"][2] + anp.sum(v["p"][1:]), "none": lambda v: v["p"][:0], "unpacked": _unpacked,
    "sum of Python": lambda v: sum(v["p"]), "corner": lambda v: -v["m"][0, 0] - v["m"][1, 1],
    "where": lambda v: anp.where(np.arange(3) > 0, v["p"], 0.0), "cumsum": lambda v: anp.cumsum(v["p"]),
    "tile": lambda v: anp.tile(v["p"], 2)[:4], "roll": lambda v: anp.roll(v["p"], 1) * np.arange(3.0),
    "pad": lambda v: anp.pad(v["p"], 1, mode="constant") * np.arange(5.0), "repeated": lambda v: v["p"][[0, 0, 1]],
    "product": lambda v: np.arange(9.0).reshape(3, 3) @ v["m"],
}  # fmt: skip


@pytest.mark.once
@pytest.mark.sampled(12)
@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("part", PARTS)
def test_a_term_with_a_constant_gradient_holds_no_data(part, first):
    """Autograd adds later parts of a gradient into the array of the first, which a tape may hold as a constant."""

    def cost(b, v):
        term = anp.sum(PARTS[part](v))
        curved = anp.mean((v["p"][0] * b["x"] - anp.exp(v["p"][1])) ** 2) + anp.sum(v["m"][0] ** 2) * anp.sum(b["x"])
        return term + curved if first else curved + term

    theta = {"p": np.array([0.5, -0.25, 1.5]), "m": np.arange(9.0).reshape(3, 3) / 8}
    for data in (PAIRS["x"], 3.0 - PAIRS["x"]):
        for name in ("fomaml_step", "maml_step"):
            args = ({"x": data}, cost, None, theta, 2, 0.05)
            assert_same_answer(getattr(engine, name), getattr(refmaml, name), *args, batched=False)
        assert_same_answer(engine.reptile_step, refmaml.reptile_step, {"x": data}, cost, theta, 2, 0.05, batched=False)


WITHOUT_ELEMENTS = {
    "data": lambda b, v: anp.sum(b["none"] * v["w"]), "slice": lambda b, v: anp.sum(b["x"][:, 5:] @ v["m"][5:]),
    "mean": lambda b, v: anp.mean(b["none"] * v["w"]), "prod": lambda b, v: anp.prod(b["none"] * v["w"]) * v["w"],
    "concatenate": lambda b, v: anp.sum(anp.concatenate([b["none"] * v["w"], b["x"] * v["w"]], 1) ** 2),
    "nothing": lambda b, v: anp.sum(anp.concatenate([b["none"] * v["w"], b["none"]], 1) ** 2),
    "index": lambda b, v: anp.sum(anp.tanh(v["m"][np.array([], int)])), "variable": lambda b, v: anp.sum(v["e"] ** 2),
    "norm": lambda b, v: alg.norm(v["m"][2:] * 2), "stack": lambda b, v: anp.sum(anp.stack([v["e"], 2 * v["e"]])),
    "einsum": lambda b, v: anp.einsum("ij,jk->", b["none"], v["m"][:0]),
    "dot": lambda b, v: anp.sum(anp.dot(b["x"] * v["w"], v["m"][:, :0])),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("name", WITHOUT_ELEMENTS)
def test_arrays_without_elements(name):
    """Empty data, slices and variables beside others change the answer as they do in the reference."""
    theta = {"w": np.array(1.5), "m": np.arange(6.0).reshape(2, 3) / 5, "e": np.ones((0, 2))}

    def cost(batch, v):
        return WITHOUT_ELEMENTS[name](batch, v) + anp.sum(v["w"] ** 2 * batch["x"]) + anp.sum(v["m"] ** 2)

    for step in ("fomaml_step", "maml_step"):
        with np.errstate(all="ignore"):
            args = (PAIRS, cost, None, theta, 1, 0.1)
            assert_same_answer(getattr(engine, step), getattr(refmaml, step), *args, batched=False)


def test_variables_without_elements_alone_are_refused():
    """Where no variable has an element there is nothing to differentiate by, and the engine says so."""
    with pytest.raises(UnsupportedPrimitive, match="all are empty"):
        engine.fomaml_step(PAIRS, lambda b, v: anp.sum(v["e"] ** 2), None, {"e": np.ones(0)}, 1, 0.1, batched=False)


def test_a_gradient_of_another_shape_than_its_variable_is_refused():
    """Where autograd's rule for einsum gives a gradient of a wrong shape the engine refuses."""
    column, theta = np.array([[1.0], [2.0], [3.0]]), {"w": np.ones((3, 4))}
    for step in (engine.fomaml_step, engine.maml_step):
        with pytest.raises(UnsupportedPrimitive, match="einsum"):
            step(PAIRS, lambda b, v: anp.einsum("ij,ij->", v["w"], column) ** 2, None, theta, 1, 0.1, batched=False)


def test_a_rate_that_the_number_of_tasks_carries_beyond_float32_is_refused():
    """A float32 rate that overflows once multiplied by the number of tasks is refused, and a quarter of it is not."""
    batch, theta = {"x": np.full((4, 1), 1e-30, np.float32)}, {"w": np.ones(4, np.float32)}
    args = (batch, lambda b, v: anp.mean(b["x"][:, 0] * v["w"]), None, theta, 1)
    with pytest.raises(UnsupportedPrimitive, match="inner_learning_rate"):
        engine.fomaml_step(*args, 3e38)
    np.testing.assert_allclose(engine.fomaml_step(*args, 8e37)[0], refmaml.fomaml_step(*args, 8e37)[0], rtol=1e-5)
