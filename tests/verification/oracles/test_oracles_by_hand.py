"""The oracles against numbers worked by hand. No helper is imported; every number is exact in binary.

One coordinate. S = (φ − 1)², Q = 2 (φ + 1)², θ = 3, α = ¼. Then ∇S = 2 (φ − 1), ∇Q = 4 (φ + 1), and a step maps φ − 1
to ½ (φ − 1), so that its Jacobian is ½:

    φ_0 = 3      S = 4     Q = 32      ∇Q = 16     Reptile (3 − 3)/¼ = 0
    φ_1 = 2      S = 1     Q = 18      ∇Q = 12     Reptile (3 − 2)/¼ = 4       second order ½ · 12 = 6
    φ_2 = 3/2    S = ¼     Q = 25/2    ∇Q = 10     Reptile (3 − 3/2)/¼ = 6     second order ¼ · 10 = 5/2

Two coordinates. S = ½ φᵀ A φ with A = [2 1; 1 2], Q = ½ ((φ_x − 1)² + 3 (φ_y − 1)²), θ = (1, 2), α = (½, ¼):

    A θ = (4, 5),            φ_1 = (1 − 2, 2 − 5/4) = (−1, ¾)
    A φ_1 = (−5/4, ½),       φ_2 = (−1 + 5/8, ¾ − 1/8) = (−3/8, 5/8)
    A φ_2 = (−1/8, 7/8)

    at φ_0: S = ½ (4 + 10) = 7,             Q = ½ (0 + 3) = 3/2,              ∇Q = (0, 3)
    at φ_1: S = ½ (5/4 + 3/8) = 13/16,      Q = ½ (4 + 3/16) = 67/32,         ∇Q = (−2, −¾)
    at φ_2: S = ½ (3/64 + 35/64) = 19/64,   Q = ½ (121/64 + 27/64) = 37/32,   ∇Q = (−11/8, −9/8)

The Jacobian of a step is J = I − diag(α) A = [0 −½; −¼ ½], so that Jᵀ (a, b) = (−b/4, −a/2 + b/2):

    Jᵀ (−2, −¾) = (3/16, 5/8)
    Jᵀ (−11/8, −9/8) = (9/32, 1/8),         Jᵀ (9/32, 1/8) = (−1/32, −5/64)

Only the first of the two coordinates adapts. φ_1 = (−1, 2), Q = ½ (4 + 3) = 7/2, ∇Q = (−2, 3); the Jacobian is
[0 −½; 0 1] and its transpose takes ∇Q to (0, 1 + 3) = (0, 4).
"""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest

from verification.oracles import Quadratic, TaskView, closed_form, finite_differences, second_order
from verification.oracles.updates import InnerUpdate, RatesByStep, WeightDecay

ORACLES = [
    pytest.param(closed_form, np, id="closed_form"),
    pytest.param(finite_differences, np, id="finite_differences"),
    pytest.param(second_order, anp, id="second_order"),
]


def scalar(xp, steps, *, average=False):
    return TaskView(
        theta=np.array([3.0]),
        inner_costs=lambda points: (points[:, 0] - 1) ** 2,
        outer_costs=lambda points: 2 * (points[:, 0] + 1) ** 2,
        inner_mask=np.array([1.0]),
        outer_mask=np.array([1.0]),
        rate=np.array([0.25]),
        steps=steps,
        average=average,
        quadratics=(
            Quadratic(np.array([[2.0]]), np.array([1.0])),
            Quadratic(np.array([[4.0]]), np.array([-1.0])),
        ),
    )


def plane(xp, steps, *, inner=(1.0, 1.0), outer=(1.0, 1.0)):
    return TaskView(
        theta=np.array([1.0, 2.0]),
        inner_costs=lambda p: p[:, 0] ** 2 + p[:, 0] * p[:, 1] + p[:, 1] ** 2,
        outer_costs=lambda p: 0.5 * (p[:, 0] - 1) ** 2 + 1.5 * (p[:, 1] - 1) ** 2,
        inner_mask=np.array(inner),
        outer_mask=np.array(outer),
        rate=np.array([0.5, 0.25]),
        steps=steps,
        quadratics=(
            Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.zeros(2)),
            Quadratic(np.array([[1.0, 0.0], [0.0, 3.0]]), np.ones(2)),
        ),
    )


def assert_solution(solution, cost, gradient, adapted):
    """Cost and φ_K to a few roundings, the gradient to the oracle's own error, which itself has to be small."""
    assert abs(solution.cost - cost) <= 8 * 2.0**-52 * abs(cost)
    assert np.all(np.abs(solution.adapted - adapted) <= 8 * 2.0**-52 * np.linalg.norm(adapted))
    assert np.all(np.abs(solution.gradient - gradient) <= solution.error)
    assert np.all(solution.error <= 1e-10 * (1 + np.linalg.norm(gradient)))


SCALAR = [
    (0, 1, 32.0, 16.0, 3.0),
    (1, 1, 18.0, 12.0, 2.0),
    (2, 1, 12.5, 10.0, 1.5),
    (0, 2, 32.0, 16.0, 3.0),
    (1, 2, 18.0, 6.0, 2.0),
    (2, 2, 12.5, 2.5, 1.5),
    (0, "reptile", 4.0, 0.0, 3.0),
    (1, "reptile", (4 + 1) / 2, 4.0, 2.0),
    (2, "reptile", (4 + 1 + 0.25) / 3, 6.0, 1.5),
]


@pytest.mark.parametrize(("oracle", "xp"), ORACLES)
@pytest.mark.parametrize(("steps", "order", "cost", "gradient", "adapted"), SCALAR)
def test_one_coordinate(oracle, xp, steps, order, cost, gradient, adapted):
    """On one coordinate each oracle gives the numbers worked above, at every order and step."""
    assert_solution(oracle.solve(scalar(xp, steps), order), cost, [gradient], [adapted])


@pytest.mark.parametrize(("oracle", "xp"), ORACLES)
@pytest.mark.parametrize(("order", "gradient"), [(1, (16 + 12 + 10) / 3), (2, (16 + 6 + 2.5) / 3)])
def test_average_over_the_points_of_the_inner_loop(oracle, xp, order, gradient):
    """Averaged over φ_0, φ_1 and φ_2, cost and gradient are the means of the columns above."""
    solution = oracle.solve(scalar(xp, 2, average=True), order)
    assert_solution(solution, (32 + 18 + 12.5) / 3, [gradient], [1.5])


PLANE = [
    (0, 1, 3 / 2, (0, 3), (1, 2)),
    (1, 1, 67 / 32, (-2, -3 / 4), (-1, 3 / 4)),
    (2, 1, 37 / 32, (-11 / 8, -9 / 8), (-3 / 8, 5 / 8)),
    (0, 2, 3 / 2, (0, 3), (1, 2)),
    (1, 2, 67 / 32, (3 / 16, 5 / 8), (-1, 3 / 4)),
    (2, 2, 37 / 32, (-1 / 32, -5 / 64), (-3 / 8, 5 / 8)),
    (0, "reptile", 7.0, (0, 0), (1, 2)),
    (1, "reptile", (7 + 13 / 16) / 2, (4, 5), (-1, 3 / 4)),
    (2, "reptile", (7 + 13 / 16 + 19 / 64) / 3, (11 / 4, 11 / 2), (-3 / 8, 5 / 8)),
]


@pytest.mark.parametrize(("oracle", "xp"), ORACLES)
@pytest.mark.parametrize(("steps", "order", "cost", "gradient", "adapted"), PLANE)
def test_two_coordinates_with_a_rate_each(oracle, xp, steps, order, cost, gradient, adapted):
    """On two coupled coordinates with their own learning rates each oracle gives the numbers worked above."""
    assert_solution(oracle.solve(plane(xp, steps), order), cost, gradient, adapted)


@pytest.mark.parametrize(("oracle", "xp"), ORACLES)
@pytest.mark.parametrize(
    ("order", "outer", "gradient"),
    [
        (1, (1.0, 1.0), (-2, 3)),
        (1, (0.0, 1.0), (0, 3)),
        (1, (1.0, 0.0), (-2, 0)),
        (2, (1.0, 1.0), (0, 4)),
        (2, (0.0, 1.0), (0, 4)),
        (2, (1.0, 0.0), (0, 0)),
    ],
)
def test_masks(oracle, xp, order, outer, gradient):
    """A coordinate outside I stays where it is, and one outside O has no gradient, whichever order."""
    solution = oracle.solve(plane(xp, 1, inner=(1.0, 0.0), outer=outer), order)
    assert_solution(solution, 7 / 2, gradient, (-1, 2))


def test_what_goes_back_through_rates_of_single_steps():
    """Rates alone, d = r_k g, and after or before a decay, d = g + λφ: the chain rule, worked by hand."""
    rates, decay = RatesByStep(factors=(np.array([0.5, 4.0]), 2.0)), WeightDecay(strength=0.25)
    g, phi, back = np.array([1.0, -2.0]), np.array([8.0, 4.0]), np.array([3.0, 5.0])
    for parts, k, to_g, to_phi in (
        ((rates,), 0, [1.5, 20.0], [0.0, 0.0]),
        ((rates,), 1, [6.0, 10.0], [0.0, 0.0]),
        ((rates,), 7, [6.0, 10.0], [0.0, 0.0]),
        ((decay, rates), 0, [1.5, 20.0], [0.375, 5.0]),  # r (g + λφ)
        ((rates, decay), 0, [1.5, 20.0], [0.75, 1.25]),  # r g + λφ
    ):
        update = InnerUpdate(parts)
        states = update.begin(phi)
        arrived = update.pull_back(states, g, phi, k, back, states)
        np.testing.assert_array_equal(arrived[0], to_g)
        np.testing.assert_array_equal(arrived[1], to_phi)
