"""Costs of regression: losses of every kind, robust and censored ones, gaps in the data."""

import autograd.numpy as np
import numpy as onp
from autograd.scipy.special import gammaln
from corpus.entries import cost, counts, labels, positive, truths, with_gaps

PAIRS = {"x": (6, 2), "y": (6,)}
NET = {"w": (2, 5), "b": (5,), "v": (5,), "c": ()}


def net(x, v):
    return np.tanh(x @ v["w"] + v["b"]) @ v["v"] + v["c"]


@cost({"x": (6, 2), "y": (6, 1)}, {"w": (2, 5), "b": (5,), "v": (5, 1), "c": (1,)}, batched=True)
def mean_squared_error_of_a_network(batch, v):
    hidden = np.tanh(batch["x"] @ v["w"] + v["b"][..., None, :])
    return np.mean((hidden @ v["v"] + v["c"][..., None, :] - batch["y"]) ** 2)


@cost(PAIRS, NET)
def huber_loss(batch, v):
    r = np.abs(net(batch["x"][0], v) - batch["y"][0])
    return np.mean(np.where(r < 1.0, 0.5 * r**2, r - 0.5))


@cost(PAIRS, NET)
def quantile_loss(batch, v):
    r = batch["y"][0] - net(batch["x"][0], v)
    return np.mean(np.maximum(0.9 * r, -0.1 * r))


@cost(PAIRS, NET)
def log_cosh_loss(batch, v):
    r = net(batch["x"][0], v) - batch["y"][0]
    return np.mean(np.log(np.cosh(r)))


@cost(PAIRS, NET)
def student_t_loss(batch, v):
    r = net(batch["x"][0], v) - batch["y"][0]
    nu = 3.0
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return -np.mean(constant - (nu + 1) / 2 * np.log1p(r**2 / nu))


@cost(PAIRS, {**NET, "s": ()})
def gaussian_with_learnt_noise(batch, v):
    r = net(batch["x"][0], v) - batch["y"][0]
    return np.mean(0.5 * (r * np.exp(-v["s"])) ** 2 + v["s"])


@cost({"x": (6, 2), "y": counts(5, 6)}, NET)
def poisson_regression(batch, v):
    rate = np.exp(net(batch["x"][0], v))
    return np.mean(rate - batch["y"][0] * np.log(rate) + gammaln(batch["y"][0] + 1.0))


@cost({"x": (6, 2), "y": labels(6, 6)}, NET)
def poisson_regression_of_integers(batch, v):
    eta, y = net(batch["x"][0], v), batch["y"][0]
    return np.mean(np.exp(eta) - y * eta + gammaln(y + 1))


@cost({"x": (6, 2), "y": positive(6)}, NET)
def gamma_regression(batch, v):
    mu = np.log1p(np.exp(net(batch["x"][0], v)))
    return np.mean(np.log(mu) + batch["y"][0] / mu)


@cost({"x": (6, 2), "y": positive(6), "event": truths(6)}, NET)
def censored_weibull(batch, v):
    scale = np.exp(net(batch["x"][0], v))
    z = (batch["y"][0] / scale) ** 1.5
    hazard = np.log(1.5) + 0.5 * np.log(batch["y"][0]) - 1.5 * np.log(scale)
    return np.mean(z - np.where(batch["event"][0], hazard, 0.0))


@cost({"x": (6, 2), "t": positive(6), "event": truths(6)}, {"w": (2, 5), "b": (5,), "v": (5,)})
def cox_partial_likelihood(batch, v):
    risk, t = np.tanh(batch["x"][0] @ v["w"] + v["b"]) @ v["v"], batch["t"][0]
    order = np.argsort(-t)
    risk, event = risk[order], batch["event"][0][order]
    total = np.log(np.cumsum(np.exp(risk)))
    return -np.sum(event * (risk - total)) / np.sum(event)


@cost({"x": (6, 2), "y": with_gaps(6)}, NET)
def gaps_by_where(batch, v):
    y = batch["y"][0]
    present = ~np.isnan(y)
    r = np.where(present, net(batch["x"][0], v) - np.where(present, y, 0.0), 0.0)
    return np.sum(r**2) / np.sum(present)


@cost({"x": (6, 2), "y": with_gaps(6)}, NET)
def gaps_by_selection(batch, v):
    y = batch["y"][0]
    present = np.isfinite(y)
    return np.mean((net(batch["x"][0], v)[present] - y[present]) ** 2)


@cost({"x": (6, 2), "y": with_gaps(6)}, NET)
def gaps_by_nan_to_num(batch, v):
    y = onp.nan_to_num(batch["y"][0])
    return np.mean((net(batch["x"][0], v) - y) ** 2)


@cost(PAIRS, NET, refused="np.where")
def a_guard_against_nan(batch, v):
    loss = np.mean((net(batch["x"][0], v) - batch["y"][0]) ** 2)
    if np.isnan(loss):
        return 1e6
    return loss


@cost(PAIRS, NET, refused="np.where")
def a_branch_on_data(batch, v):
    if np.max(batch["y"][0]) > 0.0:
        return np.mean((net(batch["x"][0], v) - batch["y"][0]) ** 2)
    return np.mean(np.abs(net(batch["x"][0], v)))


@cost(PAIRS, NET)
def data_normalised_by_plain_numpy(batch, v):
    x = batch["x"][0]
    x = (x - onp.mean(x, axis=0)) / (onp.std(x, axis=0) + 1e-6)
    return np.mean((net(x, v) - batch["y"][0]) ** 2)


@cost(PAIRS, {"w": (5,)})
def design_matrix_by_plain_numpy(batch, v):
    x = batch["x"][0]
    design = onp.concatenate([onp.ones((len(x), 1)), x, x**2], axis=1)
    return np.mean((design @ v["w"] - batch["y"][0]) ** 2)


@cost(PAIRS, {"w": (4,)})
def design_matrix_by_stack(batch, v):
    x = batch["x"][0]
    design = onp.stack([onp.ones(len(x)), x[:, 0], onp.sin(x[:, 1]), onp.hypot(x[:, 0], x[:, 1])], axis=1)
    return np.mean((design @ v["w"] - batch["y"][0]) ** 2)


@cost(PAIRS, {"w": (3,)})
def design_matrix_by_writing(batch, v):
    x = batch["x"][0]
    design = np.ones((x.shape[0], 3))
    design[:, 1:] = x
    return np.mean((design @ v["w"] - batch["y"][0]) ** 2)


@cost(PAIRS, {"w": (3,)})
def design_matrix_by_plain_writing(batch, v):
    x = batch["x"][0]
    design = onp.zeros((x.shape[0], 3))
    design[:, 0] = 1.0
    design[:, 1:] = x
    return np.mean((design @ v["w"] - batch["y"][0]) ** 2)


@cost({"x": (6,), "y": (6,)}, {"w": (4,)})
def polynomial_by_vander(batch, v):
    powers = np.stack([batch["x"][0] ** k for k in range(4)], axis=1)
    return np.mean((np.dot(powers, v["w"]) - batch["y"][0]) ** 2)


@cost({"x": (6,), "y": (6,)}, {"w": (4,)})
def polynomial_by_polyval(batch, v):
    value = 0.0
    for k in range(4):
        value = value * batch["x"][0] + v["w"][k]
    return np.sum((value - batch["y"][0]) ** 2) / float(len(batch["y"][0]))


@cost(PAIRS, {**NET, "log_sigma": ()}, orders=(1, 2))
def weight_decay_and_elastic_net(batch, v):
    loss = np.mean((net(batch["x"][0], v) - batch["y"][0]) ** 2)
    decay = sum(np.sum(p**2) for p in v.values())
    return loss + 0.01 * decay + 0.01 * np.sum(np.abs(v["w"]))


@cost({"x": (8, 2), "y": (8,)}, NET)
def trimmed_mean_by_sort(batch, v):
    losses = (net(batch["x"][0], v) - batch["y"][0]) ** 2
    return np.mean(np.sort(losses)[:6])


@cost({"x": (8, 2), "y": (8,)}, NET, refused="np.sort")
def worst_half_by_partition(batch, v):
    losses = (net(batch["x"][0], v) - batch["y"][0]) ** 2
    return np.mean(np.partition(losses, 4)[4:])


@cost({"x": (7, 2), "y": (7,)}, NET)
def median_of_residuals(batch, v):
    r = np.sort(np.abs(net(batch["x"][0], v) - batch["y"][0]))
    return r[3]


@cost({"x": (8, 2), "y": (8,)}, NET)
def hard_examples_by_argsort(batch, v):
    losses = (net(batch["x"][0], v) - batch["y"][0]) ** 2
    return np.mean(losses[np.argsort(losses)[-3:]])


@cost(PAIRS, {"w": (2, 3), "mix": (3,)})
def mixture_of_linear_experts(batch, v):
    from autograd.scipy.special import logsumexp

    gates = v["mix"] - logsumexp(v["mix"])
    r = batch["x"][0] @ v["w"] - batch["y"][0][:, None]
    return -np.mean(logsumexp(gates - 0.5 * r**2, axis=1))


@cost(PAIRS, {"w": (2,), "knots": (4,)})
def piecewise_by_select(batch, v):
    z = batch["x"][0] @ v["w"]
    basis = np.select([z < -0.5, z < 0.5], [v["knots"][0] * z, v["knots"][1] * z**2], v["knots"][2])
    return np.mean((basis - batch["y"][0]) ** 2)


@cost(PAIRS, {"w": (2,)})
def features_of_data_by_select(batch, v):
    x = batch["x"][0]
    features = onp.select([x < -0.5, x < 0.5], [-x, x**2], 1.0)
    return np.mean((features @ v["w"] - batch["y"][0]) ** 2)


@cost({"x": (12,), "y": (12,)}, {"a": (5,), "b": (5,)})
def linear_interpolation(batch, v):
    x = np.clip(batch["x"][0], -1.99, 1.99)
    cell = np.floor(x + 2.0).astype(int)
    share = x + 2.0 - cell
    value = v["a"][cell] * (1 - share) + v["b"][cell] * share
    return np.mean((value - batch["y"][0]) ** 2)


@cost({"x": (6, 2), "y": (6,), "group": labels(3, 6)}, {"w": (2,), "effect": (3,)})
def random_effects(batch, v):
    mean = batch["x"][0] @ v["w"] + v["effect"][batch["group"][0]]
    return np.mean((mean - batch["y"][0]) ** 2) + 0.5 * np.sum(v["effect"] ** 2)


@cost({"x": (6, 2), "y": (6,), "group": labels(3, 6)}, {"w": (2,)})
def mean_by_group(batch, v):
    r = (batch["x"][0] @ v["w"] - batch["y"][0]) ** 2
    hot = (batch["group"][0][None, :] == np.arange(3)[:, None]).astype(float)
    return np.max((hot @ r) / np.maximum(hot.sum(axis=1), 1.0))


@cost({"u": labels(4, 8), "i": labels(5, 8), "r": (8,)}, {"users": (4, 3), "items": (5, 3), "bu": (4,), "bi": (5,)})
def matrix_factorisation(batch, v):
    u, i, r = batch["u"][0], batch["i"][0], batch["r"][0]
    score = np.sum(v["users"][u] * v["items"][i], axis=1) + v["bu"][u] + v["bi"][i]
    return np.mean((score - r) ** 2) + 0.01 * (np.sum(v["users"] ** 2) + np.sum(v["items"] ** 2))


@cost({"x": (6, 2), "y": (6,)}, {"w": (2,)})
def least_absolute_deviations_by_norm(batch, v):
    return np.linalg.norm(batch["x"][0] @ v["w"] - batch["y"][0], 1) / 6


@cost({"x": (6, 2), "y": (6, 2)}, {"w": (2, 2)})
def norms_of_rows(batch, v):
    return np.mean(np.linalg.norm(batch["x"][0] @ v["w"] - batch["y"][0], axis=1))


@cost({"x": (6, 2), "y": (6, 3)}, {"w": (2, 3)}, batched=True)
def cosine_distance(batch, v):
    p, y = batch["x"] @ v["w"], batch["y"]
    norms = np.sqrt(np.sum(p**2, -1) * np.sum(y**2, -1)) + 1e-8
    return np.mean(1 - np.sum(p * y, axis=-1) / norms)


@cost({"x": (6, 2), "y": (6, 3)}, {"w": (2, 3)})
def coefficient_of_determination(batch, v):
    y, p = batch["y"][0], batch["x"][0] @ v["w"]
    return np.mean(np.sum((y - p) ** 2, axis=0) / np.sum((y - y.mean(axis=0)) ** 2, axis=0))


@cost({"x": (6, 2), "y": (6,)}, {"w": (2,)})
def correlation(batch, v):
    p, y = batch["x"][0] @ v["w"], batch["y"][0]
    p, y = p - np.mean(p), y - np.mean(y)
    return -np.dot(p, y) / (np.sqrt(np.dot(p, p)) * np.sqrt(np.dot(y, y)) + 1e-9)
