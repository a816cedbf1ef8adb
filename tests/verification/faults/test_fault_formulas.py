"""Every answer of the catalogue is what its formula says, worked out in NumPy on three tasks of two variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import hand
import numpy as np
import pytest
from hand import ALPHA, EXAMPLES, STEPS, TASKS, THETA, B, grad_q, grad_s, hessian, jacobian, over_tasks, path

from verification.faults import CATALOGUE, order, pose
from verification.faults.pairing import Pairing, in_update
from verification.faults.question import pose_in
from verification.faults.subject import FaultySubject
from verification.faults.work import mark
from verification.problems import suite
from verification.problems.options import Selection

FIRST = {t: grad_q(path(t)[-1], t) for t in range(TASKS)}
RIGHT = over_tasks(FIRST.get)
KEYS = ("a", "b")


def second(t, points=None, at=None):
    """(I − αH_0) ⋯ (I − αH_{K−1}) ∇Q(φ_K)."""
    points = path(t) if points is None else points
    return jacobian(points[:-1]) @ grad_q(points[-1] if at is None else at, t)


def all_at_start(t):
    return THETA - STEPS * ALPHA * grad_s(THETA, t)


def unrolled(t):
    """φ_{k+1} = φ_k − αJ_kᵀ∇S(φ_k): three steps; J_2 by differences of φ_2(θ), the only one without a short formula."""

    def two_steps(theta):
        one = theta - ALPHA * grad_s(theta, t)
        return one - ALPHA * (np.eye(2) - ALPHA * hessian(theta)).T @ grad_s(one, t)

    h = 1e-6
    columns = [(two_steps(THETA + h * e) - two_steps(THETA - h * e)) / (2 * h) for e in np.eye(2)]
    phi = two_steps(THETA)
    return phi - ALPHA * np.array(columns) @ grad_s(phi, t)


def carried(*, through=False):
    """E01: the gradient at the end of each task's path, `through` all the paths before it in second order."""
    total, start, before = 0.0, THETA, np.eye(2)
    for t in range(TASKS):
        points = path(t, start=start)
        start, before = points[-1], before @ jacobian(points[:-1])
        total = total + (before if through else np.eye(2)) @ grad_q(start, t) / TASKS
    return total


def carried_displacement():
    total, start = 0.0, THETA
    for t in range(TASKS):
        start = path(t, start=start)[-1]
        total = total + (THETA - start) / ALPHA / TASKS
    return total


def from_theta(t):
    """B07: φ_{k+1} = θ − α∇S(φ_k), with ∂φ_K/∂θ."""
    phi, jacobian = THETA, np.eye(2)
    for _ in range(STEPS):
        phi, jacobian = THETA - ALPHA * grad_s(phi, t), np.eye(2) - ALPHA * hessian(phi) @ jacobian
    return phi, jacobian


def adapted_on_outer(t, x=hand.QUERY):
    phi = THETA
    for _ in range(STEPS):
        phi = phi - ALPHA * grad_q(phi, t, x)
    return phi


def momentum(calls):
    """The last of some calls, with one velocity that nobody clears: m ← 0.9 m + ∇S, φ ← φ − αm."""
    velocity = np.zeros(2)
    for _ in range(calls):
        total = 0.0
        for t in range(TASKS):
            phi = THETA
            for _ in range(STEPS):
                velocity = 0.9 * velocity + grad_s(phi, t)
                phi = phi - ALPHA * velocity
            total = total + grad_q(phi, t) / TASKS
    return total


def accumulating(t):
    """D06: each inner step takes the sum of all gradients so far; return φ_K, that sum and ∂φ_K/∂θ."""
    phi, total = THETA, np.zeros(2)
    jacobian, total_jacobian = np.eye(2), np.zeros((2, 2))
    for _ in range(STEPS):
        total, total_jacobian = total + grad_s(phi, t), total_jacobian + hessian(phi) @ jacobian
        phi, jacobian = phi - ALPHA * total, jacobian - ALPHA * total_jacobian
    return phi, total, jacobian


def at_rates(t, *factors):
    """φ_{k+1} = φ_k − c_k α∇S(φ_k)."""
    points = [THETA]
    for factor in factors:
        points.append(points[-1] - factor * ALPHA * grad_s(points[-1], t))
    return points


def jacobian_at_rates(t, *factors):
    product = np.eye(2)
    for factor, phi in zip(factors, at_rates(t, *factors), strict=False):
        product = product @ jacobian([phi], rate=factor * ALPHA)
    return product


def stepped_on_query(t):
    """B03: φ_K − α∇S(φ_K) on the query data."""
    return path(t)[-1] - ALPHA * grad_s(path(t)[-1], t, hand.QUERY)


def one_kept(t):
    """F03: b stays at θ."""
    phi = THETA
    for _ in range(STEPS):
        phi = phi - ALPHA * grad_s(phi, t) * [1, 0]
    return phi


def swapped(t):
    """F05: each variable moves by the gradient of the other."""
    phi = THETA
    for _ in range(STEPS):
        phi = phi - ALPHA * grad_s(phi, t)[::-1]
    return phi


def loss(v, t):
    """Q."""
    off = v - hand.QUERY[t]
    return 0.5 * np.mean(np.sum(off * (off @ B), axis=1))


LOSSES = np.array([loss(path(t)[-1], t) for t in range(TASKS)])
SOFTMAX, SOFTMIN = (np.exp(sign * LOSSES) / np.exp(sign * LOSSES).sum() for sign in (1, -1))
#: ∂w_s/∂Q_t of the softmax.
TURN = np.diag(SOFTMAX) - np.outer(SOFTMAX, SOFTMAX)


def weighing(weights):
    return sum(weight * FIRST[t] for t, weight in enumerate(weights))


def averaged(weights):
    return over_tasks(lambda t: sum(w * grad_q(phi, t) for w, phi in zip(weights, path(t), strict=True)))


def support_in_average(t):
    """C02: the averaged terms before the last come from the support data; one cost serves both loops."""
    points = path(t)
    return (sum(grad_s(phi, t) for phi in points[:-1]) + grad_s(points[-1], t, hand.QUERY)) / (STEPS + 1)


def displacement(t):
    return THETA - path(t)[-1]


def shifted(t):
    """G09: H_k taken at φ_{k+1}."""
    points = path(t)
    return jacobian(points[1:]) @ grad_q(points[-1], t)


def only_b_moves(t):
    """F04: inner_v is a and outer_v is b; exchanged, b adapts and a gets the gradient."""
    phi = THETA
    for _ in range(STEPS):
        phi = phi - ALPHA * grad_s(phi, t) * [0, 1]
    return grad_q(phi, t)


def both_paths(share):
    """D09: every leaf is in both containers, a quarter and three quarters of it; one share counts twice."""
    return (1 + share) * RIGHT


@dataclass(frozen=True)
class Row:
    """What a fault answers: gradients as a vector, or None; on which order and options; on which call."""

    gradient: Any
    fault: str
    variant: str = ""
    order: Any = 1
    calls: int = 1
    options: dict[str, Any] = field(default_factory=dict)


#: Right where the inner cost takes every variable; they have a test of their own below.
BY_PLACE = "after None was left out"
IN_ANSWER = ("in the answer, after None was left out", "in the answer, variables as they stand, gradients by name")
OF_UNUSED = {("F03", "from the first on that has no gradient"), *(("F05", name) for name in (BY_PLACE, *IN_ANSWER))}
#: Right where all variables have one rate, all data one Hessian, the outer cost is quadratic, or falls in every step;
#: other tests have them where they are not.
OF_OTHERS = {
    ("G09", "α H u for H αu"),
    ("G09", "of the query data"),
    ("B12", "up to the lowest query cost"),
    ("B12", "up to the lowest query cost after a step"),
    ("M07", "at the mean of φ_K over the tasks"),
}


def rows(fault, *gradients, **others):
    variants = [name for name in CATALOGUE[fault].variants if (fault, name) not in OF_UNUSED | OF_OTHERS]
    return [Row(gradient, fault, variant, **others) for gradient, variant in zip(gradients, variants, strict=True)]


def at(point: Callable[[int], Any], x=hand.QUERY):
    return over_tasks(lambda t: grad_q(point(t), t, x))


def ends(**changes):
    return lambda t: path(t, **changes)[-1]


def by_products(sign, rate, turn):
    """G09: u ← u ± rate H_k u over the inner steps, back or forth; α is the same for both variables."""

    def of_task(t):
        u = FIRST[t]
        for phi in path(t)[:-1][::turn]:
            u = u + sign * rate * hessian(phi) @ u
        return u

    return over_tasks(of_task)


BY_PRODUCTS = [by_products(*choice) for choice in product((-1, 1), (ALPHA, ALPHA, 1), (-1, 1))]
AVERAGE = {"average_across_steps": True}
ROWS = [
    *rows("A01", RIGHT, (second(0) + FIRST[1] + FIRST[2]) / 3, (FIRST[0] + FIRST[1] + second(2)) / 3, order=2),
    *rows("A02", RIGHT, order=2),
    *rows("A03", None, None, None),
    *rows("A04", over_tasks(second), (second(0) + FIRST[1] + FIRST[2]) / 3, (FIRST[0] + FIRST[1] + second(2)) / 3),
    *rows("A05", None),
    *rows("A06", None),
    *rows(
        "A08",
        over_tasks(lambda t: (np.eye(2) - ALPHA * hessian(path(t)[-2])) @ FIRST[t]),
        over_tasks(lambda t: jacobian(path(t)[-3:-1]) @ FIRST[t]),
        over_tasks(lambda t: jacobian(path(t)[1:-1]) @ FIRST[t]),
        order=2,
    ),
    *rows("B01", at(lambda t: THETA)),
    *rows("B02", *[at(ends(steps=STEPS - 1))] * 2),
    *rows("B02", *[over_tasks(lambda t: second(t, path(t, steps=STEPS - 1)))] * 2, order=2),
    *rows("B02", *[over_tasks(lambda t: (THETA - path(t)[-2]) / ALPHA)] * 2, order="reptile"),
    *rows(
        "B03",
        at(ends(steps=STEPS + 1)),
        at(stepped_on_query),
        at(lambda t: path(t)[-1] - ALPHA * FIRST[t]),
    ),
    Row(
        over_tasks(
            lambda t: second(t, path(t, steps=STEPS + 1), path(t)[-1] - ALPHA * grad_s(path(t)[-1], t, hand.QUERY))
        ),
        "B03",
        "on the query data",
        order=2,
    ),
    *rows("B12", at(ends(steps=5)), at(ends(steps=2 * STEPS))),
    *rows("B05", at(unrolled)),
    *rows("B06", at(all_at_start)),
    *rows(
        "B06",
        over_tasks(lambda t: (np.eye(2) - STEPS * ALPHA * hessian(THETA)) @ grad_q(all_at_start(t), t)),
        order=2,
    ),
    *rows("B07", at(ends(steps=1)), at(lambda t: from_theta(t)[0])),
    Row(
        over_tasks(lambda t: from_theta(t)[1].T @ grad_q(from_theta(t)[0], t)),
        "B07",
        "φ_{k+1} = θ − α∇S(φ_k)",
        order=2,
    ),
    *rows("B08", None),
    *rows(
        "B11",
        averaged([0, 1 / 3, 1 / 3, 1 / 3]),
        averaged([1] * 4),
        averaged([1 / 3] * 4),
        averaged([0, 1, 1, 1]),
        averaged([0, 1 / 4, 1 / 4, 1 / 4]),
        averaged([1 / 3, 1 / 3, 1 / 3, 0]),
        averaged([0, 0, 0, 1]),
        options=AVERAGE,
    ),
    *rows("C01", at(ends(), hand.SUPPORT), over_tasks(lambda t: grad_s(path(t)[-1], t))),
    *rows("C02", over_tasks(support_in_average), options={**AVERAGE, "same_cost": True}),
    *rows(
        "C03",
        at(ends(x=hand.QUERY), hand.SUPPORT),
        over_tasks(lambda t: grad_s(adapted_on_outer(t), t)),
        over_tasks(lambda t: grad_s(adapted_on_outer(t, hand.SUPPORT), t, hand.QUERY)),
    ),
    *rows("C04", at(ends(x=hand.QUERY)), at(adapted_on_outer)),
    *rows("C05", *[at(ends(rate=EXAMPLES * ALPHA))] * 2),
    *rows("C06", *[at(ends(rate=ALPHA / EXAMPLES))] * 2),
    *rows("D01", TASKS * RIGHT),
    *rows("D02", RIGHT / TASKS),
    *rows("D03", FIRST[2], FIRST[2] / TASKS),
    *rows("D04", FIRST[0] / TASKS),
    *rows("D05", 3 * RIGHT, calls=3),
    *rows(
        "D06",
        over_tasks(lambda t: sum(grad_s(phi, t) for phi in path(t)[:-1]) + FIRST[t]),
        over_tasks(lambda t: grad_s(path(t)[-2], t) + FIRST[t]),
        over_tasks(lambda t: sum(grad_s(phi, t) for phi in path(t)[:-1]) + FIRST[t]),
        over_tasks(lambda t: TASKS * sum(grad_s(phi, t) for phi in path(t)[:-1]) + FIRST[t]),
        over_tasks(lambda t: accumulating(t)[1] + grad_q(accumulating(t)[0], t)),
        at(lambda t: accumulating(t)[0]),
        over_tasks(lambda t: TASKS * accumulating(t)[1] + grad_q(accumulating(t)[0], t)),
    ),
    Row(
        over_tasks(lambda t: sum(jacobian(path(t)[:k]) @ grad_s(path(t)[k], t) for k in range(STEPS)) + second(t)),
        "D06",
        "through the graph",
        order=2,
    ),
    Row(
        over_tasks(lambda t: accumulating(t)[2].T @ grad_q(accumulating(t)[0], t)),
        "D06",
        "in the inner steps alone",
        order=2,
    ),
    *rows(
        "D08",
        at(ends(rate=TASKS * ALPHA)),
        TASKS * at(ends(rate=TASKS * ALPHA)),
        at(ends(rate=ALPHA / TASKS)),
        at(ends(rate=ALPHA / TASKS)) / TASKS,
        at(ends(rate=TASKS * ALPHA)),
        options={"batched": True},
    ),
    *rows("D09", both_paths(0.75), both_paths(0.25), options={"three_parameters": True}),
    *rows("D11", 0.375 * RIGHT),
    *rows(
        "D12",
        FIRST[0] / 4 + FIRST[1] / 2 + FIRST[2] / 4,
        (FIRST[0] + FIRST[1]) / 3,
        weighing(SOFTMAX),
        weighing(SOFTMAX + LOSSES @ TURN),
        weighing(SOFTMIN),
        weighing(LOSSES / LOSSES.sum()),
        weighing(2 * LOSSES / LOSSES.sum() - (LOSSES**2).sum() / LOSSES.sum() ** 2),
        FIRST[int(np.argmax(LOSSES))],
    ),
    *rows("E01", carried(), carried()),
    Row(carried(through=True), "E01", "as one descent", order=2),
    Row(carried_displacement(), "E01", "as one descent", order="reptile"),
    *rows("E02", RIGHT),
    *rows("E04", momentum(1), momentum(1)),
    *rows("E04", momentum(2), momentum(1), calls=2),
    *rows("F03", at(one_kept)),
    *rows("F05", *[at(swapped)] * 2),
    *rows("G01", at(ends(rate=0.01))),
    *rows("G02", at(ends(rate=-ALPHA)), at(lambda t: at_rates(t, 1, 1, -1)[-1])),
    Row(
        over_tasks(lambda t: jacobian_at_rates(t, 1, 1, -1) @ grad_q(at_rates(t, 1, 1, -1)[-1], t)),
        "G02",
        "in the last step alone",
        order=2,
    ),
    *rows(
        "G03",
        over_tasks(displacement),
        over_tasks(displacement) / (STEPS * ALPHA),
        over_tasks(lambda t: sum(grad_s(phi, t) for phi in path(t)) / (STEPS + 1)) / ALPHA,
        order="reptile",
    ),
    *rows("G04", over_tasks(lambda t: grad_s(path(t)[-1], t)), order="reptile"),
    *rows("G06", at(ends(keep=0.98))),
    *rows(
        "G06",
        over_tasks(lambda t: jacobian(path(t, keep=0.98)[:-1], keep=0.98) @ grad_q(path(t, keep=0.98)[-1], t)),
        order=2,
    ),
    *rows("G07", np.clip(RIGHT, -0.1, 0.1), RIGHT * 0.25 / np.linalg.norm(RIGHT)),
    *rows(
        "G09",
        over_tasks(shifted),
        over_tasks(lambda t: jacobian([path(t)[-1]] * STEPS) @ FIRST[t]),
        over_tasks(lambda t: jacobian([THETA] * STEPS) @ FIRST[t]),
        over_tasks(lambda t: np.linalg.matrix_power(np.eye(2) - ALPHA * B, STEPS) @ FIRST[t]),
        *(BY_PRODUCTS[place] for place in range(len(BY_PRODUCTS)) if place not in (0, 2)),
        over_tasks(lambda t: FIRST[t] - ALPHA * sum(hessian(phi) for phi in path(t)[:-1]) @ FIRST[t]),
        over_tasks(lambda t: jacobian(path(t)[:-2]) @ FIRST[t]),
        over_tasks(lambda t: jacobian([THETA]) @ FIRST[t]),
        over_tasks(lambda t: jacobian([THETA]) @ FIRST[t]),
        order=2,
    ),
    *rows(
        "M07",
        averaged([0, 1, 1, 1]),
        averaged([1] * 4),
        averaged([0, 1 / 3, 1 / 3, 1 / 3]),
        averaged([1 / 4] * 4),
        at(lambda t: np.mean(path(t)[1:], axis=0)),
        at(lambda t: np.mean(path(t), axis=0)),
    ),
    Row(
        over_tasks(
            lambda t: (
                np.mean([jacobian(path(t)[:k]) for k in range(STEPS + 1)], axis=0) @ grad_q(np.mean(path(t), axis=0), t)
            )
        ),
        "M07",
        "at the mean of θ, …, φ_K",
        order=2,
    ),
    *rows(
        "G10",
        at(ends(rate=0.4 * ALPHA)),
        at(ends(rate=ALPHA / STEPS)),
        at(ends(rate=ALPHA / TASKS)),
        at(lambda t: at_rates(t, 1, 1 / 2, 1 / 3)[-1]),
        at(lambda t: at_rates(t, 1, 2**-0.5, 3**-0.5)[-1]),
        at(lambda t: path(t, rate=ALPHA / (t + 1))[-1]),
        at(lambda t: path(t, rate=ALPHA * (t + 1))[-1]),
    ),
    Row(
        over_tasks(lambda t: (THETA - at_rates(t, 1, 1 / 2, 1 / 3)[-1]) / ALPHA),
        "G10",
        "over k + 1 in step k",
        order="reptile",
    ),
]
#: Their answers are no such vectors; each has a test of its own below.
APART = {"A10", "D07", "F02", "F04", "F06", "G11"}


def suite_question(name, order=1):
    return pose(suite.problem(name, order=order))


def test_pairing_among_those_that_adapt_leaves_the_others_alone():
    """F05: where w1 alone adapts there is nothing to exchange it with; of all variables, there may be."""
    alone, ring = (
        CATALOGUE["F05"].variants[name](suite_question("inner-chain")) for name in ("of those that adapt", "")
    )
    right = pose(suite.problem("inner-chain", order=1))
    points = path_of(right.works[0])
    np.testing.assert_array_equal(alone.adapted[0], points)
    assert ring.adapted[0].shape == points.shape


def _of_b_alone(xp, data, v):
    return 0.5 * xp.mean((v["b"] - data["x"][..., 1]) ** 2, axis=-1)


@pytest.mark.parametrize("order", [1, 2])
def test_variables_after_one_that_is_unused(order):
    """Where S = mean ½(b − x)², a zip without None moves a by the gradient of b, and a loop that ends at None nothing.

    So a_K = a − Kα(b − x̄) with ∂a_K/∂b = −Kα, while b stays.
    """
    ignoring = replace(hand.FAMILY, inner_costs=_of_b_alone, inner_ignores=("a",))
    question = pose(hand.problem(order, family=ignoring))
    of_b = THETA[1] - hand.SUPPORT[:, :, 1].mean(axis=1)
    ends_of_zip = [THETA - STEPS * ALPHA * np.array([off, 0]) for off in of_b]
    slopes = [grad_q(end, t) for t, end in enumerate(ends_of_zip)]
    if order == 2:
        slopes = [g - STEPS * ALPHA * np.array([0, g[0]]) for g in slopes]
    by_name = in_update(Pairing("by name", "by name", without_none=True))
    for zipped in (CATALOGUE["F05"].variants[BY_PLACE](question), by_name(question)):
        np.testing.assert_allclose(np.concatenate(list(zipped.gradients.values())), np.mean(slopes, axis=0), rtol=1e-13)
    (ended,) = (CATALOGUE[id_].variants[name](question) for id_, name in OF_UNUSED if id_ == "F03")
    np.testing.assert_allclose(np.concatenate(list(ended.gradients.values())), at(lambda t: THETA), rtol=1e-13)


def test_an_answer_without_none_is_given_to_others():
    """Where Q ignores a, its gradient is None: b's comes first, and b has none; a and b by name are as they stand."""
    ignoring = replace(hand.FAMILY, outer_costs=_of_b_alone, outer_ignores=("a",))
    question = pose(hand.problem(1, family=ignoring))
    of_b = np.mean([path(t)[-1][1] - hand.QUERY[t, :, 1].mean() for t in range(TASKS)])
    without, by_name = (CATALOGUE["F05"].variants[name](question).gradients for name in IN_ANSWER)
    assert without["b"] is None
    np.testing.assert_allclose(without["a"], [of_b], rtol=1e-13)
    assert by_name["a"] is None
    np.testing.assert_allclose(by_name["b"], [of_b], rtol=1e-13)


def test_pairs_follow_the_orders_of_two_lists():
    """F05: the order of each list, and the names that are left out of the gradients' one, make the pairs."""
    spots = {"m": np.arange(1), "z": np.arange(3), "a": np.arange(2)}
    assert Pairing(gradients="by name").pairs(spots, []) == {"m": "a", "z": "m", "a": "z"}
    assert Pairing("by name", "by name", without_none=True).pairs(spots, ["a"]) == {"a": "m", "m": "z", "z": None}
    assert Pairing(gradients="in reverse").pairs(spots, []) == {"m": "a", "z": "z", "a": "m"}
    assert Pairing("by size").pairs(spots, []) == {"m": "m", "a": "z", "z": "a"}


def test_what_comes_of_unequal_shapes_is_open():
    """F05: a gradient of one number is broadcast into any variable; one of more numbers fits into none of fewer."""
    question, small_first = suite_question("quadratic"), in_update(Pairing("by size"))  # a () first, (1,), (3,), (2, 3)
    assert small_first(question).is_open  # the first, of one number, gets the last of six
    assert not in_update(Pairing(without_none=True))(question).is_open
    assert not small_first(suite_question("no-steps")).is_open
    with pytest.raises(ValueError, match="broadcast"):
        FaultySubject(small_first)(suite.problem("quadratic", order=1))


def path_of(work):
    """The point where a task's inner loop ends."""
    phi = work.theta
    for _ in range(work.view.steps):
        phi = phi - work.alpha * work.inner_gradient(phi)
    return phi


def question_of(row):
    return replace(pose(hand.problem(row.order, **row.options)), call=row.calls - 1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.fault} {row.variant} {row.order} {row.calls}")
def test_a_fault_answers_what_its_formula_says(row):
    """The gradients of a fault are those of its formula, worked out by hand, to the rounding of the differences."""
    found = CATALOGUE[row.fault].variants[row.variant](question_of(row)).gradients
    assert tuple(found) == KEYS
    if row.gradient is None:
        assert found == {"a": None, "b": None}
        return
    # B05 alone rests on a central difference with h = 1e-6, whose error is some 1e-10; the others on rounding.
    rtol = 1e-8 if row.fault == "B05" else 1e-13
    np.testing.assert_allclose(np.concatenate(list(found.values())), row.gradient, rtol=rtol)


def test_the_formulas_cover_the_catalogue():
    """Every variant of every fault has a formula here, or a test of its own: a new row needs one, too."""
    written = {(row.fault, row.variant) for row in ROWS}
    variants = {(id_, name) for id_, row in CATALOGUE.items() if id_ not in APART for name in row.variants}
    assert written == variants - OF_UNUSED - OF_OTHERS
    assert set(CATALOGUE) >= APART


def test_no_formula_is_right_by_chance():
    """On these tasks every formula is away from the right answer, so that the tests above could fail."""
    for row in ROWS:
        if row.gradient is not None and row.fault != "E02":  # E02's gradients are right; its test is below
            right = over_tasks(second) if row.order == 2 else RIGHT
            right = over_tasks(displacement) / ALPHA if row.order == "reptile" else right
            right = averaged([1 / 4] * 4) if row.options.get("average_across_steps") else right
            assert np.linalg.norm(row.gradient - right) > 1e-3 * np.linalg.norm(right), row


def test_an_axis_of_its_own_is_summed_away():
    """D07: a leaf of shape (1,) comes back as a number, one without axes as it is; or its axis stays, of length 1."""
    kept = CATALOGUE["D07"].variants["kept as an axis of length 1"](suite_question("mlp-tanh-mse")).gradients
    assert [leaf.shape for leaf in kept.values()] == [(1,), (1, 3), (1,), (1, 3), (1,), ()]
    found = CATALOGUE["D07"].variants[""](pose(hand.problem())).gradients
    assert [leaf.shape for leaf in found.values()] == [(), ()]
    np.testing.assert_allclose(list(found.values()), RIGHT, rtol=1e-13)


def test_an_ignored_variable_has_no_gradient():
    """F02: None for what the outer cost ignores, and the right numbers for the rest."""
    ignoring = replace(hand.FAMILY, outer_ignores=("b",))
    found = CATALOGUE["F02"].variants[""](pose(hand.problem(family=ignoring))).gradients
    assert found["b"] is None
    np.testing.assert_allclose(found["a"], RIGHT[:1], rtol=1e-13)


def test_exchanged_selections_give_the_gradient_of_the_other_set():
    """F04: where a adapts and b is asked for, b adapts, and what is asked for gets nothing."""
    selections = {"inner_v": Selection("a", meant=("a",)), "outer_v": Selection("b", meant=("b",))}
    found = CATALOGUE["F04"].variants[""](pose(hand.problem(**selections)))
    assert {chain: leaf.tolist() for chain, leaf in found.gradients.items()} == {"b": [0.0]}
    overlapping = {**selections, "outer_v": Selection(["a", "b"], meant=("a", "b"))}
    found = CATALOGUE["F04"].variants[""](pose(hand.problem(**overlapping))).gradients
    # Exchanged, both adapt and a alone has a gradient.
    np.testing.assert_allclose(np.concatenate(list(found.values())), RIGHT * [1, 0], rtol=1e-13, atol=1e-15)


def test_what_does_not_adapt_has_no_gradient():
    """F06: where a alone adapts, a has the gradient at the end of that path, and b none."""
    found = CATALOGUE["F06"].variants[""](pose(hand.problem(inner_v=Selection("a", meant=("a",))))).gradients
    assert found["b"] is None
    np.testing.assert_allclose(found["a"], at(one_kept)[:1], rtol=1e-13)


def test_a_product_by_differences_has_the_error_of_its_formula():
    """A10: ∇S is quadratic here, so that central differences are exact, and one-sided ones are off by εcu²/2."""
    question = pose(hand.problem(order=2))
    for variant in CATALOGUE["A10"].variants.values():
        found = np.concatenate(list(variant(question).gradients.values()))
        np.testing.assert_allclose(found, over_tasks(second), rtol=1e-10)

    def one_sided(t, epsilon=0.01):
        u = FIRST[t]
        for phi in reversed(path(t)[:-1]):
            u = u - ALPHA * (hessian(phi) @ u + epsilon * hand.CUBE / 2 * u**2)
        return u

    found = order.by_differences(0.01, relative=False, one_sided=True)(question).gradients
    np.testing.assert_allclose(np.concatenate(list(found.values())), over_tasks(one_sided), rtol=1e-10)
    curved = suite_question("mlp-tanh-mse", 2)
    right = np.concatenate([np.ravel(leaf) for leaf in order.right(curved).gradients.values()])
    for variant in CATALOGUE["A10"].variants.values():
        found = np.concatenate([np.ravel(leaf) for leaf in variant(curved).gradients.values()])
        assert 1e-9 < np.linalg.norm(found - right) / np.linalg.norm(right) < 1e-3


def test_a_lower_precision_inside():
    """G11: float32 inside is off by some float32 roundings, whatever the precision that was asked."""
    found = CATALOGUE["G11"].variants[""](pose(hand.problem())).gradients
    off = np.linalg.norm(np.concatenate(list(found.values())) - RIGHT) / np.linalg.norm(RIGHT)
    assert 2.0**-28 < off < 2.0**-18


def test_half_precision_inside():
    """G11: every number that comes out is one of half precision, and off by some of its roundings."""
    found = np.concatenate(list(CATALOGUE["G11"].variants["half precision"](pose(hand.problem())).gradients.values()))
    np.testing.assert_array_equal(found.astype(np.float16), found)
    assert 2.0**-15 < np.linalg.norm(found - RIGHT) / np.linalg.norm(RIGHT) < 2.0**-6


def test_the_lowest_query_cost_ends_the_loop():
    """B12: of seven steps task 2 takes five; where θ is best, there are none, or at least one."""
    whole, after = (CATALOGUE["B12"].variants[f"up to the lowest query cost{words}"] for words in ("", " after a step"))
    ends_at = [int(np.argmin([loss(phi, t) for phi in path(t, steps=7)])) for t in range(TASKS)]
    assert ends_at == [7, 5, 7]
    for answer in (whole, after):
        found = np.concatenate(list(answer(pose(hand.problem(steps=7))).gradients.values()))
        np.testing.assert_allclose(found, at(lambda t: path(t, steps=ends_at[t])[-1]), rtol=1e-13)
    question = suite_question("one-step")
    none, one, right = (answer(question).gradients["w1"] for answer in (whole, after, order.right))
    np.testing.assert_array_equal(one, right)
    assert np.linalg.norm(none - right) > 1e-3 * np.linalg.norm(right)


def test_the_outer_gradient_at_the_mean_over_tasks():
    """M07: mean ∇Q at the mean of φ_K over the tasks, and at second order the mean of their Jacobians times that."""
    curved = replace(hand.FAMILY, outer_costs=hand.cost_of(B, hand.CUBE))
    middle = over_tasks(lambda t: path(t)[-1])
    first = at(lambda t: middle) + hand.CUBE / 2 * middle**2
    for step, expected in ((1, first), (2, over_tasks(lambda t: jacobian(path(t)[:-1])) @ first)):
        answer = CATALOGUE["M07"].variants["at the mean of φ_K over the tasks"]
        found = answer(pose(hand.problem(step, family=curved))).gradients
        np.testing.assert_allclose(np.concatenate(list(found.values())), expected, rtol=1e-13)


@pytest.mark.parametrize(("variant", "dtype"), [("single", np.float32), ("half", np.float16)])
def test_a_rounded_end_leaves_the_loop_as_it_is(variant, dtype):
    """G11: ∇Q at φ_K in a lower precision; averaged, at every φ_k in it, and the Jacobians are those of the loop."""
    answer = CATALOGUE["G11"].variants[f"φ_K alone, in {variant} precision"]

    def rounded(phi):
        return phi.astype(dtype).astype(np.float64)

    def gradients(order, **options):
        return np.concatenate(list(answer(pose(hand.problem(order, **options))).gradients.values()))

    np.testing.assert_allclose(gradients(1), at(lambda t: rounded(path(t)[-1])), rtol=1e-13)
    through = over_tasks(lambda t: second(t, at=rounded(path(t)[-1])))
    np.testing.assert_allclose(gradients(2), through, rtol=1e-13)
    every = over_tasks(lambda t: np.mean([grad_q(rounded(phi), t) for phi in path(t)], axis=0))
    np.testing.assert_allclose(gradients(1, **AVERAGE), every, rtol=1e-13)


@pytest.mark.parametrize(("fault", "order"), [("E02", 1), ("A02", 2)])
def test_what_is_left_in_the_callers_variables(fault, order):
    """E02 and A02 leave φ_K of the last task in the caller's variables; other faults leave nothing."""
    found = CATALOGUE[fault].variants[""](pose(hand.problem(order)))
    np.testing.assert_allclose(found.overwritten, path(TASKS - 1)[-1], rtol=1e-13)
    assert CATALOGUE["B01"].variants[""](pose(hand.problem(order))).overwritten is None


@pytest.mark.parametrize(("fault", "steps"), [("A05", 0), ("B08", 1), ("B08", 0)])
def test_too_few_steps_to_lose_a_gradient(fault, steps):
    """A05 needs an inner step and B08 two of them: with fewer the gradients are right."""
    found = CATALOGUE[fault].variants[""](pose(hand.problem(steps=steps))).gradients
    expected = at(ends(steps=steps))
    np.testing.assert_allclose(np.concatenate(list(found.values())), expected, rtol=1e-13)


COSTS = [
    ("B01", lambda t: THETA, hand.QUERY),
    ("C01", ends(), hand.SUPPORT),
    ("D04", ends(), hand.QUERY),
    ("G02", ends(rate=-ALPHA), hand.QUERY),
]


@pytest.mark.parametrize(("fault", "point", "x"), COSTS)
def test_the_cost_and_the_adapted_variables_of_a_fault(fault, point, x):
    """A fault's cost is Q where it takes the outer gradient, D04's the right one, and φ_K is told for each task."""
    found = CATALOGUE[fault].variants[""](pose(hand.problem()))
    rows_ = [point(t) - x[t] for t in range(TASKS)]
    assert found.cost == pytest.approx(np.mean([0.5 * np.mean(np.sum(off @ hand.B * off, axis=1)) for off in rows_]))
    np.testing.assert_allclose(found.adapted, [point(t) for t in range(TASKS)], rtol=1e-13)


def test_both_ways_to_derive_agree():
    """Predictions by complex steps and subjects by autograd are the same answers, and float32 stays float32."""
    given, plain = hand.problem(), pose(hand.problem())
    for fault in ("B03", "C03", "E01", "G06"):
        answer = CATALOGUE[fault].variants[""]
        double, single = answer(pose_in(given, np.float64)), answer(pose_in(given, np.float32))
        for chain, leaf in answer(plain).gradients.items():
            np.testing.assert_allclose(double.gradients[chain], leaf, rtol=1e-12)
            assert single.gradients[chain].dtype == np.float32


def test_a_fault_that_diverges_does_so_silently():
    """Ascent overflows in single precision, and an answer comes back without a warning."""
    _, gradients, _ = FaultySubject(CATALOGUE["G02"].variants[""])(
        suite.problem("per-task", framework="numpy", dtype="float32")
    )
    assert all(leaf.dtype == np.float32 for leaf in gradients.values())


def test_a_faulty_subject_counts_its_calls():
    """D05 as a subject returns g, then 2g, for each problem and precision by itself."""
    subject = FaultySubject(CATALOGUE["D05"].variants[""])
    first, again = (subject(hand.problem())[1] for _ in range(2))
    np.testing.assert_allclose(np.concatenate(list(first.values())), RIGHT, rtol=1e-13)
    np.testing.assert_allclose(np.concatenate(list(again.values())), 2 * RIGHT, rtol=1e-13)
    other = subject(suite.problem("bilinear", framework="numpy"))[1]
    fresh = FaultySubject(CATALOGUE["D05"].variants[""])(suite.problem("bilinear", framework="numpy"))[1]
    np.testing.assert_array_equal(other["weight"], fresh["weight"])


def test_a_faulty_subject_writes_into_the_callers_variables():
    """E02 as a subject leaves φ_K of the last task in the caller's arrays, and B01 leaves them alone."""
    changed, kept = hand.problem(), hand.problem()
    FaultySubject(CATALOGUE["E02"].variants[""])(changed)
    FaultySubject(CATALOGUE["B01"].variants[""])(kept)
    left = np.concatenate(list(changed.variables.values()))
    np.testing.assert_allclose(left, path(TASKS - 1)[-1], rtol=1e-13)
    np.testing.assert_array_equal(np.concatenate(list(kept.variables.values())), THETA)


@pytest.mark.parametrize("size", [3, 3000])
def test_points_are_told_apart_by_their_numbers(size):
    """Equal points have equal marks, others have not; a large one cannot change behind its mark."""
    point = np.arange(float(size))
    other = point.copy()
    assert mark(point) == mark(other) == mark(point)
    other = other + np.eye(1, size)[0] * 2.0**-40
    assert mark(point) != mark(other)
    if size > 3:
        with pytest.raises(ValueError, match="read-only"):
            point[0] = 1.0
    del point
    assert mark(np.full(size, 2.0)) == mark(np.full(size, 2.0))  # perhaps where the first point was
