"""Inner optimizers and other algorithms as people write them in PyTorch: right ones pass, wrong ones are named."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import pytest
from shared import STANDARDS, verify

from verification.algorithms import algorithm
from verification.judge import run_of
from verification.subjects import Subject

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
PROBLEMS = ("logistic-regression", "one-task")  # of few variables: all that is tested here asks them


def judged(subject, declared, order, problems=PROBLEMS):
    """Return whether every answer of a subject in float64 is right, and the names that it is given."""
    run = replace(run_of(("float64",), (), "quick", 0, problems, STANDARDS), algorithm=algorithm(declared))
    wrapped = Subject(subject, "problem", "torch", "subject")
    found = [run.case(wrapped, standard, "float64") for standard in run.standards_for(wrapped, order)]
    cases = [case for case, _ in found]
    passes = all(case.verdict == "pass" for case in cases)
    observations = [observation for _, answers in found for observation in answers]
    return passes, [] if passes else run.name(None, order, cases, observations)


def gradients(cost, leaves, **keywords):
    return torch.autograd.grad(cost, leaves, materialize_grads=True, **keywords)


def maml(problem, update, *, shared=False, create_graph=None, weights=None, support=0.0):
    """Return the answer of MAML with fast weights; `update` makes what moves them, once for each task or for all."""
    names, order = list(problem.variables), problem.order
    theta = {name: leaf.clone().requires_grad_() for name, leaf in problem.variables.items()}
    losses, move = [], update(problem) if shared else None
    for support_batch, query in problem.tasks():
        step = move or update(problem)
        fast, points = list(theta.values()), []
        for _ in range(problem.inner_grad_steps):
            points.append(fast)
            loss = problem.inner_cost(support_batch, dict(zip(names, fast, strict=True)))
            slopes = gradients(loss, fast, create_graph=order == 2 if create_graph is None else create_graph)
            if order == 1:
                slopes = [slope.detach() for slope in slopes]
            fast = step(fast, slopes)
        points.append(fast)
        outer = [problem.outer_cost(query, dict(zip(names, point, strict=True))) for point in points]
        chosen = [0.0] * (len(outer) - 1) + [1.0] if weights is None else weights(len(outer) - 1)
        beside = support and support * problem.inner_cost(support_batch, theta)
        losses.append(sum(w * loss for w, loss in zip(chosen, outer, strict=True)) + beside)
    loss = sum(losses) / len(losses)
    return loss.detach(), dict(zip(names, gradients(loss, list(theta.values())), strict=True))


def fomaml(problem, make, *, shared=False, before=lambda parameters: None):
    """Return the answer of first-order MAML with a deep copy and an optimizer of `torch.optim` for each task."""
    names = list(problem.variables)
    model = torch.nn.ParameterList([leaf.clone() for leaf in problem.variables.values()])
    total, cost, kept = [torch.zeros_like(p) for p in model], 0.0, None
    for support, query in problem.tasks():
        learner = copy.deepcopy(model)
        optimizer = make(learner.parameters(), problem.inner_learning_rate)
        if shared and kept is not None:
            optimizer.load_state_dict(kept)
        for _ in range(problem.inner_grad_steps):
            optimizer.zero_grad()
            problem.inner_cost(support, dict(zip(names, learner, strict=True))).backward()
            before(list(learner.parameters()))
            optimizer.step()
        kept = copy.deepcopy(optimizer.state_dict())
        loss = problem.outer_cost(query, dict(zip(names, learner, strict=True)))
        cost += loss.detach() / problem.num_tasks
        found = gradients(loss, list(learner))
        total = [t + g / problem.num_tasks for t, g in zip(total, found, strict=True)]
    return cost, dict(zip(names, total, strict=True))


def sgd(problem, *, change=lambda slope, k: slope):
    """Plain descent by hand, by what `change` makes of the gradients in step k."""
    count = [0]

    def step(fast, slopes):
        k, count[0] = count[0], count[0] + 1
        return [w - problem.inner_learning_rate * change(g, k) for w, g in zip(fast, slopes, strict=True)]

    return step


def velocity(problem, *, mu=0.9, nesterov=False, damped=False, detach=False, decay=0.0, decoupled=False):
    """Momentum by hand, differentiable."""
    buffers = []

    def step(fast, slopes):
        lr = problem.inner_learning_rate
        if decay and not decoupled:
            slopes = [g + decay * w for g, w in zip(slopes, fast, strict=True)]
        old = buffers or [torch.zeros_like(g) for g in slopes]
        old = [m.detach() for m in old] if detach else old
        buffers[:] = [mu * m + (1 - mu if damped else 1) * g for m, g in zip(old, slopes, strict=True)]
        moves = [g + mu * m for m, g in zip(buffers, slopes, strict=True)] if nesterov else buffers
        moves = [m + decay * w for m, w in zip(moves, fast, strict=True)] if decoupled else moves
        return [w - lr * m for w, m in zip(fast, moves, strict=True)]

    return step


def adam(problem, *, corrected=True, under=False, detach=False, eps=1e-8, betas=(0.9, 0.999)):
    """Adam by hand, differentiable."""
    state = {"t": 0}

    def step(fast, slopes):
        b1, b2 = betas
        state["t"] += 1
        m, v = (state.get(key, [torch.zeros_like(g) for g in slopes]) for key in "mv")
        if detach:
            m, v = ([x.detach() for x in moment] for moment in (m, v))
        state["m"] = m = [b1 * x + (1 - b1) * g for x, g in zip(m, slopes, strict=True)]
        state["v"] = v = [b2 * x + (1 - b2) * g**2 for x, g in zip(v, slopes, strict=True)]
        if corrected:
            m = [x / (1 - b1 ** state["t"]) for x in m]
            v = [x / (1 - b2 ** state["t"]) for x in v]
        roots = [(x + eps).sqrt() if under else x.sqrt() + eps for x in v]
        return [w - problem.inner_learning_rate * x / r for w, x, r in zip(fast, m, roots, strict=True)]

    return step


def clipping(problem, *, limit=0.5, how="norm", detach=False):
    """Descent by clipped gradients, by hand."""

    def step(fast, slopes):
        if how == "value":
            slopes = [g.clamp(-limit, limit) for g in slopes]
        else:
            norms = [(g**2).sum() for g in slopes]
            sizes = norms if how == "leaf" else [sum(norms)] * len(norms)
            factors = [(limit / (size.sqrt() + 1e-6)).clamp(max=1.0) for size in sizes]
            factors = [factor.detach() for factor in factors] if detach else factors
            slopes = [g * factor for g, factor in zip(slopes, factors, strict=True)]
        return [w - problem.inner_learning_rate * g for w, g in zip(fast, slopes, strict=True)]

    return step


def subject(run, *arguments, **keywords):
    """Return a function of one problem."""
    return lambda problem: run(problem, *arguments, **keywords)


def meta_sgd(problem, *, by_rates=list, held=None, lost=False):
    """Return the answer of Meta-SGD; `by_rates` makes what is returned of the gradients by the rates."""
    names, spread = list(problem.variables), problem.inner_learning_rate
    theta = {name: leaf.clone().requires_grad_() for name, leaf in problem.variables.items()}
    learned = {name: spread[name].clone().requires_grad_() for name in names}
    first_order, losses = problem.order == 1 if held is None else held, []
    for support, query in problem.tasks():
        fast = theta
        for _ in range(problem.inner_grad_steps):
            loss = problem.inner_cost(support, fast)
            slopes = gradients(loss, list(fast.values()), create_graph=not first_order)
            used = {name: r.detach() for name, r in learned.items()} if lost else learned
            fast = {n: w - used[n] * g for (n, w), g in zip(fast.items(), slopes, strict=True)}
        losses.append(problem.outer_cost(query, fast))
    loss = sum(losses) / len(losses)
    found = gradients(loss, list(theta.values()), retain_graph=True)
    by = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
    by = [g if lost or g is not None else torch.zeros_like(r) for g, r in zip(by, learned.values(), strict=True)]
    answer = {"variables": dict(zip(names, found, strict=True)), "rates": dict(zip(names, by_rates(by), strict=True))}
    return loss.detach(), answer


def per_fedavg(problem, *, delta=1e-3, how="central", exact=False, on_query=False, share=lambda rate: rate):
    """Return the answer of Per-FedAvg: a client at a time, with differences of gradients for the Hessian's products."""
    names, rate = list(problem.variables), problem.inner_learning_rate
    theta = [leaf.clone() for leaf in problem.variables.values()]
    total, cost = [torch.zeros_like(w) for w in theta], 0.0

    def slopes_at(cost_of, batch, point):
        point = [w.detach().clone().requires_grad_() for w in point]
        loss = cost_of(batch, dict(zip(names, point, strict=True)))
        return loss.detach(), gradients(loss, point)

    def product(batch, point, u):
        if exact:
            point = [w.detach().clone().requires_grad_() for w in point]
            loss = problem.inner_cost(batch, dict(zip(names, point, strict=True)))
            slopes = gradients(loss, point, create_graph=True)
            return gradients(sum((g * v).sum() for g, v in zip(slopes, u, strict=True)), point)
        step = delta / torch.sqrt(sum((v**2).sum() for v in u)) if how == "relative" else delta
        ahead = slopes_at(problem.inner_cost, batch, [w + step * v for w, v in zip(point, u, strict=True)])[1]
        back = 0.0 if how == "one-sided" else step
        behind = slopes_at(problem.inner_cost, batch, [w - back * v for w, v in zip(point, u, strict=True)])[1]
        over = step if how in ("one-sided", "over delta") else 2 * step
        return [(a - b) / over for a, b in zip(ahead, behind, strict=True)]

    for support, query in problem.tasks():
        points = [theta]
        for _ in range(problem.inner_grad_steps):
            slopes = slopes_at(problem.inner_cost, support, points[-1])[1]
            points.append([w - rate * g for w, g in zip(points[-1], slopes, strict=True)])
        loss, u = slopes_at(problem.outer_cost, query, points[-1])
        for point in reversed(points[:-1]) if problem.order == 2 else ():
            found = product(query if on_query else support, point, u)
            u = [v - share(rate) * h for v, h in zip(u, found, strict=True)]
        cost += loss / problem.num_tasks
        total = [t + v / problem.num_tasks for t, v in zip(total, u, strict=True)]
    return cost, dict(zip(names, total, strict=True))


def cavia(problem, *, adapting=None, reset=True, order=None, start=0.0):
    """Return the answer of CAVIA: context parameters at 0 for each task, which are no part of the outer variables."""
    names, context = list(problem.variables), list(problem.options.inner_v.meant)
    second, moving = (order or problem.order) == 2, context if adapting is None else adapting(names, context)
    shared = {n: leaf.clone().requires_grad_() for n, leaf in problem.variables.items() if n not in context}
    losses, before = [], None
    for support, query in problem.tasks():
        begun = {n: torch.full_like(problem.variables[n], start).requires_grad_() for n in context}
        fast = {**shared, **(begun if reset or before is None else before)}
        for _ in range(problem.inner_grad_steps):
            slopes = gradients(
                problem.inner_cost(support, fast), [fast[n] for n in moving], create_graph=second, retain_graph=True
            )
            moved = {n: fast[n] - problem.inner_learning_rate * g for n, g in zip(moving, slopes, strict=True)}
            fast = {**fast, **moved}
        before = {n: fast[n].detach().requires_grad_() for n in context}
        losses.append(problem.outer_cost(query, fast))
    loss = sum(losses) / len(losses)
    return loss.detach(), dict(zip(shared, gradients(loss, list(shared.values())), strict=True))


cavia.supports = {"selections"}
NETWORKS = ("mlp-tanh-mse", "one-step")


def proximal(problem, strength=2.0):
    """Steps with the pull towards θ, which MAML's outer gradient then goes through."""
    start = []

    def step(fast, slopes):
        start[:] = start or fast
        pulls = [g + strength * (w - t) for w, g, t in zip(fast, slopes, start, strict=True)]
        return [w - problem.inner_learning_rate * d for w, d in zip(fast, pulls, strict=True)]

    return step


def imaml(
    problem, *, strength=2.0, steps=0, pull=1.0, implicit=True, scale=None, sign=1.0, at_start=False, on_query=False
):
    """Return the answer of iMAML: proximal steps on a copy, then conjugate gradients with products of the Hessian."""
    names, rate = list(problem.variables), problem.inner_learning_rate
    model = torch.nn.ParameterList([leaf.clone() for leaf in problem.variables.values()])
    total, cost = [torch.zeros_like(p) for p in model], 0.0

    def dot(left, right):
        return sum((a * b).sum() for a, b in zip(left, right, strict=True))

    for support, query in problem.tasks():
        learner = copy.deepcopy(model)
        for _ in range(problem.inner_grad_steps):
            loss = problem.inner_cost(support, dict(zip(names, learner, strict=True)))
            loss = loss + pull * strength / 2 * dot(
                *[[w - p.detach() for w, p in zip(learner, model, strict=True)]] * 2
            )
            slopes = gradients(loss, list(learner))
            with torch.no_grad():
                for w, g in zip(learner, slopes, strict=True):
                    w.sub_(rate * g)
        loss = problem.outer_cost(query, dict(zip(names, learner, strict=True)))
        cost += loss.detach() / problem.num_tasks
        b = gradients(loss, list(learner))
        if implicit and problem.order == 2:
            where = list(model if at_start else learner)
            inner = problem.inner_cost(query if on_query else support, dict(zip(names, where, strict=True)))
            slopes = gradients(inner, where, create_graph=True)

            def product(v, slopes=slopes, where=where):
                found = gradients(dot(slopes, v), where, retain_graph=True)
                over = strength if scale is None else scale
                return [x + sign * h / over for x, h in zip(v, found, strict=True)]

            b = conjugate_gradients(product, b, steps or 60, dot)
        total = [t + g / problem.num_tasks for t, g in zip(total, b, strict=True)]
    return cost, dict(zip(names, total, strict=True))


def conjugate_gradients(product, b, steps, dot):
    x, r = [torch.zeros_like(v) for v in b], b
    p, square = r, dot(r, r)
    for _ in range(steps):
        if square < 1e-32 * dot(b, b):
            break
        image = product(p)
        length = square / dot(p, image)
        x = [v + length * w for v, w in zip(x, p, strict=True)]
        r = [v - length * w for v, w in zip(r, image, strict=True)]
        before, square = square, dot(r, r)
        p = [v + square / before * w for v, w in zip(r, p, strict=True)]
    return x


SGD, ADAM, RMSPROP = torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop
BY_STEP = (1.0, 0.5, 0.25)


def importance(steps, epoch=5, epochs=10):
    """The weights of the losses in an epoch, as in the authors' program."""
    if not steps:
        return [1.0]
    weights = [1 / steps] * steps
    weights[:-1] = [max(w - epoch / steps / epochs, 0.03 / steps) for w in weights[:-1]]
    weights[-1] = min(weights[-1] + epoch * (steps - 1) / steps / epochs, 1 - (steps - 1) * 0.03 / steps)
    return [0.0, *weights]


def _slopes_of_norm(parameters):
    torch.nn.utils.clip_grad_norm_(parameters, 0.5)


def _slopes_of_value(parameters):
    torch.nn.utils.clip_grad_value_(parameters, 0.1)


def last(beta):
    return lambda steps: [0.0] * steps + [beta]


def negated(rates):
    return [-g for g in rates]


def summed(rates):
    total = sum(g.sum() for g in rates)
    return [torch.full_like(g, total.item()) for g in rates]


def summed_by_leaf(rates):
    return [torch.full_like(g, g.sum().item()) for g in rates]


RIGHT = {
    "momentum, torch.optim": ("momentum(0.9)", 1, subject(fomaml, partial(SGD, momentum=0.9))),
    "momentum, second order": ("momentum(0.9)", 2, subject(maml, velocity)),
    "momentum, held": ("momentum(0.9, held)", 2, subject(maml, partial(velocity, detach=True))),
    "nesterov, torch.optim": ("nesterov", 1, subject(fomaml, partial(SGD, momentum=0.9, nesterov=True))),
    "nesterov, second order": ("nesterov", 2, subject(maml, partial(velocity, nesterov=True))),
    "rmsprop, torch.optim": ("rmsprop", 1, subject(fomaml, RMSPROP)),
    "adam, torch.optim": ("adam", 1, subject(fomaml, ADAM)),
    "adam, second order": ("adam", 2, subject(maml, adam)),
    "adam, held": ("adam(held)", 2, subject(maml, partial(adam, detach=True))),
    "adamw, torch.optim": (
        "adam + weight-decay(0.1)", 1, subject(fomaml, partial(torch.optim.AdamW, weight_decay=0.1)),
    ),
    "decay, torch.optim": (
        "weight-decay(0.1) + momentum(0.9)", 1, subject(fomaml, partial(SGD, momentum=0.9, weight_decay=0.1)),
    ),
    "decay, second order": ("weight-decay(0.1) + momentum", 2, subject(maml, partial(velocity, decay=0.1))),
    "clip by norm, torch.nn.utils": (
        "clip-by-norm(0.5) + adam", 1, subject(fomaml, ADAM, before=_slopes_of_norm),
    ),
    "clip by norm, second order": ("clip-by-norm(0.5)", 2, subject(maml, clipping)),
    "clip by norm, held": ("clip-by-norm(0.5, held)", 2, subject(maml, partial(clipping, detach=True))),
    "clip by value, torch.nn.utils": (
        "clip-by-value(0.1)", 1, subject(fomaml, SGD, before=_slopes_of_value),
    ),
    "clip by value, second order": (
        "clip-by-value(0.1)", 2, subject(maml, partial(clipping, how="value", limit=0.1)),
    ),
    "rates by step": (
        "rates-by-step(1, 0.5, 0.25)", 2, subject(maml, partial(sgd, change=lambda g, k: BY_STEP[k] * g)),
    ),
    "multi-step loss": ("maml++(5, 10)", 2, subject(maml, sgd, weights=importance)),
    "MLDG": ("mldg(0.5)", 2, subject(maml, sgd, weights=last(0.5), support=1.0)),
    "MLDG, first order": ("mldg", 1, subject(maml, sgd, support=1.0)),
    "Meta-SGD": ("meta-sgd", 2, subject(meta_sgd)),
    "Meta-SGD, first order": ("meta-sgd", 1, subject(meta_sgd)),
    "Meta-SGD, a rate for each leaf": ("meta-sgd(by-leaf)", 2, subject(meta_sgd)),
    "Per-FedAvg, HF": ("per-fedavg", 2, subject(per_fedavg)),
    "Per-FedAvg, HF, another delta": ("per-fedavg(0.01)", 2, subject(per_fedavg, delta=0.01)),
    "Per-FedAvg, FO": ("per-fedavg", 1, subject(per_fedavg)),
    "iMAML": ("imaml(2)", 2, subject(imaml)),
    "iMAML, another λ": ("imaml(8)", 2, subject(imaml, strength=8.0)),
    "iMAML, five steps of CG": ("imaml(2, 5)", 2, subject(imaml, steps=5)),
    "iMAML, more steps of CG than declared": ("imaml(2, 5)", 2, subject(imaml)),
    "iMAML, first order": ("imaml(2)", 1, subject(imaml)),
    "Per-FedAvg, exact": ("", 2, subject(per_fedavg, exact=True)),
    "multi-step loss, first order": ("multi-step-loss(5, 10)", 1, subject(maml, sgd, weights=importance)),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_code_passes(name):
    """An algorithm as people write it is right under its declaration."""
    declared, order, function = RIGHT[name]
    passes, names = judged(function, declared, order)
    assert passes, names


WRONG = [
    ("momentum(0.9)", 2, "O01", "plain gradient descent", subject(maml, sgd)),
    ("momentum(0.9)", 2, "O02", "damped", subject(maml, partial(velocity, damped=True))),
    ("momentum(0.9)", 2, "O02", "Nesterov", subject(maml, partial(velocity, nesterov=True))),
    ("momentum(0.9)", 2, "O06", "held", subject(maml, partial(velocity, detach=True))),
    ("momentum(0.9)", 1, "E04", "keeps its state", subject(fomaml, partial(SGD, momentum=0.9), shared=True)),
    ("momentum(0.9)", 2, "O01", "momentum(0.7)", subject(maml, partial(velocity, mu=0.7))),
    ("nesterov(0.9)", 1, "O02", "Nesterov", subject(fomaml, partial(SGD, momentum=0.9))),
    ("nesterov(0.9)", 1, "O01", "plain", subject(fomaml, SGD)),
    ("nesterov(0.9)", 1, "E04", "keeps its state",
     subject(fomaml, partial(SGD, momentum=0.9, nesterov=True), shared=True)),
    ("rmsprop", 1, "O01", "adam", subject(fomaml, ADAM)),
    ("rmsprop", 1, "O01", "plain", subject(fomaml, SGD)),
    ("rmsprop", 1, "E04", "keeps its state", subject(fomaml, RMSPROP, shared=True)),
    ("adam", 1, "O03", "", subject(maml, partial(adam, corrected=False))),
    ("adam", 2, "A01", "", subject(maml, adam, create_graph=False)),
    ("adam", 2, "O04", "under the root", subject(maml, partial(adam, under=True))),
    ("adam", 2, "O06", "held", subject(maml, partial(adam, detach=True))),
    ("adam", 1, "O04", "1e-06", subject(fomaml, partial(ADAM, eps=1e-6))),
    ("adam", 1, "E04", "keeps its state", subject(fomaml, ADAM, shared=True)),
    ("weight-decay(0.1) + momentum", 2, "O07", "decoupled",
     subject(maml, partial(velocity, decay=0.1, decoupled=True))),
    ("weight-decay(0.1) + momentum", 2, "O07", "left out", subject(maml, velocity)),
    ("weight-decay(0.1) + adam", 1, "O07", "decoupled",
     subject(fomaml, partial(torch.optim.AdamW, weight_decay=0.1))),
    ("clip-by-norm(0.5)", 2, "O05", "by value", subject(maml, partial(clipping, how="value"))),
    ("clip-by-norm(0.5)", 2, "O05", "each leaf", subject(maml, partial(clipping, how="leaf"))),
    ("clip-by-norm(0.5)", 2, "O05", "left out", subject(maml, sgd)),
    ("clip-by-norm(0.5)", 2, "O06", "held", subject(maml, partial(clipping, detach=True))),
    ("clip-by-norm(0.5, held)", 2, "O06", "differentiated", subject(maml, clipping)),
    ("clip-by-value(0.1)", 1, "O05", "by value for norm", subject(maml, partial(clipping, limit=0.1))),
    ("clip-by-value(0.1)", 1, "O05", "left out", subject(fomaml, SGD)),
    ("clip-by-value(0.1)", 1, "O01", "clip-by-value(0.3)", subject(maml, partial(clipping, how="value", limit=0.3))),
    ("rates-by-step(0.5, 1, 0.25)", 2, "O09", "left out", subject(maml, sgd)),
    ("rates-by-step(1, 0.5, 0.25)", 2, "O09", "next",
     subject(maml, partial(sgd, change=lambda g, k: (0.5, 0.25, 0.25)[k] * g))),
    ("rates-by-step(0.5, 1, 0.25)", 2, "O09", "always the first",
     subject(maml, partial(sgd, change=lambda g, _: g / 2))),
    ("maml++(5, 10)", 2, "O08", "last point", subject(maml, sgd)),
    ("maml++(5, 10)", 2, "O08", "1/K", subject(maml, sgd, weights=partial(importance, epoch=0))),
    ("maml++(5, 10)", 2, "O08", "one step before", subject(maml, sgd, weights=lambda k: [*importance(k)[1:], 0.0])),
    ("maml++(5, 10)", 2, "A01", "", subject(maml, sgd, weights=importance, create_graph=False)),
    ("mldg(0.5)", 2, "O11", "support loss left out", subject(maml, sgd, weights=last(0.5))),
    ("mldg(0.5)", 2, "O11", "β left out", subject(maml, sgd, support=1.0)),
    ("mldg(0.5)", 1, "O11", "mean of both", subject(maml, sgd, weights=last(0.25), support=0.5)),
    ("meta-sgd", 2, "O10", "none", subject(meta_sgd, lost=True)),
    ("meta-sgd", 1, "O10", "none", subject(meta_sgd, by_rates=lambda rates: [torch.zeros_like(g) for g in rates])),
    ("meta-sgd", 2, "O10", "other sign", subject(meta_sgd, by_rates=negated)),
    ("meta-sgd", 2, "O10", "of one rate", subject(meta_sgd, by_rates=summed)),
    ("meta-sgd", 1, "O10", "over each variable", subject(meta_sgd, by_rates=summed_by_leaf)),
    ("meta-sgd", 2, "A01", "", subject(meta_sgd, held=True)),
    ("per-fedavg", 2, "O12", "exact", subject(per_fedavg, exact=True)),
    ("per-fedavg", 2, "O12", "δ over ‖u‖", subject(per_fedavg, how="relative")),
    ("per-fedavg", 2, "O12", "from φ on", subject(per_fedavg, how="one-sided")),
    ("per-fedavg", 2, "O12", "divided by δ", subject(per_fedavg, how="over delta")),
    ("per-fedavg", 2, "O12", "δ = 0.01", subject(per_fedavg, delta=0.01)),
    ("per-fedavg", 2, "A01", "", subject(maml, sgd, create_graph=False)),
    ("imaml(2)", 2, "A01", "", subject(imaml, implicit=False)),
    ("imaml(2)", 2, "O14", "without λ", subject(imaml, scale=1.0)),
    ("imaml(2)", 2, "O14", "(I + λH)", subject(imaml, scale=0.5)),
    ("imaml(8)", 2, "O14", "(I − H/λ)", subject(imaml, strength=8.0, sign=-1.0)),
    ("imaml(2)", 2, "O14", "H at θ", subject(imaml, at_start=True)),
    ("imaml(2)", 2, "O14", "H of the query data", subject(imaml, on_query=True)),
    ("imaml(2)", 2, "O14", "2λ in the pull", subject(imaml, pull=2.0)),
    ("imaml(2)", 2, "O14", "through the loop", subject(maml, proximal)),
    ("imaml(2)", 2, "O14", "no pull", subject(imaml, pull=0.0)),
    ("imaml(2, 5)", 2, "O14", "H of the query data", subject(imaml, on_query=True, steps=5)),
    ("", 1, "O01", '--algorithm "adam"', subject(fomaml, ADAM)),
    ("", 2, "O01", '--algorithm "momentum(0.9, held)"', subject(maml, partial(velocity, detach=True))),
    ("", 2, "O01", '--algorithm "clip-by-norm(0.3)"', subject(maml, partial(clipping, limit=0.3))),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "order", "name", "detail", "function"), WRONG)
def test_wrong_code_is_named(declared, order, name, detail, function):
    """What is wrong in an algorithm, or that it was not declared, is the first name, with what it is."""
    passes, names = judged(function, declared, order)
    assert not passes
    assert names[0].name == name, names
    assert detail in names[0].evidence, names


def test_a_number_that_somebody_wrote_is_found_to_its_last_digit():
    """A limit that a search finds to the bound of one answer is held to the short one beside it."""
    clipped = subject(maml, partial(clipping, limit=1.0))  # found first: 0.9999999999996
    passes, names = judged(clipped, "", 1, ("one-task", "mlp-tanh-mse"))
    assert (passes, names[0].name) == (False, "O01")
    assert 'declare --algorithm "clip-by-norm(1)"' in names[0].evidence


@pytest.mark.parametrize("order", [1, 2])
def test_right_cavia_passes(order):
    """Context parameters that start at 0 in each task and have no outer gradient are CAVIA."""
    assert judged(cavia, "cavia", order, NETWORKS) == (True, [])


@pytest.mark.parametrize(
    ("order", "name", "detail", "changes"),
    [
        (2, "A01", "", {"order": 1}),
        (2, "E01", "", {"reset": False}),
        (1, "E01", "", {"reset": False}),
        (2, "O13", "all of them", {"adapting": lambda names, context: names}),
        (1, "O13", "in their place", {"adapting": lambda names, context: [n for n in names if n not in context]}),
    ],
)
def test_wrong_cavia_is_named(order, name, detail, changes):
    """Context parameters at first order, carried to the next task, or others adapting: each has its name."""
    function = subject(cavia, **changes)
    function.supports = cavia.supports
    passes, names = judged(function, "cavia", order, NETWORKS)
    assert not passes
    assert names[0].name == name, names
    assert detail in names[0].evidence


def test_a_subject_declares_its_algorithm_itself():
    """The attribute `algorithm` of a subject stands for the option, which goes before it, and the report says it."""
    function = subject(fomaml, ADAM)
    function.algorithm = "adam(0.9)"
    options = {"framework": "torch", "problems": ["one-task"], "dtypes": ("float64",)}
    report = verify(function, **options)
    assert (report.verdict, report.conditions.algorithm) == ("pass", "adam")
    assert verify(function, algorithm="", **options).verdict == "fail"


@pytest.mark.parametrize(
    ("make", "limit", "declared", "meant"),
    [
        (partial(torch.optim.AdamW, weight_decay=0.01), None, "adam", "adam + weight-decay(0.01)"),
        (partial(torch.optim.Adam, weight_decay=0.003), None, "adam", "weight-decay(0.003) + adam"),
        # It passes over the variables without a gradient, which this declaration has not: `momentum` has them.
        (partial(torch.optim.SGD, momentum=0.9, weight_decay=5e-4), None, "momentum(0.9)",
         "weight-decay(0.0005) + momentum(0.9)"),
        (torch.optim.Adam, 0.25, "adam", "clip-by-norm(0.25) + adam"),
    ],
)  # fmt: skip
def test_what_an_optimizer_does_beside_what_is_declared_is_named(make, limit, declared, meant):
    """A decay by default, and a clip before the step: the report says what to declare, and that passes."""

    def clip(parameters):
        if limit is not None:
            torch.nn.utils.clip_grad_norm_(parameters, limit)

    def subject(problem):
        return fomaml(problem, lambda parameters, rate: make(parameters, lr=float(rate)), before=clip)

    passes, names = judged(subject, declared, 1)
    assert not passes
    assert [found.name for found in names] == ["O01"]
    assert f'declare --algorithm "{meant}" if it is meant' in names[0].evidence
    assert judged(subject, meant, 1)[0]
