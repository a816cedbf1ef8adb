"""LAPACK's routines, alone and in stacks, in both orders and precisions; and what they cannot factor."""

import autograd.numpy as anp
import autograd.scipy.linalg as asl
import autograd.scipy.stats.multivariate_normal as mvn
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine

STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}


def batch(dtype, seed=1):
    return {"x": np.random.default_rng(seed).normal(size=(2, 4, 3)).astype(dtype)}


def theta(dtype):
    return {"w": (np.random.default_rng(2).normal(size=(4, 3)) / 3 + np.eye(4, 3)).astype(dtype)}


def gram(b, v):
    """Return a symmetric matrix with distinct positive eigenvalues."""
    z = b["x"][0] * 0.3 + v["w"]
    return z.T @ z + np.diag(np.arange(1.0, 4.0)).astype(z.dtype)


def square(b, v):
    return (b["x"][0] * 0.2 + v["w"])[:3] + 1.5 * np.eye(3, dtype=b["x"].dtype)


def _singular_vectors(b, v):
    u, s, vt = anp.linalg.svd(square(b, v), full_matrices=False)
    return anp.sum(anp.sin(u @ vt)) * anp.sum(s**2)


COSTS = {
    "solve": lambda b, v: anp.sum(anp.linalg.solve(square(b, v), (b["x"][0] * v["w"]).T) ** 2),
    "solve of a vector": lambda b, v: anp.sum(anp.linalg.solve(square(b, v), b["x"][0, 0]) ** 3),
    "solve of stacks": lambda b, v: anp.sum(
        anp.linalg.solve(anp.stack([square(b, v), gram(b, v)]), anp.stack([v["w"].T, b["x"][0].T])) ** 2),
    "inv": lambda b, v: anp.sum(anp.sin(anp.linalg.inv(square(b, v)))),
    "det": lambda b, v: anp.log(anp.linalg.det(square(b, v)) ** 2),
    "det of stacks": lambda b, v: anp.sum(anp.linalg.det(anp.stack([square(b, v), -gram(b, v)]))) * 0.1,
    "slogdet": lambda b, v: anp.linalg.slogdet(square(b, v)[::-1])[1] * anp.linalg.slogdet(gram(b, v))[0],
    "cholesky": lambda b, v: anp.sum(anp.sin(anp.linalg.cholesky(gram(b, v)))),
    "cholesky of stacks": lambda b, v: 0.1 * anp.sum(
        anp.linalg.cholesky(anp.stack([gram(b, v), 2.0 * gram(b, v)])) ** 3),
    "triangular solve": lambda b, v: anp.sum(
        asl.solve_triangular(anp.linalg.cholesky(gram(b, v)), b["x"][0, :3], lower=True, trans="T") ** 2),
    "eigenvalues": lambda b, v: anp.sum(anp.log(anp.linalg.eigh(gram(b, v))[0])),
    "eigenvectors": lambda b, v: 0.1 * anp.sum(
        anp.linalg.eigh(gram(b, v), "U")[1] ** 2 * np.arange(9.0).reshape(3, 3) ** 2),
    "singular values": lambda b, v: anp.sum(anp.sqrt(anp.linalg.svd(b["x"][0] * 0.3 + v["w"], compute_uv=False))),
    "singular vectors": _singular_vectors,
    "pinv": lambda b, v: anp.sum(anp.linalg.pinv(b["x"][0] * 0.3 + v["w"]) ** 2),
    "normal density": lambda b, v: -anp.sum(mvn.logpdf(b["x"][0], v["w"][0], gram(b, v))) + anp.exp(
        mvn.entropy(v["w"][0], gram(b, v))) * 0.1,
    "of data alone": lambda b, v: anp.sum(np.linalg.solve(b["x"][0].T @ b["x"][0], b["x"][0].T).T * v["w"] ** 2),
}  # fmt: skip
#: Their second derivative divides by itself what autograd's formula leaves to rounding.
FIRST_ORDER_ONLY = {"singular vectors"}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("name", COSTS)
def test_a_routine_has_the_answer_of_the_reference(name, order, monkeypatch):
    """Each routine, in the order of each step that it has, gives the reference's answer as plain Python."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    if order == 2 and name in FIRST_ORDER_ONLY:
        return
    args = (batch(np.float64), COSTS[name], None, theta(np.float64), 1, 0.01)
    assert_same_answer(*STEPS[order], *args, batched=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_routines_as_machine_code(dtype):
    """The sum of all costs, compiled, has the reference's answer in both precisions, with LAPACK called by address."""

    def cost(b, v):
        return sum(function(b, v) for function in COSTS.values())

    args = (batch(dtype), cost, None, theta(dtype), 0, 0.01)
    assert_same_answer(*STEPS[1], *args, batched=False)


@pytest.mark.parametrize("jit", [0, 1])
def test_a_matrix_without_factors_is_the_error_of_the_reference(jit, monkeypatch):
    """A singular matrix, and one that is not positive definite, raise NumPy's error in a later call as well."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1 - jit)
    for cost, text in (
        (lambda b, v: anp.sum(anp.linalg.solve(b["x"][0, :3], v["w"].T) ** 2), "Singular matrix"),
        (lambda b, v: anp.sum(anp.linalg.cholesky(b["x"][0, :3] * v["w"][0, 0])), "positive definite"),
    ):
        good = {"x": np.stack([np.eye(4, 3)] * 2)}
        for compiled, reference in STEPS.values():
            args = (cost, None, {"w": np.ones((4, 3)) / 2}, 1, 0.01)
            got, expected = compiled(good, *args, batched=False), reference(good, *args, batched=False)
            np.testing.assert_allclose(got[1]["w"], expected[1]["w"], rtol=1e-12)
            bad = {"x": good["x"].copy()}
            bad["x"][1, 2, 2] = 0.0
            with pytest.raises(np.linalg.LinAlgError, match=text):
                compiled(bad, *args, batched=False)
