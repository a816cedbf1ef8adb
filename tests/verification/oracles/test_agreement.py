"""The oracles against each other, and each of them caught when it is wrong."""

from __future__ import annotations

import itertools
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive

from verification.judging.truth import from_oracles
from verification.oracles import Quadratic, TaskView, closed_form, finite_differences, second_order
from verification.orders import ORDERS
from verification.problems import suite

pytestmark = pytest.mark.once  # arithmetic

EVERY = [(order, name) for order in ORDERS for name in suite.names(order, plain=False)]


@pytest.mark.parametrize(("order", "name"), EVERY)
def test_oracles_agree_on_every_built_in_problem(order, name):
    """On each problem the answers differ by no more than the oracles' own error estimates, and those are small."""
    found = from_oracles(suite.problem(name, order=order))
    assert [answer.source for answer in found[:2]] == ["finite differences", "explicit Jacobians"]
    assert len(found) == (3 if suite.problem(name).family.name == "quadratic" else 2)
    for one, other in itertools.combinations(found, 2):
        assert one.answer.cost == pytest.approx(other.answer.cost, rel=1e-13)
        for chain, gradient in one.answer.gradients.items():
            apart = np.linalg.norm(gradient - other.answer.gradients[chain])
            assert apart <= one.errors[chain] + other.errors[chain]
            assert one.errors[chain] <= 1e-8
        for chain, adapted in one.answer.adapted.items():
            assert np.linalg.norm(adapted - other.answer.adapted[chain]) <= 1e-13 * np.linalg.norm(adapted)


@pytest.mark.parametrize("name", ["mlp-tanh-mse", "quadratic", "leaf-rates"])
def test_order_two_differs_from_order_one_by_far_more_than_the_errors(name):
    """The agreement above is no matter of wide error estimates: the two orders are told apart by all oracles."""
    found = [from_oracles(suite.problem(name, order=order)) for order in (1, 2)]
    for first, second in zip(*found, strict=True):
        apart = [np.linalg.norm(first.answer.gradients[c] - leaf) for c, leaf in second.answer.gradients.items()]
        assert max(apart) > 1e6 * max(*first.errors.values(), *second.errors.values())


def smooth(xp, **changes):
    """Return a task with S = Σ sin(φ)·φ and Q = Σ exp(φ/2), in a namespace."""
    view = TaskView(
        theta=np.array([0.75, -0.5]),
        inner_costs=lambda points: xp.sum(xp.sin(points) * points, axis=1),
        outer_costs=lambda points: xp.sum(xp.exp(points / 2), axis=1),
        inner_mask=np.ones(2),
        outer_mask=np.ones(2),
        rate=np.full(2, 0.125),
        steps=2,
    )
    return replace(view, **changes)


def apart(one, other):
    """Return the largest difference of two gradients, in units of the sum of their error estimates."""
    return np.max(np.abs(one.gradient - other.gradient) / (one.error + other.error))


@pytest.mark.parametrize("order", [1, 2, "reptile"])
def test_two_oracles_agree_where_nothing_is_wrong(order):
    """The task that the faults below are planted in has one answer."""
    one, other = finite_differences.solve(smooth(np), order), second_order.solve(smooth(anp), order)
    assert apart(one, other) <= 1


@pytest.mark.parametrize("order", [1, 2])
def test_a_cost_that_is_not_analytic_is_caught(order):
    """|φ| of a complex number has no complex derivative: finite differences are then wrong, and seen to be."""
    broken = smooth(np, outer_costs=lambda points: np.sum(np.exp(np.abs(points) / 2), axis=1))
    right = smooth(anp, outer_costs=lambda points: anp.sum(anp.exp(anp.abs(points) / 2), axis=1))
    one, other = finite_differences.solve(broken, order), second_order.solve(right, order)
    assert (apart(one, other) > 1e6) == (order == 1)  # the meta-objective is differenced in real numbers


def test_an_inner_cost_that_is_not_analytic_is_caught():
    """An inner cost without a complex derivative moves the iterates of finite differences alone."""
    broken = smooth(np, inner_costs=lambda points: np.sum(np.abs(points) ** 2, axis=1))
    right = smooth(anp, inner_costs=lambda points: anp.sum(points**2, axis=1))
    assert apart(finite_differences.solve(broken, "reptile"), second_order.solve(right, "reptile")) > 1e6


def _sine_with_cosine_as(derivative):
    sine = primitive(np.sin)
    defvjp(sine, lambda _, x: lambda g: g * derivative(x))
    return sine


def test_a_wrong_hessian_is_caught():
    """A derivative rule whose own derivative has the wrong sign leaves order 1 right and order 2 wrong."""
    cosine = primitive(np.cos)
    defvjp(cosine, lambda _, x: lambda g: g * anp.sin(x))  # should be −sin
    sine = _sine_with_cosine_as(cosine)
    broken = smooth(anp, inner_costs=lambda points: anp.sum(sine(points) * points, axis=1))
    assert apart(finite_differences.solve(smooth(np), 1), second_order.solve(broken, 1)) <= 1
    assert apart(finite_differences.solve(smooth(np), 2), second_order.solve(broken, 2)) > 1e6


def test_a_wrong_gradient_is_caught():
    """A derivative rule with the wrong sign makes the explicit Jacobians wrong at every order."""
    sine = _sine_with_cosine_as(lambda x: -anp.cos(x))
    broken = smooth(anp, inner_costs=lambda points: anp.sum(sine(points) * points, axis=1))
    for order in (1, 2, "reptile"):
        assert apart(finite_differences.solve(smooth(np), order), second_order.solve(broken, order)) > 1e6


@pytest.mark.parametrize("order", [1, 2, "reptile"])
@pytest.mark.parametrize("fault", ["matrix", "centre", "sign", "exchanged"])
def test_a_wrong_closed_form_is_caught(order, fault):
    """A quadratic that is not the cost is caught, be it the matrix, the centre, the sign or inner for outer."""
    problem = suite.problem("quadratic", order=order)
    view, other = problem.views(np)[0], problem.views(anp)[0]
    inner, outer = view.quadratics
    wrong = {
        "matrix": (Quadratic(inner.matrix * 1.000001, inner.centre), outer),
        "centre": (Quadratic(inner.matrix, inner.centre + 1e-6), outer),
        "sign": (Quadratic(-inner.matrix, inner.centre), outer),
        "exchanged": (outer, inner),
    }[fault]
    expected = second_order.solve(other, order)
    assert apart(closed_form.solve(view, order), expected) <= 1
    assert apart(closed_form.solve(replace(view, quadratics=wrong), order), expected) > 1e3


def test_closed_form_refuses_other_costs():
    """Asked for a task without quadratic costs, the closed form says so instead of answering."""
    assert not closed_form.applies(smooth(np))
    with pytest.raises(ValueError, match="expected a task with quadratic costs"):
        closed_form.solve(smooth(np), 1)
