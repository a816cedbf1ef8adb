"""One reply beside the truth: what a convention allows, and numbers at the end of the range, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

import verification
from verification.judging.comparison import compare, gradient_errors
from verification.judging.conventions import Declared, convention
from verification.judging.standard import Standard
from verification.judging.tolerances import Sensitivity
from verification.judging.truth import Truth
from verification.problems.answers import Answer
from verification.subjects import Reply

U = 2.0**-53
TINY = float(np.finfo(float).smallest_subnormal)


def standard(gradient, *, moves, error=0.0):
    """Return a standard for three tasks with a certified gradient of one leaf, its sensitivity, and its error."""
    problem = verification.problem("bilinear")
    gradients = {"latent": np.zeros(3), "weight": np.asarray(gradient)}
    known = Truth("the certified answer", Answer(1.0, gradients, {}), {"latent": 0.0, "weight": error})
    return Standard(problem, certified=known, allowance=Sensitivity(1.0, {"latent": 0.0, "weight": moves}, {}, {}))


def error_over_bound(held_against, weight, *conventions):
    """Return the error of an answer over its bound in float64, and the findings."""
    declared = Declared(tuple(convention(name) for name in conventions))
    reply = Reply(gradients={"weight": np.asarray(weight)})
    findings, worst = compare(held_against, "float64", reply, held_against.truths(own=False), declared)
    return worst, findings


def test_a_sum_over_tasks_may_be_off_by_the_sum_of_their_roundings():
    """Of three tasks, an ill-conditioned leaf may be off by 64 u · 3 s where a sum is declared, and by 64 u s else."""
    right, moves = np.array([3.0, 4.0, 0.0]), 1000.0
    off = np.array([0.0, 0.0, 64 * U * 3 * moves])
    known = standard(right, moves=moves)
    exactly = 8 * U  # a product and a quotient or two
    assert error_over_bound(known, 3 * right + off, "sum-over-tasks")[0] == pytest.approx(1.0, rel=exactly)
    assert error_over_bound(known, right + off)[0] == pytest.approx(3.0, rel=exactly)


def test_a_sum_over_tasks_has_the_sum_of_an_oracles_errors():
    """What the truth itself may be off by is three times as much, too, where a sum over three tasks is declared."""
    right = np.array([3.0, 4.0, 0.0])
    known = standard(right, moves=1.0, error=0.5)
    assert error_over_bound(known, 3 * right + np.array([0.0, 0.0, 1.5]), "sum-over-tasks")[0] == pytest.approx(
        1.0, rel=1e-12
    )
    assert error_over_bound(known, right + np.array([0.0, 0.0, 0.5]))[0] == pytest.approx(1.0, rel=1e-12)


def test_a_clip_makes_no_bound_narrower():
    """A clip at a tenth of the norm leaves the rounding of what was clipped: the bound is 64 u s all the same."""
    right, moves = np.array([3.0, 4.0, 0.0]), 1000.0
    off = np.array([0.0, 0.0, 64 * U * moves])
    worst, _ = error_over_bound(standard(right, moves=moves), right / 10 + off, "clip-norm=0.5")
    assert worst == pytest.approx(1.0, rel=1e-3)  # the rounding of the clipped answer beside its bound


@pytest.mark.parametrize(("dtype", "smallest"), [("float64", TINY), ("float32", 2.0**-149)])
def test_a_subnormal_gradient_is_told_in_the_smallest_numbers_that_there_are(dtype, smallest):
    """Where u ‖x‖ is below the smallest number of the precision, that number is the unit of a finding."""
    right = np.array([0.0, 8 * smallest, 0.0])
    known = standard(right, moves=8 * smallest)
    off = Reply(gradients={"weight": right + np.array([0.0, 0.0, 96 * smallest])})
    ((finding,), worst) = compare(known, dtype, off, known.truths(own=False), Declared())
    assert (finding.error, finding.bound, worst) == (96, 64, 1.5)
    # Each rounding of a subnormal number is of the size of the smallest, so that 64 of those are allowed.
    near = Reply(gradients={"weight": right + np.array([0.0, 0.0, 24 * smallest])})
    assert compare(known, dtype, near, known.truths(own=False), Declared()) == ([], 0.375)
    same = Reply(gradients={"weight": right})
    assert compare(known, dtype, same, known.truths(own=False), Declared()) == ([], 0.0)


def test_the_errors_of_gradients_are_those_of_gradients_alone():
    """‖g − g*‖ of each leaf that is there, under what is declared, whatever is wrong with the adapted variables."""
    known = standard([3.0, 4.0, 0.0], moves=1.0)
    truths = known.truths(own=False)
    reply = Reply(cost=7.0, gradients={"weight": np.array([3.0, 4.0, 2.0])}, adapted={"weight": np.full((3, 3), 5.0)})
    assert gradient_errors(known, reply, truths, Declared()) == {"weight": 2.0}
    summed = gradient_errors(known, reply, truths, Declared((convention("sum-over-tasks"),)))
    assert summed == {"weight": pytest.approx(np.linalg.norm([6.0, 8.0, -2.0]), rel=1e-15)}
