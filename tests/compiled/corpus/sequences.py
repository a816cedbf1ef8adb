"""Costs of networks with structure: recurrent ones, attention, convolutions, embeddings, dynamics."""

import autograd.numpy as np
import numpy as onp
from autograd.builtins import tuple
from autograd.extend import defvjp, primitive
from autograd.scipy.integrate import odeint
from autograd.scipy.signal import convolve
from autograd.scipy.special import erf, expit, logsumexp
from corpus.entries import cost, labels, truths

TEXT = {"ids": labels(6, 5), "y": labels(3, 1)}


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@cost(TEXT, {"table": (6, 4), "w": (4, 3)})
def bag_of_embeddings(batch, v):
    z = np.mean(v["table"][batch["ids"][0]], axis=0) @ v["w"]
    return logsumexp(z) - z[batch["y"][0, 0]]


@cost({"ids": labels(6, 4, 5), "y": (4,)}, {"table": (6, 4), "w": (4,)}, batched=False)
def embeddings_of_many_sentences(batch, v):
    embedded = np.take(v["table"], batch["ids"][0], axis=0)
    return np.mean((np.max(embedded, axis=1) @ v["w"] - batch["y"][0]) ** 2)


@cost({"ids": labels(6, 7)}, {"table": (6, 4), "out": (4, 6)})
def bigram_language_model(batch, v):
    ids = batch["ids"][0]
    logits = v["table"][ids[:-1]] @ v["out"]
    logp = logits - logsumexp(logits, axis=1, keepdims=True)
    return -np.mean(logp[np.arange(6), ids[1:]])


@cost({"c": labels(6, 5), "o": labels(6, 5), "neg": labels(6, 5, 2)}, {"a": (6, 3), "b": (6, 3)})
def skip_gram_with_negative_samples(batch, v):
    centre = v["a"][batch["c"][0]]
    good = np.sum(centre * v["b"][batch["o"][0]], axis=1)
    bad = np.einsum("nd,nkd->nk", centre, v["b"][batch["neg"][0]])
    return -np.mean(np.log(expit(good)) + np.sum(np.log(expit(-bad)), axis=1))


@cost({"ids": labels(6, 5)}, {"table": (6, 4), "pos": (5, 4), "q": (4, 4), "k": (4, 4), "v": (4, 4), "o": (4, 6)})
def causal_attention(batch, v):
    ids = batch["ids"][0]
    x = v["table"][ids] + v["pos"]
    scores = (x @ v["q"]) @ (x @ v["k"]).T / np.sqrt(4.0)
    scores = np.where(np.tril(np.ones((5, 5))) > 0, scores, -1e9)
    logits = (softmax(scores) @ (x @ v["v"])) @ v["o"]
    logp = logits - logsumexp(logits, axis=-1, keepdims=True)
    return -np.mean(logp[np.arange(4), ids[1:]])


@cost(
    {"x": (5, 4), "y": (5, 4)}, {"q": (4, 2, 2), "k": (4, 2, 2), "v": (4, 2, 2), "o": (2, 2, 4), "g": (4,), "h": (4,)}
)
def multi_head_attention_with_layer_norm(batch, v):
    x = batch["x"][0]
    q, k, z = (np.einsum("nd,dhe->hne", x, v[name]) for name in "qkv")
    mixed = np.einsum("hnm,hme->hne", softmax(np.einsum("hne,hme->hnm", q, k) / np.sqrt(2.0)), z)
    out = x + np.einsum("hne,hed->nd", mixed, v["o"])
    out = (out - np.mean(out, -1, keepdims=True)) / np.sqrt(np.var(out, -1, keepdims=True) + 1e-5) * v["g"] + v["h"]
    return np.mean((out - batch["y"][0]) ** 2)


@cost({"x": (4, 3), "mask": truths(4), "y": (3,)}, {"q": (3,), "w": (3, 3)})
def attention_with_a_padding_mask(batch, v):
    x, mask = batch["x"][0], batch["mask"][0]
    weights = softmax(np.where(mask, x @ v["q"], -1e9))
    return np.mean((weights @ x @ v["w"] - batch["y"][0]) ** 2)


@cost({"x": (3, 4, 2), "y": (3, 4, 2)}, {"w": (2, 6), "u": (2, 2)})
def gelu_transformer_block(batch, v):
    x = batch["x"][0]
    h = x @ v["w"]
    h = 0.5 * h * (1 + erf(h / np.sqrt(2.0)))
    out = np.concatenate([h[..., :2], np.sin(h[..., 2:4])], axis=-1)[..., :2] @ v["u"]
    return np.mean((x + out - batch["y"][0]) ** 2)


@cost({"x": (6, 2), "y": ()}, {"w": (2, 3), "u": (3, 3), "b": (3,), "o": (3,)})
def vanilla_rnn(batch, v):
    h = np.zeros(3)
    for x in batch["x"][0]:
        h = np.tanh(x @ v["w"] + h @ v["u"] + v["b"])
    return (h @ v["o"] - batch["y"][0]) ** 2


@cost({"x": (4, 2), "y": ()}, {"w": (2, 9), "u": (3, 9), "o": (3,)})
def gated_recurrent_unit(batch, v):
    h = np.zeros((1, 3))
    for k in range(4):
        a, b = batch["x"][0][k : k + 1] @ v["w"], h @ v["u"]
        r, z = expit(a[:, :3] + b[:, :3]), expit(a[:, 3:6] + b[:, 3:6])
        h = (1 - z) * np.tanh(a[:, 6:] + r * b[:, 6:]) + z * h
    return np.sum((h @ v["o"] - batch["y"][0]) ** 2)


@cost({"ids": labels(5, 4), "y": labels(2)}, {"table": (5, 3), "w": (6, 12), "o": (3, 2)}, orders=(1,))
def lstm_over_ids(batch, v):
    h, c = np.zeros(3), np.zeros(3)
    for k in range(4):
        gates = np.concatenate([v["table"][batch["ids"][0, k]], h]) @ v["w"]
        i, f, o, g = np.split(gates, 4)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
    logits = h @ v["o"]
    return logsumexp(logits) - logits[batch["y"][0]]


@cost({"x": (9,), "y": (7,)}, {"k": (3,)})
def convolution_of_a_signal(batch, v):
    return np.mean((convolve(batch["x"][0], v["k"], mode="valid") - batch["y"][0]) ** 2)


@cost({"x": (2, 1, 5, 5), "y": (2, 3)}, {"k": (1, 2, 2, 2), "w": (32, 3)})
def convolutional_network(batch, v):
    x = batch["x"][0]
    z = convolve(x, v["k"], axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid")
    return np.mean((np.maximum(z, 0.0).reshape(2, -1) @ v["w"] - batch["y"][0]) ** 2)


@cost({"x": (6, 6), "y": ()}, {"k": (3, 3)})
def convolution_by_sliding_windows(batch, v):
    windows = onp.lib.stride_tricks.sliding_window_view(batch["x"][0], (3, 3))
    z = np.tanh(np.einsum("ijkl,kl->ij", windows, v["k"]))
    return (np.mean(z) - batch["y"][0]) ** 2


@cost({"x": (6, 6), "y": ()}, {"k": (3, 3)})
def convolution_by_slices_and_pooling(batch, v):
    x, z = batch["x"][0], 0.0
    for i in range(3):
        for j in range(3):
            z = z + v["k"][i, j] * x[i : i + 4, j : j + 4]
    pooled = np.max(np.reshape(z, (2, 2, 2, 2)), axis=(1, 3))
    return (np.mean(np.maximum(pooled, 0)) - batch["y"][0]) ** 2


@cost({"x": (6, 2), "y": (6,)}, {"w": (2, 3), "v": (3,)})
def batch_normalisation_and_dropout(batch, v):
    z = batch["x"][0] @ v["w"]
    z = (z - np.mean(z, axis=0)) / np.sqrt(np.var(z, axis=0) + 1e-5)
    keep = onp.array([1.0, 0.0, 2.0])
    return np.mean(((np.maximum(z, 0.1 * z) * keep) @ v["v"] - batch["y"][0]) ** 2)


@cost({"adj": truths(4, 4), "x": (4, 2), "y": (4,)}, {"w": (2, 3), "v": (3,)})
def graph_convolution(batch, v):
    adj = batch["adj"][0].astype(float)
    adj = np.maximum(adj, adj.T) + np.eye(4)
    scale = 1.0 / np.sqrt(adj.sum(axis=1))
    adj = scale[:, None] * adj * scale[None, :]
    return np.mean((np.tanh(adj @ batch["x"][0] @ v["w"]) @ v["v"] - batch["y"][0]) ** 2)


@cost({"src": labels(4, 6), "dst": labels(4, 6), "x": (4, 2), "y": (4,)}, {"w": (2, 3), "v": (3,)})
def message_passing_along_edges(batch, v):
    h = np.tanh(batch["x"][0] @ v["w"])
    arriving = (np.arange(4)[:, None] == batch["dst"][0][None, :]).astype(float) @ h[batch["src"][0]]
    return np.mean((arriving @ v["v"] - batch["y"][0]) ** 2)


@cost({"a": labels(4, 8), "r": (8,)}, {"q": (4,), "lr": ()})
def q_learning_model(batch, v):
    q, rate, loss = v["q"], expit(v["lr"]), 0.0
    for k in range(8):
        a, r = batch["a"][0, k], batch["r"][0, k]
        loss = loss - (q[a] - logsumexp(q))
        q = q + rate * (r - q[a]) * (np.arange(4) == a)
    return loss / 8


@cost({"s": (5, 3), "a": labels(2, 5), "ret": (5,)}, {"w": (3, 2)})
def policy_gradient(batch, v):
    logits = batch["s"][0] @ v["w"]
    logp = (logits - logsumexp(logits, axis=1, keepdims=True))[np.arange(5), batch["a"][0]]
    advantage = (batch["ret"][0] - batch["ret"][0].mean()) / (batch["ret"][0].std() + 1e-8)
    return -np.mean(logp * advantage)


@cost({"y0": (2,), "y": (3, 2)}, {"a": (2, 2)}, orders=(1,), refused="Runge and Kutta")
def ode_by_odeint(batch, v):
    path = odeint(lambda y, t, a: np.tanh(a @ y), batch["y0"][0], np.linspace(0.0, 1.0, 4), tuple((v["a"],)))
    return np.mean((path[1:] - batch["y"][0]) ** 2)


@cost({"y0": (2,), "y": (4, 2)}, {"a": (2, 2)})
def ode_by_runge_kutta(batch, v):
    f = lambda y: np.tanh(v["a"] @ y)
    y, h, loss = batch["y0"][0], 0.25, 0.0
    for k in range(4):
        k1 = f(y)
        k2 = f(y + 0.5 * h * k1)
        y = y + h * f(y + 0.5 * h * k2)
        loss = loss + np.sum((y - batch["y"][0, k]) ** 2)
    return loss


@cost({"x": (8,), "y": (8,)}, {"w": (8,)}, refused=r"np\.cos")
def power_spectrum(batch, v):
    spectrum = np.abs(np.fft.fft(batch["x"][0] * v["w"])) ** 2
    return np.mean(np.log(spectrum + 1.0))


@cost({"x": (8,), "y": (8,)}, {"re": (5,), "im": (5,)}, orders=(1,), refused=r"np\.cos")
def spectral_filter(batch, v):
    z = np.fft.rfft(batch["x"][0]) * (v["re"] + 1j * v["im"])
    return np.mean((np.fft.irfft(z) - batch["y"][0]) ** 2)


@cost({"x": (3, 2), "y": (6, 4)}, {"a": (2, 2)})
def kronecker_product(batch, v):
    return np.mean((np.kron(batch["x"][0], v["a"]) - batch["y"][0]) ** 2)


@primitive
def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return onp.maximum(x, 0) + onp.log1p(onp.exp(-onp.abs(x)))


defvjp(softplus, lambda ans, x: lambda g: g * expit(x))


@cost({"x": (6, 2), "y": (6,)}, {"w": (2, 4), "v": (4,)})
def own_softplus(batch, v):
    return np.mean((softplus(batch["x"][0] @ v["w"]) @ v["v"] - batch["y"][0]) ** 2)


@primitive
def stable_logsumexp(x):
    """Autograd's own example of a primitive."""
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


defvjp(stable_logsumexp, lambda ans, x: lambda g: np.full(x.shape, g) * np.exp(x - np.full(x.shape, ans)))


@cost({"x": (6, 3), "y": labels(4, 6)}, {"w": (3, 4)})
def own_logsumexp(batch, v):
    logits = batch["x"][0] @ v["w"]
    return np.mean(np.array([stable_logsumexp(row) - row[label] for row, label in zip(logits, batch["y"][0])]))


@primitive
def straight_through(x):
    """The sign, with the identity for its derivative."""
    return np.sign(x)


defvjp(straight_through, lambda ans, x: lambda g: g * (np.abs(x) <= 1.0))


@cost({"x": (6, 2), "y": (6,)}, {"w": (2, 4), "v": (4,)})
def own_straight_through_estimator(batch, v):
    return np.mean((straight_through(batch["x"][0] @ v["w"]) @ v["v"] - batch["y"][0]) ** 2)


@cost({"x": (5, 5), "y": ()}, {"w": (5, 5)})
def total_variation(batch, v):
    z = batch["x"][0] * v["w"]
    rows, columns = np.ogrid[:5, :5]
    ring = np.exp(-0.1 * ((rows - 2) ** 2 + (columns - 2) ** 2))
    return np.mean(np.abs(np.diff(z * ring, axis=0))) + np.mean(np.diff(z, axis=1) ** 2)


@cost({"t": (6,), "y": (6,)}, {"a": (3,), "w": (3,), "p": (3,)})
def sum_of_sinusoids(batch, v):
    angle = np.outer(batch["t"][0], v["w"]) + v["p"]
    return np.mean((np.sin(angle) @ v["a"] - batch["y"][0]) ** 2)


@cost(
    {"x": (5, 3), "y": (5, 1)}, {"layers": lambda rng, lead: [rng.normal(size=s) / 2 for s in ((3, 4), (4, 4), (4, 1))]}
)
def siren_network_in_a_list(batch, v):
    z = batch["x"][0]
    for w in v["layers"][:-1]:
        z = np.sin(3.0 * np.dot(z, w))
    return np.mean((np.dot(z, v["layers"][-1]) - batch["y"][0]) ** 2)


@cost({"x": (5, 2), "y": (5,)}, {"w": (6,)})
def weights_from_a_flat_vector(batch, v):
    w, u = np.reshape(v["w"][:4], (2, 2)), v["w"][4:]
    return np.mean((np.tanh(batch["x"][0] @ w) @ u - batch["y"][0]) ** 2)


@cost({"x": (4, 3), "y": (4,)}, {"w": (3,)})
def gradient_penalty(batch, v):
    from autograd import elementwise_grad

    f = lambda x: np.tanh(x @ v["w"])
    slope = elementwise_grad(f)(batch["x"][0])
    return np.mean((f(batch["x"][0]) - batch["y"][0]) ** 2) + 0.1 * np.mean(np.sum(slope**2, axis=1))
