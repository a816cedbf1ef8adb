"""Steps by hand that do otherwise with tasks, weights, or the point at the end, are named by what they do."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.misc import flatten
from shared import assert_named, verify_by_autograd

pytestmark = pytest.mark.once  # arithmetic

#: Three and five steps, one and none, one task, and costs that rise on the way.
PROBLEMS = ("mlp-tanh-mse", "bilinear", "one-step", "no-steps", "one-task", "five-steps", "quadratic")


def _step(*, rate=None, update=None, move=None, end=None, middle=False, weights=None):
    """Return a step of first or second order by autograd, right where nothing is said.

    `rate(t)` is a factor of α in task t = 1, …, T; `update(g, k, state)` a direction, with the rate and the places of
    the variables in the state; `move` what becomes of the
    weights after each inner step; `end(points, support, query)` the point of the outer gradient, with the two costs of
    a task; `middle` takes it at the mean of the ends of all tasks; `weights(losses)` are those of the tasks.
    """

    def subject(problem):
        theta, nested = flatten(problem.variables)
        theta, tasks = np.asarray(theta), list(problem.tasks())

        def costs_of(t):
            support, query = tasks[t]
            return (
                lambda v: problem.inner_cost(support, nested(v)),
                lambda v: problem.outer_cost(query, nested(v)),
            )

        def ends(t, v):
            inner, outer = costs_of(t)
            places = _places(nested(np.arange(float(theta.size))))
            points, state = [v], {"places": places, "rate": problem.inner_learning_rate}
            for k in range(problem.inner_grad_steps):
                direction = grad(inner)(points[-1])
                if problem.order == 1:
                    direction = np.asarray(direction)
                direction = direction if update is None else update(direction, k, state)
                after = points[-1] - (1.0 if rate is None else rate(t + 1)) * problem.inner_learning_rate * direction
                points.append(after if move is None else move(after))
            return points[-1] if end is None else end(points, inner, outer)

        def loss_at(point):
            return lambda t: costs_of(t)[1](point(t))

        count = range(len(tasks))
        if middle:
            losses = loss_at(lambda _: sum(ends(t, theta) for t in count) / len(tasks))
        else:
            losses = loss_at(lambda t: ends(t, theta))
        known = np.array([losses(t) for t in count])
        shares = np.full(len(tasks), 1 / len(tasks)) if weights is None else weights(known)
        if middle:

            def total(v):
                return sum(share * costs_of(t)[1](v) for t, share in zip(count, shares, strict=True))

            def mean_end(v):
                return sum(ends(t, v) for t in count) / len(tasks)

            at = mean_end(theta)
            gradient = grad(lambda v: total(mean_end(v)))(theta) if problem.order == 2 else grad(total)(at)
        else:
            parts = [_gradient(problem.order, theta, costs_of(t)[1], lambda v, t=t: ends(t, v)) for t in count]
            gradient = np.sum([share * part for share, part in zip(shares, parts, strict=True)], axis=0)
        return float(shares @ known), nested(gradient)

    return subject


def _gradient(order, theta, cost, ends):
    return grad(lambda v: cost(ends(v)))(theta) if order == 2 else grad(cost)(ends(theta))


def _lowest(which, first=0):
    """Return the point with the lowest loss, as `if loss < best` leaves it."""

    def end(points, *costs):
        best, kept = np.inf, None
        for point in points[min(first, len(points) - 1) :]:
            loss = getattr(costs[which](point), "_value", costs[which](point))
            loss = float(getattr(loss, "_value", loss))
            if loss < best:
                best, kept = loss, point
        return kept

    return end


def _rounded(dtype):
    """Return the last point in another precision and back; what is rounded passes its gradient on."""

    def end(points, *_):
        value = getattr(points[-1], "_value", points[-1])
        value = np.asarray(getattr(value, "_value", value))
        return points[-1] + (value.astype(dtype).astype(value.dtype) - value)

    return end


def _softmax(losses):
    parts = np.exp(losses - np.max(losses))
    return parts / np.sum(parts)


def _dampened(mu, tau):
    def update(g, k, state):
        state["m"] = mu * state["m"] + (1 - tau) * g if k else g
        return state["m"]

    return update


def _moving_average(mu):
    def update(g, k, state):
        state["m"] = (1 - mu) * g + (mu * state["m"] if k else 0.0)
        return state["m"]

    return update


def _places(indices):
    """Return where each variable lies in the flat vector, from the first to the last."""
    parts = indices.values() if isinstance(indices, dict) else indices if isinstance(indices, list | tuple) else None
    if parts is None:
        return [np.ravel(indices).astype(int)]
    return sorted((place for part in parts for place in _places(part)), key=lambda place: place[0])


def _clipped_leaves(limit, added, *, held=False):
    """Return the update of `for p in parameters: clip_grad_norm_(p, limit)`."""

    def clipped(part):
        size = anp.sqrt(anp.sum(part**2)) if anp.any(part != 0) else 0.0
        size = np.float64(_value(size)) if held else size
        return part * limit / (size + added) if size + added > limit else part

    return lambda g, _, state: anp.concatenate([clipped(g[place]) for place in state["places"]])


def _value(number):
    while hasattr(number, "_value"):
        number = number._value
    return number


BOTH = (1, 2)
CASES = {
    "α/t": (_step(rate=lambda t: 1 / t), BOTH, {"G10"}, "over t in task t"),
    "α²": (_step(update=lambda g, _, state: state["rate"] * g), BOTH, {"G10"}, "an effective learning rate of α²"),
    "αt": (_step(rate=lambda t: t), BOTH, {"G10"}, "times t in task t"),
    "αγᵗ": (_step(rate=lambda t: 0.7 ** (t - 1)), BOTH, {"G10"}, "in task t, γ = 0.7"),
    "mean of ends": (_step(middle=True), BOTH, {"M07"}, "at the mean of φ_K over the tasks"),
    "clip 1": (_step(move=lambda v: anp.clip(v, -1.0, 1.0)), BOTH, {"O01"}, "weights clipped to ±1 after each step"),
    "clip 0.3": (_step(move=lambda v: anp.clip(v, -0.3, 0.3)), BOTH, {"O01"}, "weights clipped to ±0.3 after"),
    "best query": (_step(end=_lowest(1)), BOTH, {"B12"}, "up to the lowest query cost"),
    "best query after a step": (_step(end=_lowest(1, 1)), BOTH, {"B12"}, "up to the lowest query cost after a step"),
    "softmax": (_step(weights=_softmax), BOTH, {"D12"}, "by the softmax of their losses"),
    "softmax of −L": (_step(weights=lambda x: _softmax(-x)), BOTH, {"D12"}, "by the softmax of their negative losses"),
    "T softmax": (_step(weights=lambda x: len(x) * _softmax(x)), (1,), {"D01", "D12"}, "the softmax of their losses"),
    "L/ΣL": (_step(weights=lambda losses: losses / np.sum(losses)), BOTH, {"D12"}, "by loss over the sum of losses"),
    "the worst": (_step(weights=lambda x: 1.0 * (x == np.max(x))), BOTH, {"D12"}, "the task with the highest loss"),
    "float32": (_step(end=_rounded(np.float32)), BOTH, {"G11"}, "φ_K alone, in single precision"),
    "float16": (_step(end=_rounded(np.float16)), BOTH, {"G11"}, "φ_K alone, in half precision"),
    "dampened": (_step(update=_dampened(0.8, 0.8)), BOTH, {"O01"}, "a momentum of 0.8 dampened by 0.8"),
    "dampened by 0.1": (_step(update=_dampened(0.7, 0.1)), BOTH, {"O01"}, "a momentum of 0.7 dampened by 0.1"),
    "average": (_step(update=_moving_average(0.7)), BOTH, {"O01", "O02"}, "momentum(0.7)"),
    "clip leaves": (_step(update=_clipped_leaves(0.25, 1e-6)), BOTH, {"O01"}, "leaf clipped to a norm of 0.25 as in"),
    "clip leaves, 0": (_step(update=_clipped_leaves(0.4, 0.0)), BOTH, {"O01"}, "of each leaf clipped to a norm of 0.4"),
    "clip leaves, held": (_step(update=_clipped_leaves(0.2, 0.0, held=True)), (2,), {"O01"}, "norm of 0.2, held"),
    "clip 0.37": (_step(move=lambda v: anp.clip(v, -0.37, 0.37)), BOTH, {"O01"}, "clipped to ±0.37 after"),
}  # fmt: skip


def test_the_step_that_the_others_are_made_from_is_right():
    """With nothing done otherwise it passes, in both orders."""
    assert {verify_by_autograd(_step(), order, PROBLEMS).verdict for order in BOTH} == {"pass"}


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("name", "order"), [(name, order) for name, case in CASES.items() for order in case[1]])
def test_what_is_done_otherwise_is_named(name, order):
    """The first name has what was done, in the words for it."""
    subject, _, faults, words = CASES[name]
    assert_named(verify_by_autograd(subject, order, PROBLEMS), faults, words)
