"""Every primitive with a rule, alone and as plain Python, and its family as machine code, against the reference."""

import autograd.numpy as anp
import autograd.numpy.linalg as alg
import autograd.scipy.special as asp
import numpy as np
import pytest
from hypothesis import settings
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import plans, shortcut

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
    "inner": lambda x: anp.inner(x, x[:2]), "outer": lambda x: anp.outer(x[0], x[:, 1]),
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
    if settings.get_current_profile_name() == "ci":
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
    failures = {}
    for name, function in FAMILIES[family].items():
        for order in (1,) if name in FIRST_ORDER_ONLY else (1, 2):
            try:
                _compare([function], np.float64, 2, order)
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"[:200]
    assert not failures


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_as_machine_code(family, dtype):
    # No inner step: with so many terms one would carry the variables far away, where the cost is ill-conditioned.
    _compare(FAMILIES[family].values(), dtype, 0, 1)
