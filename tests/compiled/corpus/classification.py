"""Costs of classifiers: labels as integers, one-hot vectors, masks, margins."""

import autograd.numpy as np
import numpy as onp
from autograd.scipy.special import expit, logsumexp
from corpus.entries import cost, counts, labels, positive, truths

CLASSIFY = {"x": (6, 3), "y": labels(4, 6)}
LINEAR = {"w": (3, 4), "b": (4,)}


def log_softmax(logits):
    return logits - logsumexp(logits, axis=-1, keepdims=True)


@cost(CLASSIFY, LINEAR)
def cross_entropy_by_integer_labels(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    logp = log_softmax(x @ v["w"] + v["b"])
    return -np.mean(logp[np.arange(len(y)), y])


@cost(CLASSIFY, LINEAR, batched=True)
def cross_entropy_in_both_modes(batch, v):
    x, y = batch["x"], batch["y"]
    logp = log_softmax(x @ v["w"] + v["b"][..., None, :])
    t, n = y.shape
    return -np.mean(logp[np.arange(t)[:, None], np.arange(n)[None, :], y])


@cost(CLASSIFY, LINEAR)
def one_hot_by_eye(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    targets = np.eye(4)[y]
    return -np.mean(np.sum(targets * log_softmax(x @ v["w"] + v["b"]), axis=1))


@cost(CLASSIFY, LINEAR)
def one_hot_by_plain_eye(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    targets = onp.eye(4)[y]
    return -np.mean(np.sum(targets * log_softmax(x @ v["w"] + v["b"]), axis=1))


@cost(CLASSIFY, LINEAR, batched=True)
def one_hot_by_comparison(batch, v):
    targets = (batch["y"][..., None] == np.arange(4)).astype(float)
    logits = np.matmul(batch["x"], v["w"]) + np.expand_dims(v["b"], -2)
    return np.mean(np.sum((expit(logits) - targets) ** 2, axis=-1))


@cost(CLASSIFY, LINEAR)
def one_hot_by_writing(batch, v):
    y = batch["y"][0]
    targets = np.zeros((len(y), 4))
    targets[np.arange(len(y)), y] = 1.0
    return -np.sum(targets * log_softmax(batch["x"][0] @ v["w"] + v["b"])) / len(y)


@cost(CLASSIFY, LINEAR)
def label_smoothing(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    n, k = len(y), 4
    smooth = np.full((n, k), 0.1 / (k - 1))
    smooth[np.arange(n), y] = 0.9
    return -np.mean(np.sum(smooth * log_softmax(x @ v["w"] + v["b"]), axis=-1))


@cost(CLASSIFY, LINEAR)
def cross_entropy_by_take_along_axis(batch, v):
    logp = log_softmax(batch["x"][0] @ v["w"] + v["b"])
    return -np.mean(np.take_along_axis(logp, batch["y"][0][:, None], axis=1))


@cost(CLASSIFY, LINEAR, batched=True)
def take_along_axis_in_both_modes(batch, v):
    logp = log_softmax(batch["x"] @ v["w"] + v["b"][..., None, :])
    return -np.mean(np.take_along_axis(logp, batch["y"][..., None], -1))


@cost(CLASSIFY, LINEAR)
def multiclass_hinge(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    scores = x @ v["w"] + v["b"]
    right = scores[np.arange(scores.shape[0]), y][:, None]
    margins = np.maximum(0.0, 1.0 + scores - right)
    return np.mean(np.sum(margins, axis=1) - 1.0)


@cost(CLASSIFY, LINEAR)
def focal_loss(batch, v):
    y = batch["y"][0]
    p = np.exp(log_softmax(batch["x"][0] @ v["w"] + v["b"]))[range(len(y)), y]
    return np.mean(-((1 - p) ** 2) * np.log(p))


@cost({**CLASSIFY, "weight": positive(4)}, LINEAR)
def class_weights_from_the_batch(batch, v):
    y = batch["y"][0]
    logp = log_softmax(batch["x"][0] @ v["w"] + v["b"])
    weight = batch["weight"][0][y]
    return -np.sum(weight * logp[np.arange(len(y)), y]) / np.sum(weight)


WEIGHTS = onp.array([0.5, 1.0, 2.0, 4.0])


@cost(CLASSIFY, LINEAR)
def class_weights_from_a_global(batch, v):
    y = batch["y"][0]
    logp = log_softmax(batch["x"][0] @ v["w"] + v["b"])
    return -np.mean(np.take(WEIGHTS, y) * logp[np.arange(len(y)), y])


@cost(CLASSIFY, LINEAR, refused=r"np\.take")
def class_weights_indexed_as_a_plain_array(batch, v):
    y = batch["y"][0]
    logp = log_softmax(batch["x"][0] @ v["w"] + v["b"])
    return -np.mean(WEIGHTS[y] * logp[np.arange(len(y)), y])


@cost({"x": (6, 3), "y": truths(6)}, {"w": (3,), "b": ()})
def logistic_regression_of_truths(batch, v):
    z = batch["x"][0] @ v["w"] + v["b"]
    return -np.mean(np.where(batch["y"][0], np.log(expit(z)), np.log(expit(-z))))


@cost({"x": (6, 3), "y": truths(6)}, {"w": (3,), "b": ()})
def logistic_regression_with_plus_minus_one(batch, v):
    sign = 2 * batch["y"][0] - 1
    return np.mean(np.log1p(np.exp(-sign * (batch["x"][0] @ v["w"] + v["b"]))))


@cost({"x": (6, 3), "y": labels(2, 6)}, {"w": (3,), "b": ()}, batched=True)
def logistic_regression_by_logaddexp(batch, v):
    z = (
        np.einsum("tnd,...d->tn", batch["x"], v["w"])
        if v["w"].ndim == 1
        else np.einsum("tnd,td->tn", batch["x"], v["w"])
    )
    z = z + v["b"][..., None]
    return np.mean(np.logaddexp(0.0, z) - batch["y"] * z)


@cost({"x": (6, 3), "y": labels(2, 6)}, {"w": (3, 4), "c": (4,)})
def probit_regression(batch, v):
    from autograd.scipy.stats import norm

    z = np.tanh(batch["x"][0] @ v["w"]) @ v["c"]
    y = batch["y"][0]
    return -np.mean(y * norm.logcdf(z) + (1 - y) * norm.logcdf(-z))


@cost({"x": (6, 3), "y": labels(4, 6), "mask": truths(6)}, LINEAR)
def masked_cross_entropy_by_weights(batch, v):
    y, mask = batch["y"][0], batch["mask"][0]
    losses = -log_softmax(batch["x"][0] @ v["w"] + v["b"])[np.arange(len(y)), y]
    return np.sum(losses * mask) / np.sum(mask)


@cost({"x": (6, 3), "y": labels(4, 6), "mask": truths(6)}, LINEAR)
def masked_cross_entropy_by_selection(batch, v):
    y, mask = batch["y"][0], batch["mask"][0]
    losses = -log_softmax(batch["x"][0] @ v["w"] + v["b"])[np.arange(len(y)), y]
    return np.mean(losses[mask])


@cost({"support": (8, 3), "s": labels(4, 8), "query": (5, 3), "q": labels(4, 5)}, {"w": (3, 5)})
def prototypical_network(batch, v):
    hot = np.eye(4)[batch["s"][0]]
    means = (hot.T @ np.tanh(batch["support"][0] @ v["w"])) / (1.0 + np.sum(hot, axis=0))[:, None]
    z = np.tanh(batch["query"][0] @ v["w"])
    distance = np.sum((z[:, None] - means[None]) ** 2, axis=-1)
    q = batch["q"][0]
    return -np.mean(log_softmax(-distance)[np.arange(len(q)), q])


@cost({"x": (5, 3), "y": (5, 3), "n": (5, 3)}, {"w": (3, 4)})
def triplet_loss(batch, v):
    a, p, n = (np.tanh(batch[key][0] @ v["w"]) for key in "xyn")
    near, far = np.sum((a - p) ** 2, axis=1), np.sum((a - n) ** 2, axis=1)
    return np.mean(np.maximum(near - far + 1.0, 0.0))


@cost({"x": (5, 3), "y": (5, 3)}, {"w": (3, 4)})
def contrastive_loss(batch, v):
    a, b = (batch[key][0] @ v["w"] for key in "xy")
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.sqrt(np.sum(b**2, axis=1, keepdims=True))
    logits = a @ b.T / 0.5
    return -np.mean(np.diag(log_softmax(logits)))


@cost({"x": (5, 3), "rank": labels(5, 5)}, {"w": (3,)})
def pairwise_ranking(batch, v):
    s, r = batch["x"][0] @ v["w"], batch["rank"][0]
    better = r[:, None] > r[None, :]
    return np.sum(better * np.log1p(np.exp(-(s[:, None] - s[None, :])))) / np.maximum(np.sum(better), 1)


@cost({"x": (6, 3), "y": labels(4, 6)}, {"w": (3,), "cuts": (3,)})
def ordinal_regression(batch, v):
    cuts = np.cumsum(np.exp(v["cuts"])) - 1.0
    z, y = batch["x"][0] @ v["w"], batch["y"][0]
    upper = np.concatenate([expit(cuts[None] - z[:, None]), np.ones((len(z), 1))], axis=1)
    lower = np.concatenate([np.zeros((len(z), 1)), expit(cuts[None] - z[:, None])], axis=1)
    return -np.mean(np.log((upper - lower)[np.arange(len(y)), y] + 1e-6))


@cost({"x": (4, 3), "y": counts(1, 4, 5)}, {"w": (3, 5)}, batched=True)
def multi_label_binary_cross_entropy(batch, v):
    p = np.clip(expit(batch["x"] @ v["w"]), 1e-6, 1 - 1e-6)
    y = batch["y"]
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


@cost({"x": (4, 3), "y": labels(3, 4)}, {"w": (3, 3)})
def accuracy_term_by_argmax(batch, v):
    logits, y = batch["x"][0] @ v["w"], batch["y"][0]
    wrong = np.argmax(logits, axis=1) != y
    return np.mean(wrong * np.log1p(np.exp(-logits[np.arange(len(y)), y])))


@cost({"x": (6, 3), "y": labels(3, 6)}, {"w": (3, 3)})
def dice_loss(batch, v):
    p = np.exp(log_softmax(batch["x"][0] @ v["w"]))
    hot = np.equal(batch["y"][0][:, None], np.arange(3)[None, :]) * 1.0
    return 1.0 - np.mean((2 * np.sum(p * hot, 0) + 1) / (np.sum(p, 0) + np.sum(hot, 0) + 1))


@cost({"x": (6, 3), "y": labels(3, 6)}, {"w": (3, 3)})
def expected_confusion(batch, v):
    p, y = np.exp(log_softmax(batch["x"][0] @ v["w"])), batch["y"][0]
    rows = [np.sum(np.where((y == c)[:, None], p, 0.0), axis=0) for c in range(3)]
    return -np.trace(np.stack(rows)) / len(y)


@cost({"x": (6, 3), "y": (6,)}, {"w": (3,)})
def support_vector_machine(batch, v):
    y = np.sign(batch["y"][0])
    return np.mean(np.maximum(0, 1 - y * (batch["x"][0] @ v["w"]))) + 0.1 * np.dot(v["w"], v["w"])


@cost({"x": (6, 3), "y": labels(4, 6), "coarse": labels(2, 6)}, LINEAR)
def two_heads_by_selected_columns(batch, v):
    logits, y, coarse = batch["x"][0] @ v["w"] + v["b"], batch["y"][0], batch["coarse"][0]
    halves = np.reshape(logits, (-1, 2, 2))
    chosen = halves[np.arange(len(y)), coarse]
    return -np.mean(log_softmax(chosen)[np.arange(len(y)), y % 2])


@cost(CLASSIFY, LINEAR)
def sampled_softmax(batch, v):
    x, y = batch["x"][0], batch["y"][0]
    columns = v["w"][:, y] + 0.1 * v["w"][:, (y + 1) % 4]
    return np.mean(np.sum(x * columns.T, axis=1) ** 2)
