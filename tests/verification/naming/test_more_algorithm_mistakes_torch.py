"""More mistakes within a declared algorithm, in PyTorch: other clips, decays, optimizers, rates and selections."""

from __future__ import annotations

from functools import partial

import pytest
from test_algorithms_torch import (
    NETWORKS,
    cavia,
    fomaml,
    gradients,
    imaml,
    importance,
    judged,
    maml,
    meta_sgd,
    per_fedavg,
    sgd,
    subject,
)

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
FACTORS = (1.0, 0.5, 0.25)


def stepping(problem, move):
    """Return a step by `move`, which gets the weights, the gradients, the count of steps and the rate."""
    count = [-1]

    def step(fast, slopes):
        count[0] += 1
        return move(fast, slopes, count[0], problem.inner_learning_rate)

    return step


def by(move, run=maml, **keywords):
    """Return a subject whose step is `move`."""
    return subject(run, partial(stepping, move=move), **keywords)


def directed(direction):
    """Make a move along a direction of the weights and the gradients."""

    def move(fast, slopes, k, lr):  # what a step gets
        return [w - lr * d for w, d in zip(fast, direction(fast, slopes, k), strict=True)]

    return move


def shortened(size):
    """Clip by a size of the whole gradient, as where somebody takes another one than the norm."""

    def direction(fast, slopes, k):
        whole = torch.cat([g.ravel() for g in slopes])
        factor = torch.clamp(0.02 / (size(whole) + 1e-6), max=1.0)
        return [factor * g for g in slopes]

    return by(directed(direction))


def entrywise(change):
    return by(directed(lambda fast, slopes, k: [change(g) for g in slopes]))


def clipped_in_the_end(problem):
    """The gradient of the outer loop is clipped, and none of the inner one."""
    loss, found = maml(problem, sgd)
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in found.values()]
    for parameter, gradient in zip(parameters, found.values(), strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, 0.02)
    return loss, {name: parameter.grad for name, parameter in zip(found, parameters, strict=True)}


def clamped_weights(fast, slopes, k, lr):  # a move
    return [(w - lr * g).clamp(-0.8, 0.8) for w, g in zip(fast, slopes, strict=True)]


def decaying(decay):
    return by(directed(lambda fast, slopes, k: [g + decay(w) for w, g in zip(fast, slopes, strict=True)]))


def penalised_twice(problem):
    """The penalty of the inner loop stands in the outer loss, too."""

    class Penalised:
        def __getattr__(self, name):
            return getattr(problem, name)

        def outer_cost(self, batch, point):
            return problem.outer_cost(batch, point) + 0.05 * sum((w**2).sum() for w in point.values())

    def direction(fast, slopes, k):
        return [g + 0.1 * w.detach() for w, g in zip(fast, slopes, strict=True)]

    return maml(Penalised(), partial(stepping, move=directed(direction)))


def without_root(problem):
    squares = []

    def direction(fast, slopes, k):
        old = squares or [torch.zeros_like(g) for g in slopes]
        squares[:] = [0.99 * v + 0.01 * g**2 for v, g in zip(old, slopes, strict=True)]
        return [g / (v + 1e-8) for v, g in zip(squares, slopes, strict=True)]

    return stepping(problem, directed(direction))


def first_squares(problem):
    squares = []

    def direction(fast, slopes, k):
        new = [g**2 for g in slopes]
        squares[:] = [0.99 * v + 0.01 * s for v, s in zip(squares, new, strict=True)] if squares else new
        return [g / (v.sqrt() + 1e-8) for v, g in zip(squares, slopes, strict=True)]

    return stepping(problem, directed(direction))


def detached_root(problem):
    squares = []

    def direction(fast, slopes, k):
        old = squares or [torch.zeros_like(g) for g in slopes]
        squares[:] = [0.99 * v + 0.01 * g**2 for v, g in zip(old, slopes, strict=True)]
        return [g / (v.sqrt() + 1e-8).detach() for v, g in zip(squares, slopes, strict=True)]

    return stepping(problem, directed(direction))


def velocity_with_its_graph(problem):
    """One velocity for all tasks, and one backward pass in the end."""
    kept = []

    def direction(fast, slopes, k):
        kept[:] = [0.9 * m + g for m, g in zip(kept, slopes, strict=True)] if kept else slopes
        return kept

    return maml(problem, partial(stepping, move=directed(direction)), shared=True)


def rated(factor):
    """Steps at a factor that `factor` finds from the count of steps, the number of the variable, and K."""

    def make(problem):
        steps = problem.inner_grad_steps

        def move(fast, slopes, k, lr):
            found = [factor(k, i, steps) for i in range(len(slopes))]
            return [w - lr * f * g for w, f, g in zip(fast, found, slopes, strict=True)]

        return stepping(problem, move)

    return make


def of(index):
    return FACTORS[min(index, 2)]


def product(k, _, __):
    found = 1.0
    for index in range(k + 1):
        found *= of(index)
    return found


def ahead(k, _, __):
    return of(k + 1)


def rates_alone(problem):
    """The factor of a step is its rate."""
    direction = directed(lambda fast, slopes, k: [of(k) * g / problem.inner_learning_rate for g in slopes])
    return maml(problem, partial(stepping, move=direction))


def adjusted(change):
    """Return Meta-SGD with other gradients by the rates, from those, the rates and the problem."""

    def run(problem):
        cost, answer = meta_sgd(problem)
        rates = {
            name: change(g, problem.inner_learning_rate[name], problem.variables[name], problem)
            for name, g in answer["rates"].items()
        }
        return cost, {**answer, "rates": rates}

    return run


def half_held(problem):
    """One call has the variables without the graph of the inner gradients, another the rates with it."""
    (cost, first), (_, second) = meta_sgd(problem, held=True), meta_sgd(problem)
    return cost, {"variables": first["variables"], "rates": second["rates"]}


def first_rates(problem):
    """Copies of the rates are made after the first step."""
    names, used = list(problem.variables), problem.inner_learning_rate
    theta = {name: leaf.clone().requires_grad_() for name, leaf in problem.variables.items()}
    learned = {name: used[name].clone().requires_grad_() for name in names}
    losses = []
    for support, query in problem.tasks():
        fast = theta
        for k in range(problem.inner_grad_steps):
            slopes = gradients(problem.inner_cost(support, fast), list(fast.values()), create_graph=problem.order == 2)
            rates = {name: r.clone() if k == 0 else r.detach() for name, r in learned.items()}
            fast = {n: w - rates[n] * g for (n, w), g in zip(fast.items(), slopes, strict=True)}
        losses.append(problem.outer_cost(query, fast))
    loss = sum(losses) / len(losses)
    by_theta, by_rates = (gradients(loss, list(of_.values()), retain_graph=True) for of_ in (theta, learned))
    answer = {"variables": dict(zip(names, by_theta, strict=True)), "rates": dict(zip(names, by_rates, strict=True))}
    return loss.detach(), answer


def with_the_rate_in_the_difference(problem):
    """The points are those of a step of descent along δu, and the difference is divided by 2δ as ever."""
    return per_fedavg(problem, delta=1e-3 * problem.inner_learning_rate, share=lambda rate: rate**2)


def head_alone(problem, *, start=None, cut=False, held=False):
    """ANIL: the head is adapted; it may begin elsewhere, be cut off from θ, or see features without a graph."""
    head, names = list(problem.options.inner_v.meant), list(problem.variables)
    theta, losses = {n: leaf.clone().requires_grad_() for n, leaf in problem.variables.items()}, []
    for support, query in problem.tasks():
        fast = dict(theta)
        for name in head:
            if start is not None:
                fast[name] = torch.full_like(theta[name], start).requires_grad_()
            elif cut:
                fast[name] = theta[name].detach().requires_grad_()
        for _ in range(problem.inner_grad_steps):
            body = {n: fast[n].detach() if held and n not in head else fast[n] for n in names}
            moving = [fast[n] for n in head]
            slopes = gradients(problem.inner_cost(support, body), moving, create_graph=problem.order == 2)
            fast.update({n: fast[n] - problem.inner_learning_rate * g for n, g in zip(head, slopes, strict=True)})
        losses.append(problem.outer_cost(query, fast))
    loss = sum(losses) / len(losses)
    return loss.detach(), dict(zip(names, gradients(loss, list(theta.values())), strict=True))


def selecting(**keywords):
    found = subject(head_alone, **keywords)
    found.supports = {"selections"}
    return found


def cavia_from_one(problem):
    return cavia(problem, start=1.0)


cavia_from_one.supports = {"selections"}

WRONG = [
    ("clip-by-norm(0.02)", 1, "O05", "largest entry", shortened(lambda whole: whole.abs().max())),
    ("clip-by-norm(0.02)", 2, "O05", "sum of its entries", shortened(lambda whole: whole.abs().sum())),
    ("clip-by-norm(0.02)", 1, "O05", "square of its norm", shortened(lambda whole: (whole**2).sum())),
    ("clip-by-norm(0.02)", 2, "O05", "of the meta-gradient", clipped_in_the_end),
    ("clip-by-value(0.01)", 1, "O05", "below −c", entrywise(partial(torch.clamp, max=0.01))),
    ("clip-by-value(0.1)", 2, "O05", "tanh", entrywise(lambda g: 0.1 * torch.tanh(g / 0.1))),
    ("clip-by-value(0.8)", 2, "O05", "of the weights", by(clamped_weights)),
    ("weight-decay(0.1)", 2, "O07", "other sign", decaying(lambda w: -0.1 * w)),
    ("weight-decay(0.1)", 2, "O07", "held", decaying(lambda w: 0.1 * w.detach())),
    ("weight-decay(0.1)", 1, "O07", "sign φ", decaying(lambda w: 0.1 * w.detach().sign())),
    ("weight-decay(0.1)", 1, "O07", "outer loss", penalised_twice),
    ("adam", 1, "O01", "NAdam", subject(fomaml, torch.optim.NAdam)),
    ("adam", 1, "O01", "AdaMax", subject(fomaml, torch.optim.Adamax)),
    ("adam", 1, "O01", "RAdam", subject(fomaml, torch.optim.RAdam)),
    ("adam", 1, "O01", "adam(0.9, 0.99)", subject(fomaml, partial(torch.optim.Adam, betas=(0.9, 0.99)))),
    ("adam", 1, "O04", "0.001", subject(fomaml, partial(torch.optim.Adam, eps=1e-3))),
    ("rmsprop", 2, "O01", "first step", subject(maml, first_squares)),
    ("rmsprop", 1, "O01", "without the root", subject(maml, without_root)),
    ("rmsprop", 2, "O06", "denominator", subject(maml, detached_root)),
    ("momentum(0.9)", 2, "E04", "with its graph", velocity_with_its_graph),
    ("rates-by-step(1, 0.5, 0.25)", 1, "O09", "counted on", subject(maml, rated(lambda k, i, n: of(k)), shared=True)),
    ("rates-by-step(1, 0.5, 0.25)", 2, "O09", "other order", subject(maml, rated(lambda k, i, n: of(n - 1 - k)))),
    ("rates-by-step(1, 0.5, 0.25)", 1, "O09", "variable", subject(maml, rated(lambda k, i, n: of(i)))),
    ("rates-by-step(1, 0.5, 0.25)", 2, "O09", "product", subject(maml, rated(product))),
    ("rates-by-step(1, 0.5, 0.25)", 1, "O09", "for α", rates_alone),
    ("meta-sgd", 1, "O10", "first step", first_rates),
    ("meta-sgd", 2, "O10", "first step", first_rates),
    ("meta-sgd", 2, "O10", "variables at first order", half_held),
    ("meta-sgd", 2, "O10", "logarithm", adjusted(lambda g, r, w, p: g * r)),
    ("meta-sgd", 1, "O10", "divided by K", adjusted(lambda g, r, w, p: g / max(p.inner_grad_steps, 1))),
    ("meta-sgd", 2, "O10", "over the tasks", adjusted(lambda g, r, w, p: g * p.num_tasks)),
    ("meta-sgd(by-leaf)", 1, "O10", "mean over each", adjusted(lambda g, r, w, p: g / max(w.numel(), 1))),
    ("per-fedavg", 2, "O12", "up to φ", subject(per_fedavg, delta=-1e-3, how="one-sided")),
    ("per-fedavg", 2, "O12", "φ + αδu", with_the_rate_in_the_difference),
    ("imaml(2)", 2, "O14", "λ + 1", subject(imaml, scale=3.0)),
    ("imaml(2)", 2, "O14", "λ(I", lambda problem: twice(imaml(problem))),
]


def twice(answer):
    return answer[0], {name: 2 * g for name, g in answer[1].items()}


def softened(steps):
    """The declared weights go through a softmax."""
    found = importance(steps)
    return [0.0, *torch.softmax(torch.tensor(found[1:], dtype=torch.float64), 0).tolist()] if steps else found


def test_weights_are_told_where_one_answer_has_fewer_numbers_than_them():
    """Seven steps have eight weights, and six variables; those of three steps are told."""
    problems = ("logistic-regression", "one-task", "seven-steps")
    passes, names = judged(subject(maml, sgd, weights=softened), "maml++(5, 10)", 1, problems)
    assert not passes
    assert names[0].faults == ("O08",), names
    assert "weights 0, " in names[0].evidence, names


@pytest.mark.parametrize(("declared", "order", "name", "detail", "function"), WRONG)
def test_a_mistake_within_an_algorithm_is_named(declared, order, name, detail, function):
    """The first name says what is wrong in the part that was declared."""
    passes, names = judged(function, declared, order)
    assert not passes
    assert (names[0].name, detail in names[0].evidence) == (name, True), names


OF_SELECTIONS = [
    ("anil", 2, "no outer gradient", selecting(cut=True)),
    ("anil", 2, "others held", selecting(held=True)),
    ("anil", 1, "begins at 0", selecting(start=0.0)),
    ("cavia", 2, "begins at 1", cavia_from_one),
]


@pytest.mark.parametrize(("declared", "order", "detail", "function"), OF_SELECTIONS)
def test_a_mistake_in_what_adapts_is_named(declared, order, detail, function):
    """ANIL and CAVIA need networks with several variables."""
    passes, names = judged(function, declared, order, NETWORKS)
    assert not passes
    assert (names[0].name, detail in names[0].evidence) == ("O13", True), names


BOTH = [
    (
        "rates-by-step(1, 0.5, 0.25)",
        2,
        {"A01", "O09"},
        subject(maml, rated(lambda k, i, n: of(k + 1)), create_graph=False),
    ),
    ("weight-decay(0.1)", 1, {"D01", "O07"}, lambda problem: summed(problem, decaying(lambda w: -0.1 * w.detach()))),
]


def summed(problem, run):
    cost, found = run(problem)
    return cost, {name: problem.num_tasks * g for name, g in found.items()}


@pytest.mark.parametrize(("declared", "order", "both", "function"), BOTH)
def test_a_mistake_beside_one_in_what_is_declared_is_named_with_it(declared, order, both, function):
    """Parts wrongly done combine with every other choice."""
    passes, names = judged(function, declared, order)
    assert not passes
    assert both in [set(found.faults) for found in names], names
