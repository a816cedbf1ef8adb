"""Costs with linear algebra and densities: Gaussian processes, Kalman filters, flows, variational bounds."""

import autograd.numpy as np
import autograd.numpy.linalg as npla
import autograd.scipy.stats.multivariate_normal as mvn
import numpy as onp
from autograd.scipy.linalg import solve_triangular
from autograd.scipy.special import expit, gammaln, logsumexp
from autograd.scipy.stats import beta, dirichlet, gamma, norm, poisson, t
from corpus.entries import cost, counts, labels, positive

POINTS = {"x": (5, 2), "y": (5,)}
KERNEL = {"length": (), "scale": (), "noise": ()}


def kernel(x, z, v):
    square = np.sum((x[:, None] - z[None]) ** 2, axis=-1)
    return np.exp(2 * v["scale"] - 0.5 * square * np.exp(-2 * v["length"]))


@cost(POINTS, KERNEL)
def gp_evidence_by_solve_and_slogdet(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    k = kernel(x, x, v) + np.exp(v["noise"]) * np.eye(len(x))
    _, logdet = np.linalg.slogdet(k)
    return 0.5 * (y @ np.linalg.solve(k, y) + logdet + len(y) * np.log(2 * np.pi))


@cost(POINTS, KERNEL)
def gp_evidence_by_cholesky(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    low = np.linalg.cholesky(kernel(x, x, v) + np.exp(v["noise"]) * np.eye(len(x)))
    half = np.linalg.solve(low, y)
    return 0.5 * np.sum(half**2) + np.sum(np.log(np.diag(low)))


@cost(POINTS, KERNEL)
def gp_evidence_by_triangular_solve(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    low = np.linalg.cholesky(kernel(x, x, v) + np.exp(v["noise"]) * np.eye(len(x)))
    half = solve_triangular(low, y, lower=True)
    return 0.5 * np.dot(half, half) + np.sum(np.log(np.diagonal(low, axis1=-1, axis2=-2)))


@cost(POINTS, KERNEL)
def gp_evidence_by_multivariate_normal(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    k = kernel(x, x, v) + np.exp(v["noise"]) * np.eye(len(x))
    return -mvn.logpdf(y, np.zeros(len(y)), k)


@cost({**POINTS, "xq": (4, 2), "yq": (4,)}, KERNEL)
def gp_prediction_by_inverse(batch, v):
    x, y, xq, yq = (batch[key][0] for key in ("x", "y", "xq", "yq"))
    inverse = np.linalg.inv(kernel(x, x, v) + np.exp(v["noise"]) * np.eye(len(x)))
    return np.mean((kernel(xq, x, v) @ inverse @ y - yq) ** 2)


@cost({**POINTS, "xq": (4, 2), "yq": (4,)}, {**KERNEL, "w": (2, 3)})
def deep_kernel_prediction(batch, v):
    x, xq = (np.tanh(batch[key][0] @ v["w"]) for key in ("x", "xq"))
    k = kernel(x, x, v) + np.exp(v["noise"]) * np.eye(5)
    mean = np.dot(kernel(xq, x, v), npla.solve(k, batch["y"][0]))
    return np.mean((mean - batch["yq"][0]) ** 2)


@cost(POINTS, {**KERNEL, "z": (3, 2)})
def sparse_gp_evidence(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    kzz, kxz = kernel(v["z"], v["z"], v) + 0.1 * np.eye(3), kernel(x, v["z"], v)
    q = kxz @ np.linalg.solve(kzz, kxz.T) + np.exp(v["noise"]) * np.eye(len(x))
    _, logdet = np.linalg.slogdet(q)
    return 0.5 * np.dot(y, np.linalg.solve(q, y)) + 0.5 * logdet


@cost({"x": (4, 2), "y": (4, 1)}, {"length": (), "scale": (), "noise": ()}, batched=True)
def gp_evidence_in_both_modes(batch, v):
    x, y = batch["x"], batch["y"]
    square = np.sum((x[..., :, None, :] - x[..., None, :, :]) ** 2, axis=-1)
    one = lambda name: np.exp(v[name])[..., None, None]
    k = one("scale") * np.exp(-0.5 * square / one("length")) + one("noise") * np.eye(4)
    fit = np.sum(y * np.linalg.solve(k, y), axis=(-1, -2))
    return 0.5 * np.mean(fit + np.linalg.slogdet(k)[1])


@cost({"x": (5, 2), "y": (5, 1), "xq": (4, 2), "yq": (4, 1)}, {"w": (2, 3), "log_ridge": ()})
def ridge_regression_head(batch, v):
    features = np.tanh(batch["x"][0] @ v["w"])
    gram = features.T @ features + np.exp(v["log_ridge"]) * np.eye(3)
    head = np.linalg.solve(gram, features.T @ batch["y"][0])
    return np.mean((np.tanh(batch["xq"][0] @ v["w"]) @ head - batch["yq"][0]) ** 2)


@cost({"y": (6, 2)}, {"a": (2, 2), "c": (2, 2), "q": (), "r": ()})
def kalman_filter(batch, v):
    mean, cov = np.zeros(2), np.eye(2)
    q, r, loss = np.exp(v["q"]) * np.eye(2), np.exp(v["r"]) * np.eye(2), 0.0
    for y in batch["y"][0]:
        mean, cov = v["a"] @ mean, v["a"] @ cov @ v["a"].T + q
        s = v["c"] @ cov @ v["c"].T + r
        gain = np.linalg.solve(s, v["c"] @ cov).T
        e = y - v["c"] @ mean
        loss = loss + 0.5 * (e @ np.linalg.solve(s, e) + np.linalg.slogdet(s)[1])
        mean, cov = mean + gain @ e, cov - gain @ v["c"] @ cov
    return loss / len(batch["y"][0])


@cost({"y": (8,)}, {"a": (), "q": (), "r": ()})
def scalar_kalman_filter(batch, v):
    mean, var, loss = 0.0, 1.0, 0.0
    for k in range(batch["y"].shape[1]):
        mean, var = v["a"] * mean, v["a"] ** 2 * var + np.exp(v["q"])
        s, e = var + np.exp(v["r"]), batch["y"][0, k] - mean
        loss = loss + 0.5 * (np.log(s) + e**2 / s)
        mean, var = mean + var / s * e, var * (1 - var / s)
    return loss


@cost({"x": (6, 3)}, {"m": (3,), "a": (3, 3)})
def gaussian_with_full_covariance(batch, v):
    cov = v["a"] @ v["a"].T + 0.5 * np.eye(3)
    d = batch["x"][0] - v["m"]
    return 0.5 * np.mean(np.sum(d @ np.linalg.inv(cov) * d, axis=1)) + 0.5 * np.log(np.linalg.det(cov))


@cost({"x": (6, 2)}, {"m": (3, 2), "w": (3,), "s": (3,)})
def mixture_of_gaussians(batch, v):
    logits = v["w"] - logsumexp(v["w"])
    square = np.sum((batch["x"][0][:, None] - v["m"]) ** 2, axis=2)
    return -np.mean(logsumexp(logits - 0.5 * square * np.exp(-v["s"]) - v["s"], axis=1))


@cost({"x": (6, 2)}, {"m": (2, 2), "a": (2, 2)})
def mixture_by_multivariate_normal(batch, v):
    cov = np.dot(v["a"], v["a"].T) + np.eye(2)
    parts = np.array([mvn.logpdf(batch["x"][0], v["m"][k], cov) for k in range(2)])
    return -np.mean(logsumexp(parts, axis=0))


@cost({"x": (6,)}, {"m": (), "s": ()})
def normal_logpdf(batch, v):
    return -np.mean(norm.logpdf(batch["x"][0], v["m"], np.exp(v["s"])))


@cost({"x": (6,)}, {"m": (), "s": ()})
def normal_pdf_and_cdf(batch, v):
    x = batch["x"][0]
    return np.mean(norm.cdf(x, v["m"], np.exp(v["s"])) * norm.pdf(x)) + np.mean(norm.sf(x - v["m"]) ** 2)


@cost({"x": positive(6)}, {"a": (), "b": ()})
def gamma_density(batch, v):
    a, b = np.exp(v["a"]) + 1.0, np.exp(v["b"])
    return -np.mean(gamma.logpdf(batch["x"][0] * b, a) + np.log(b))


@cost({"x": labels(5, 6)}, {"m": ()})
def poisson_logpmf(batch, v):
    return -np.mean(poisson.logpmf(batch["x"][0], np.exp(v["m"])))


@cost({"z": (6,)}, {"a": (), "b": ()})
def beta_density(batch, v):
    return -np.mean(beta.logpdf(expit(batch["z"][0]), np.exp(v["a"]) + 1.0, np.exp(v["b"]) + 1.0))


@cost({"x": (6,)}, {"m": (), "s": ()})
def student_t_density(batch, v):
    return -np.mean(t.logpdf(batch["x"][0], 4.0, v["m"], np.exp(v["s"])))


@cost({"z": (3,)}, {"a": (3,)})
def dirichlet_density(batch, v):
    p = np.exp(batch["z"][0] - logsumexp(batch["z"][0]))
    return -dirichlet.logpdf(p, np.exp(v["a"]) + 0.5)


@cost({"x": (5, 4), "noise": (5, 2)}, {"enc": (4, 4), "dec": (2, 4)})
def variational_autoencoder(batch, v):
    x = batch["x"][0]
    h = np.tanh(x @ v["enc"])
    mean, log_sd = np.split(h, 2, axis=1)
    z = mean + np.exp(log_sd) * batch["noise"][0]
    kl = 0.5 * np.sum(mean**2 + np.exp(2 * log_sd) - 2 * log_sd - 1, axis=1)
    return np.mean(np.sum((x - np.tanh(z @ v["dec"])) ** 2, axis=1) + kl)


@cost({"x": (5, 2)}, {"w": (1, 4), "s": (4,), "t": (4,)})
def real_nvp_flow(batch, v):
    a, b = batch["x"][0][:, :1], batch["x"][0][:, 1:]
    h = np.tanh(a @ v["w"])
    s, shift = (h @ v["s"])[:, None], (h @ v["t"])[:, None]
    z = np.hstack([a, (b - shift) * np.exp(-s)])
    return np.mean(0.5 * np.sum(z**2, axis=1) + s[:, 0])


@cost({"x": (5, 3)}, {"w": (3, 3), "b": (3,)})
def linear_flow_by_slogdet(batch, v):
    w = v["w"] + 2.0 * np.eye(3)
    z = batch["x"][0] @ w.T + v["b"]
    return np.mean(0.5 * np.sum(z**2, axis=1)) - np.linalg.slogdet(w)[1]


@cost({"x": (5, 2)}, {"u": (2,), "w": (2,), "b": ()})
def planar_flow(batch, v):
    a = np.tanh(batch["x"][0] @ v["w"] + v["b"])
    z = batch["x"][0] + np.outer(a, v["u"])
    psi = np.outer(1 - a**2, v["w"])
    return np.mean(0.5 * np.sum(z**2, axis=1) - np.log(np.abs(1 + psi @ v["u"]) + 1e-3))


@cost({"x": (5, 3)}, {"w": (3, 3)})
def spectral_penalty_by_svd(batch, v):
    s = np.linalg.svd(v["w"], compute_uv=False)
    return np.mean((batch["x"][0] @ v["w"]) ** 2) + 0.1 * np.sum(np.log(s + 0.1))


@cost({"x": (6, 3)}, {"w": (3, 3)})
def subspace_by_eigh(batch, v):
    cov = np.dot(v["w"].T, np.dot(batch["x"][0].T, batch["x"][0])) @ v["w"] / 6.0
    values, _ = np.linalg.eigh(cov)
    return np.sum(np.log(values + 0.1))


@cost({"x": (6, 3)}, {"w": (3, 3)})
def projection_on_the_first_eigenvector(batch, v):
    z = batch["x"][0] @ v["w"]
    _, vectors = np.linalg.eigh(z.T @ z / 6.0)
    return -(np.mean((z @ vectors[:, -1]) ** 2) ** 0.5)


@cost({"x": (6, 3)}, {"w": (3, 2)}, orders=(1,))
def principal_angles_by_svd(batch, v):
    u, s, vt = np.linalg.svd(batch["x"][0] @ v["w"], full_matrices=False)
    return np.sum(s**2) + np.sum((u @ vt) ** 3)


@cost({"x": (6, 3)}, {"w": (3, 3)})
def whitening_of_data_by_plain_linalg(batch, v):
    x = batch["x"][0]
    cov = onp.dot(x.T, x) / len(x) + onp.eye(3)
    return np.mean((onp.linalg.solve(cov, x.T).T @ v["w"]) ** 2)


@cost({"x": counts(4, 5, 3)}, {"a": (3,)})
def dirichlet_multinomial(batch, v):
    x, a = batch["x"][0], np.exp(v["a"])
    total = np.sum(a)
    one = gammaln(total) - gammaln(np.sum(x, axis=1) + total)
    return -np.mean(one + np.sum(gammaln(x + a) - gammaln(a), axis=1))


@cost({"x": (6, 2), "noise": (4, 3)}, {"mean": (3,), "log_sd": (3,)})
def bayesian_linear_regression(batch, v):
    draws = v["mean"] + np.exp(v["log_sd"]) * batch["noise"][0]
    x = batch["x"][0]
    r = x[:, :1] * draws[:, 0] + x[:, 1:] * draws[:, 1] + draws[:, 2]
    return np.mean(r**2) - np.sum(v["log_sd"])


@cost({"x": (5, 3)}, {"w": (3, 3)})
def log_likelihood_by_pinv_free_mahalanobis(batch, v):
    low = np.tril(v["w"], -1) + np.diag(np.exp(np.diag(v["w"])))
    z = np.dot(batch["x"][0], low)
    return 0.5 * np.mean(np.sum(z**2, axis=1)) - np.sum(np.diag(v["w"]))


@cost({"x": (4, 2), "y": (3, 2)}, {"w": (2, 2)})
def sinkhorn_distance(batch, v):
    a, b = batch["x"][0] @ v["w"], batch["y"][0]
    c = np.sum((a[:, None] - b[None]) ** 2, axis=-1)
    f, g = np.zeros(4), np.zeros(3)
    for _ in range(5):
        f = -logsumexp(g[None] - c, axis=1) - np.log(4.0)
        g = -logsumexp(f[:, None] - c, axis=0) - np.log(3.0)
    return np.sum(np.exp(f[:, None] + g[None] - c) * c)


@cost({"x": (5, 2), "y": (4, 2)}, {"w": (2, 3)})
def maximum_mean_discrepancy(batch, v):
    a, b = np.tanh(batch["x"][0] @ v["w"]), np.tanh(batch["y"][0] @ v["w"])
    k = lambda p, q: np.mean(np.exp(-np.sum((p[:, None, :] - q[None, :, :]) ** 2, -1)))
    return k(a, a) + k(b, b) - 2 * k(a, b)
