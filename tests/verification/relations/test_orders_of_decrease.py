"""Orders of decrease and Taylor tests, on functions whose order is known."""

from __future__ import annotations

import numpy as np
import pytest

from verification.relations.taylor import fit_order, order_in_alpha, taylor_test

pytestmark = pytest.mark.once  # arithmetic

RATES = [0.1 / 2**i for i in range(7)]
QUIET = [1e-14] * 7


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_power_with_a_correction_has_its_order(order: int) -> None:
    """α to a whole power is found beside a correction of the next order."""
    fit = order_in_alpha(RATES, [3 * a**order * (1 + 2 * a) for a in RATES], QUIET)
    assert fit.verdict == "pass"
    assert fit.order == pytest.approx(order, abs=0.02)


def test_the_order_does_not_depend_on_the_order_of_the_lists() -> None:
    """The fit is the same for the points listed backwards."""
    sizes = [a**2 for a in RATES]
    assert order_in_alpha(RATES[::-1], sizes[::-1], QUIET) == order_in_alpha(RATES, sizes, QUIET)


def test_points_in_the_noise_are_left_out_of_the_window() -> None:
    """Points whose noise is above a sixteenth of their size have no part in the fit."""
    noise = [1e-5] * 7
    gaps = [a**2 + 1e-5 for a in RATES]  # in the last three the noise is above a sixteenth
    fit = order_in_alpha(RATES, gaps, noise)
    assert fit.window == (0.1, 0.05, 0.025, 0.0125)
    assert fit.order == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ([a**0.5 for a in RATES], "fail"),
        ([1 / a for a in RATES], "fail"),
        ([1e-15] * 7, "inconclusive"),
        ([0.0] * 7, "inconclusive"),
        ([1.0, 2.0, float("nan"), 1.0, 1.0, 1.0, 1.0], "fail"),
        ([a * (2 + np.sin(4 * np.log(a))) for a in RATES], "inconclusive"),
    ],
)
def test_what_is_no_whole_power_does_not_pass(gaps: list[float], verdict: str) -> None:
    """Roots, growth, NaN, oscillation and noise fail or decide nothing."""
    assert order_in_alpha(RATES, gaps, QUIET).verdict == verdict


def test_two_clean_points_fit_nothing() -> None:
    """Two points always lie on a line, and decide nothing."""
    fit = fit_order([0.2, 0.1], [2.0, 1.0], [0.0, 0.0])
    assert fit.verdict == "inconclusive"
    assert np.isnan(fit.order)


def test_lists_that_do_not_match_are_refused() -> None:
    """Lists of unequal lengths, and steps that are not positive, are refused."""
    with pytest.raises(ValueError, match="got 2 steps, 1 sizes and 2 noise levels"):
        order_in_alpha([0.1, 0.2], [1.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="expected positive steps"):
        order_in_alpha([0.1, 0.0, -0.1], [1.0] * 3, [0.0] * 3)


POINT = np.linspace(0.5, 2.0, 7)
GRADIENT = np.sin(POINT) + POINT * np.cos(POINT)


def wave(x: np.ndarray) -> float:
    return float(np.sum(x * np.sin(x)))


def test_a_right_gradient_has_a_remainder_of_order_two() -> None:
    """The remainder of a right gradient shrinks like h²."""
    result = taylor_test(wave, GRADIENT, POINT, target="wave")
    assert result.verdict == "pass"
    assert result.order == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("error", [1.0, 1e-3, 1e-5])
def test_a_wrong_gradient_has_a_remainder_of_order_one(error: float) -> None:
    """The remainder of a gradient that is wrong, by 1e-5 even, shrinks like h, and the sentence says what is wrong."""
    result = taylor_test(wave, GRADIENT * (1 + error), POINT, target="wave")
    assert result.verdict == "fail"
    assert result.order < 1.1
    assert "not the gradient of the wave" in result.sentence


def test_a_gradient_that_is_off_by_less_than_the_noise_shows_is_not_failed() -> None:
    """An error of 1e-12, which rounding hides, is not held against a gradient."""
    assert taylor_test(wave, GRADIENT * (1 + 1e-12), POINT, target="wave").verdict == "pass"


def test_a_linear_function_has_no_remainder_and_passes() -> None:
    """A linear function has no remainder to measure, and its slopes pass while one percent more fails."""
    slopes = np.ones(7)
    assert taylor_test(lambda x: float(slopes @ x), slopes, POINT, target="line").verdict == "pass"
    assert taylor_test(lambda x: float(slopes @ x), 1.01 * slopes, POINT, target="line").verdict == "fail"


def test_a_function_drowned_in_noise_is_inconclusive() -> None:
    """Where noise hides the function nothing is decided."""
    rng = np.random.default_rng(1)
    result = taylor_test(lambda x: 1e-6 * wave(x) + rng.normal(), 1e-6 * GRADIENT, POINT, target="noise")
    assert result.verdict == "inconclusive"


def test_a_function_that_is_not_finite_does_not_pass() -> None:
    """A function of NaN fails."""
    result = taylor_test(lambda x: float("nan"), GRADIENT, POINT, target="nothing")
    assert result.verdict == "fail"
