"""Conventions that are declared together."""

from __future__ import annotations

import pytest
from shared import verify

import refmaml

BOTH = ("sum-over-points", "average-adapted-points")


def _summed(containers):
    """Add up the dictionaries of the problems asked here."""
    return {name: sum(container[name] for container in containers) for name in containers[0]}


def sum_over_adapted_points(batch, inner, outer, variables, steps, rate, /, *, average_across_steps=False, **options):
    """Sum the costs and gradients at φ_1, …, φ_K where an average is asked for."""
    counts = range(1, steps + 1) if average_across_steps else [steps]
    answers = [refmaml.fomaml_step(batch, inner, outer, variables, count, rate, **options) for count in counts]
    costs, gradients, adapted = zip(*answers, strict=True)
    return sum(costs), _summed(gradients), adapted[-1]


@pytest.mark.parametrize("declared", [BOTH, BOTH[::-1]])
def test_a_sum_and_the_adapted_points_are_the_sum_over_the_adapted_points(declared):
    """Declared together, in either order, both conventions about an average over steps hold."""
    report = verify(
        sum_over_adapted_points,
        kind="step",
        dtypes=("float64",),
        conventions=declared,
        problems=("average", "same-cost-average", "one-step"),
    )
    assert report.verdict == "pass"


@pytest.mark.parametrize("declared", [(name,) for name in BOTH])
def test_either_alone_is_another_answer(declared):
    """The sum over the adapted points is neither the sum over all points nor an average."""
    report = verify(
        sum_over_adapted_points, kind="step", dtypes=("float64",), conventions=declared, problems=("average",)
    )
    assert report.verdict == "fail"
