"""Mistakes that people make within an algorithm that they declare, written in PyTorch without a look at the faults."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from test_algorithms_torch import fomaml, gradients, imaml, importance, judged, last, maml, per_fedavg, sgd, subject

from verification.faults import Outcome
from verification.naming.vectors import beyond, vector

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic


def ruled(problem, rule):
    """Return a step by what a rule makes of the gradients, with a state that the rule keeps in a dict."""
    state = {}

    def step(fast, slopes):
        state["t"] = state.get("t", 0) + 1
        moves = rule(state, fast, slopes)
        return [w - problem.inner_learning_rate * m for w, m in zip(fast, moves, strict=True)]

    return step


def by_rule(rule):
    """Return a subject that steps by a rule."""
    return subject(maml, partial(ruled, rule=rule))


def adam(state, fast, slopes, *, ahead=0, of="mv", betas=(0.9, 0.999), seen=None):  # a rule
    """Adam with something in its correction of the bias that may be otherwise."""
    if seen is not None:
        seen[0] += 1
    t, moments = (state["t"] if seen is None else seen[0]) + ahead, {}
    for name, beta, power in zip("mv", betas, (1, 2), strict=True):
        old = state.get(name, [0.0] * len(slopes))
        state[name] = [beta * x + (1 - beta) * g**power for x, g in zip(old, slopes, strict=True)]
        moments[name] = [x / (1 - beta**t) if name in of else x for x in state[name]]
    return [m / (v.sqrt() + 1e-8) for m, v in zip(moments["m"], moments["v"], strict=True)]


def adam_that_counts_on(problem):
    """Fresh moments for each task, and one count of steps for all."""
    return maml(problem, partial(ruled, rule=partial(adam, seen=[0])))


def rmsprop_from_one(state, fast, slopes):
    """The mean of squares begins at 1."""
    old = state.get("v", [torch.ones_like(g) for g in slopes])
    state["v"] = [0.99 * v + 0.01 * g**2 for v, g in zip(old, slopes, strict=True)]
    return [g / (v.sqrt() + 1e-8) for g, v in zip(slopes, state["v"], strict=True)]


def lagging(state, fast, slopes):
    """The velocity moves the weights before the gradient is in it."""
    old = state.get("m", [torch.zeros_like(g) for g in slopes])
    state["m"] = [0.9 * m + g for m, g in zip(old, slopes, strict=True)]
    return old


def doubled(state, fast, slopes):
    """M + μm for g + μm."""
    lagging(state, fast, slopes)
    return [m + 0.9 * m for m in state["m"]]


def looking_ahead(problem):
    """The gradient at φ − αμm, and the velocity with it."""
    names, rate = list(problem.variables), problem.inner_learning_rate
    theta, losses = [leaf.clone().requires_grad_() for leaf in problem.variables.values()], []
    for support, query in problem.tasks():
        fast, m = theta, [torch.zeros_like(w) for w in theta]
        for _ in range(problem.inner_grad_steps):
            ahead = [w - rate * 0.9 * x for w, x in zip(fast, m, strict=True)]
            loss = problem.inner_cost(support, dict(zip(names, ahead, strict=True)))
            slopes = gradients(loss, ahead, create_graph=problem.order == 2)
            m = [0.9 * x + g for x, g in zip(m, slopes, strict=True)]
            fast = [w - rate * x for w, x in zip(fast, m, strict=True)]
        losses.append(problem.outer_cost(query, dict(zip(names, fast, strict=True))))
    loss = sum(losses) / len(losses)
    return loss.detach(), dict(zip(names, gradients(loss, theta), strict=True))


class DecayAfter(torch.optim.Adam):
    """AdamW with its decay after the step, on the new weights."""

    def step(self, closure=None):
        """Move the weights, and then shrink them."""
        super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.mul_(1 - 0.1 * group["lr"])


def undetached_decay(state, fast, slopes):  # a rule
    """The gradients are detached at first order, and the weights in the decay are not."""
    return [g + 0.1 * w for g, w in zip(slopes, fast, strict=True)]


def matrices_alone(parameters, rate):
    """Two groups of parameters, of which one has no decay: biases and scales."""
    known = list(parameters)
    whole, others = ([p for p in known if (p.dim() > 1) == wanted] for wanted in (True, False))
    groups = [{"params": whole, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD([group for group in groups if group["params"]], rate)


def clipped_after_the_rate(problem):
    """The change of the weights is clipped, and not the gradient."""

    def step(fast, slopes):
        moves = [problem.inner_learning_rate * g for g in slopes]
        factor = (0.02 / (torch.sqrt(sum((m**2).sum() for m in moves)) + 1e-6)).clamp(max=1.0)
        return [w - factor * m for w, m in zip(fast, moves, strict=True)]

    return step


def with_support_at_the_end(problem):
    """S(φ_K) + Q(φ_K) for S(θ) + Q(φ_K)."""

    class Both:
        def __getattr__(self, name):
            return getattr(problem, name)

        def tasks(self):
            return [(support, (support, query)) for support, query in problem.tasks()]

        def outer_cost(self, batches, point):
            return problem.inner_cost(batches[0], point) + problem.outer_cost(batches[1], point)

    return maml(Both(), sgd)


WRONG = [
    ("adam", 1, "O03", "t from 2 on", by_rule(partial(adam, ahead=1))),
    ("adam", 2, "O03", "of m alone", by_rule(partial(adam, of="m"))),
    ("adam", 1, "O03", "of v alone", by_rule(partial(adam, of="v"))),
    ("adam", 1, "O01", "adam(0.999, 0.9)", by_rule(partial(adam, betas=(0.999, 0.9)))),
    ("adam", 1, "E04", "the count of steps", adam_that_counts_on),
    ("rmsprop", 1, "O01", "centered", subject(fomaml, partial(torch.optim.RMSprop, centered=True))),
    ("rmsprop", 2, "O01", "v = 1 at first", by_rule(rmsprop_from_one)),
    ("momentum(0.9)", 2, "O02", "the step before", by_rule(lagging)),
    ("nesterov(0.9)", 1, "O02", "m + μm", by_rule(doubled)),
    ("momentum(0.9)", 1, "O02", "φ − αμm", looking_ahead),
    ("nesterov(0.9)", 2, "O02", "φ − αμm", looking_ahead),
    ("adam + weight-decay(0.1)", 1, "O07", "that the step has moved", subject(fomaml, DecayAfter)),
    ("weight-decay(0.1)", 1, "O07", "(1 − αλ)ᴷ", by_rule(undetached_decay)),
    ("clip-by-norm(0.02)", 1, "O05", "of α times the gradient", subject(maml, clipped_after_the_rate)),
    ("maml++(5, 10)", 1, "O08", "weights 0", subject(maml, sgd, weights=partial(importance, epoch=4))),
    ("mldg(0.5)", 1, "O11", "0.5, 2 times", subject(maml, sgd, support=0.5)),
    ("mldg(0.5)", 2, "O11", "0.5, 1 times", subject(maml, sgd, weights=last(0.5), support=0.5)),
    ("mldg", 2, "O11", "S(φ_K) for S(θ)", with_support_at_the_end),
    ("per-fedavg", 2, "O12", "other sign", subject(per_fedavg, share=lambda rate: -rate)),
    ("per-fedavg", 2, "O12", "without α", subject(per_fedavg, share=lambda _: 1.0)),
    ("imaml(2)", 2, "O14", "stopped after 1 step", subject(imaml, steps=1)),
    ("imaml(2)", 2, "O14", "stopped after 2 steps", subject(imaml, steps=2)),
    ("imaml(2, 5)", 2, "O14", "stopped after 1 step", subject(imaml, steps=1)),
]


@pytest.mark.parametrize(("declared", "order", "name", "detail", "function"), WRONG)
def test_a_mistake_within_an_algorithm_is_named(declared, order, name, detail, function):
    """The first name says what is wrong in the part that was declared."""
    passes, names = judged(function, declared, order)
    assert not passes
    assert (names[0].name, detail in names[0].evidence) == (name, True), names


def test_a_decay_of_matrices_alone_is_named():
    """It shows where there are variables of two axes and of one."""
    passes, names = judged(subject(fomaml, matrices_alone), "weight-decay(0.1)", 1, ("mlp-tanh-mse", "one-task"))
    assert not passes
    assert (names[0].name, "less than two axes" in names[0].evidence) == ("O07", True), names


def test_an_answer_without_any_gradient_is_a_vector_without_entries():
    """A fault beside a search may lose every leaf; the judge goes on to the next."""
    assert vector(Outcome(0.0, {"weight": None})).shape == (0,)
    some = Outcome(0.0, {"weight": None, "bias": np.ones(2)})
    assert np.array_equal(vector(some), [1.0, 1.0])
    assert np.array_equal(beyond(some, np.ones(2)), [0.0, 0.0])
    assert np.all(np.isinf(beyond(some, np.ones(3))))
