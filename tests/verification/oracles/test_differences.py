"""Extrapolated differences and complex steps on functions whose derivatives are known."""

from __future__ import annotations

import numpy as np
import pytest

from verification.oracles.finite_differences import complex_step_gradients, extrapolated_gradient

U = 2.0**-53
SMOOTH = {
    "sine": (np.sin, np.cos),
    "exponential": (np.exp, np.exp),
    "fifth power": (lambda x: x**5, lambda x: 5 * x**4),
    "logistic": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "wavy": (lambda x: np.sin(10 * x), lambda x: 10 * np.cos(10 * x)),
    "large and flat": (lambda x: 1e6 + np.tanh(x), lambda x: 1 / np.cosh(x) ** 2),
    "reciprocal": (lambda x: 1 / (x + 2.5), lambda x: -1 / (x + 2.5) ** 2),
}
POINT = np.array([-1.25, -0.4, 0.3, 1.1])


@pytest.mark.parametrize("name", SMOOTH)
def test_the_error_estimate_covers_the_true_error(name):
    """On smooth functions the estimate is at least the true error, and no more than a million roundings of f."""
    function, derivative = SMOOTH[name]
    gradient, error = extrapolated_gradient(lambda points: np.sum(function(points), axis=1), POINT)
    size = np.sum(np.abs(function(POINT))) + np.max(np.abs(derivative(POINT)))
    assert np.all(np.abs(gradient - derivative(POINT)) <= error)
    assert np.all(error <= 1e6 * U * size)


def test_a_gradient_of_several_coordinates_keeps_them_apart():
    """Each coordinate gets its own derivative: of x y² z³ at (2, 3, ½) they are 9/8, 3/2 and 27/2."""
    point = np.array([2.0, 3.0, 0.5])
    gradient, error = extrapolated_gradient(lambda p: p[:, 0] * p[:, 1] ** 2 * p[:, 2] ** 3, point)
    assert np.all(np.abs(gradient - [9 / 8, 3 / 2, 27 / 2]) <= error)


@pytest.mark.parametrize("distance", [2.0**-9 * 1.3, 0.004, 0.01, 0.02, 0.04])
def test_a_kink_within_the_table_is_covered_by_the_estimate(distance):
    """Where the steps reach over a kink on one side, the estimate covers the true error all the same."""
    gradient, error = extrapolated_gradient(lambda p: np.abs(p[:, 0] - distance) + p[:, 0] ** 3, np.array([0.0]))
    assert abs(gradient[0] + 1) <= error[0]


@pytest.mark.parametrize("distance", [1e-4, 2e-4, 5e-4])
def test_a_kink_nearer_than_every_step_makes_the_estimate_large(distance):
    """Nearer than the finest step no difference sees the right slope; the estimate then is far above rounding."""
    _, smooth = extrapolated_gradient(lambda p: p[:, 0] + p[:, 0] ** 3, np.array([0.0]))
    gradient, error = extrapolated_gradient(lambda p: np.abs(p[:, 0] - distance) + p[:, 0] ** 3, np.array([0.0]))
    assert abs(gradient[0] + 1) > 0.1
    assert error[0] > 1e-5 > 1e6 * smooth[0]


def test_noise_in_the_function_is_no_part_of_the_answer():
    """A function that is noisy at 1e-8 gets an estimate of at least that size."""
    rng = np.random.default_rng(0)
    _, error = extrapolated_gradient(lambda p: p[:, 0] ** 2 + 1e-8 * rng.choice([-1.0, 1.0], len(p)), np.array([1.0]))
    assert error[0] > 1e-8


def test_terms_that_cancel_in_the_function_leave_their_rounding():
    """Of p² + 10⁶ − 10⁶ the rounding is that of 10⁶: two neighbours in the table that agree by chance mean nothing."""
    points = np.random.default_rng(1).uniform(0.5, 1.0, 300)
    found = [extrapolated_gradient(lambda p: (p[:, 0] ** 2 + 1e6) - 1e6, np.array([x]), moves=1e6) for x in points]
    assert all(abs(gradient[0] - 2 * x) <= error[0] for x, (gradient, error) in zip(points, found, strict=True))
    # 2 u 10⁶/h at the widest steps, h ≥ 2⁻⁵, is 64 u 10⁶; one extrapolation makes it half as much again, and what
    # neighbours differ by is twice that at most.
    assert max(error[0] for _, error in found) < 256 * U * 1e6


def test_values_that_are_not_finite_leave_an_infinite_estimate():
    """Where the function is NaN nothing is known, and the estimate says so."""
    _, error = extrapolated_gradient(lambda p: np.full(len(p), np.nan), np.array([1.0, 2.0]))
    assert np.all(np.isinf(error))


@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "reciprocal"])
def test_complex_steps_are_exact_to_rounding(name):
    """A complex step has no cancellation: the derivative is right to a few roundings, even of 1e6 + tanh x."""
    function, derivative = SMOOTH[name]
    gradients = complex_step_gradients(lambda points: np.sum(function(points), axis=1), POINT[None])
    assert np.all(np.abs(gradients[0] - derivative(POINT)) <= 32 * U * (1 + np.abs(derivative(POINT))))


def test_complex_steps_treat_points_as_rows():
    """Each row of points gets its own gradient: of x² y they are (2 x y, x²)."""
    points = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]])
    gradients = complex_step_gradients(lambda p: p[:, 0] ** 2 * p[:, 1], points)
    np.testing.assert_array_equal(gradients, [[4.0, 1.0], [-6.0, 9.0], [4.0, 0.25]])
