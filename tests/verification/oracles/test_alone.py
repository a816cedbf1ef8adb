"""What each oracle alone catches: three faults that the two others, and every comparison with the reference, miss."""

from __future__ import annotations

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.core import primitive_vjps
from autograd.extend import defvjp

import refmaml
from verification.faults.question import combined, pose
from verification.faults.work import Work, by_complex_step, solve
from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.judging.truth import from_oracles, from_reference
from verification.oracles.finite_differences import complex_step_gradients
from verification.problems import suite
from verification.problems.problem import Problem
from verification.subjects import Reply, Subject, ask

STEPS = {1: refmaml.fomaml_step, 2: refmaml.maml_step}


def caught_by(problem: Problem, reply: Reply) -> list[str]:
    """Return the sources of truth by which a reply is wrong."""
    standard, every = Standard(problem), [*from_oracles(problem), from_reference(problem)]
    return [truth.source for truth in every if compare(standard, "float64", reply, [truth], Declared())[0]]


def answered(problem: Problem) -> Reply:
    """Return the answer of our own step."""
    return ask(Subject(STEPS[problem.order], "step", "autograd", "refmaml"), problem.native("autograd"))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", ["mlp-tanh-mse", "quadratic"])
def test_a_right_step_is_caught_by_none(name, order):
    """Where nothing is planted, no source of truth objects."""
    problem = suite.problem(name, order=order)
    assert caught_by(problem, answered(problem)) == []


@pytest.mark.parametrize("order", [1, 2])
def test_differences_alone_catch_a_wrong_derivative_of_the_framework(monkeypatch, order):
    """A derivative rule of autograd that is off by a millionth is in the step, in the Jacobians, and not in values."""
    problem = suite.problem("mlp-tanh-mse", order=order)
    right = answered(problem)
    monkeypatch.setitem(primitive_vjps, anp.tanh, primitive_vjps[anp.tanh])
    defvjp(anp.tanh, lambda ans, _: lambda g: g * (1 + 1e-6 - ans**2))
    reply = answered(problem)
    assert any(np.any(reply.gradients[chain] != leaf) for chain, leaf in right.gradients.items())
    assert caught_by(problem, reply) == ["finite differences"]


def by_four_points(costs, points):
    """Return the Hessian-vector products at some points by central differences of fourth order."""
    points = np.stack(points)
    step, count, size = 2.0**-10, *points.shape
    offsets = step * np.array([1.0, -1.0, 2.0, -2.0])
    probes = points[:, None, None] + offsets[:, None, None] * np.eye(size)
    slopes = complex_step_gradients(costs, probes.reshape(-1, size)).reshape(count, 4, size, size)
    hessians = (8 * (slopes[:, 0] - slopes[:, 1]) - (slopes[:, 2] - slopes[:, 3])) / (12 * step)
    return [hessian.T.__matmul__ for hessian in hessians]


def test_jacobians_alone_catch_products_by_differences():
    """Hessian-vector products by differences are right to twelve digits or more, which differences cannot doubt."""
    problem = suite.problem("mlp-tanh-mse", order=2)
    works = [Work(view, by_complex_step, by_four_points) for view in problem.views(np)]
    found = combined(replace(pose(problem), works=works), [solve(work, 2) for work in works])
    reply = Reply(found.cost, found.gradients, dict(found.gradients))
    assert caught_by(problem, reply) == ["explicit Jacobians", "the reference"]


@pytest.mark.parametrize("order", [1, 2])
def test_the_closed_form_alone_catches_a_cost_that_is_not_its_formula(order):
    """The closed form takes the matrices, and every other way calls the cost: one that is off misleads them alike."""
    problem = suite.problem("quadratic", order=order)
    costs = problem.family.inner_costs
    family = replace(problem.family, inner_costs=lambda xp, data, v: (1 + 1e-6) * costs(xp, data, v))
    off = replace(problem, family=family)
    assert caught_by(off, answered(off)) == ["closed form"]
