"""Conventions that are declared together."""

from __future__ import annotations

import numpy as np
import pytest
from shared import STANDARDS, verify

import refmaml
from verification.faults import Outcome
from verification.judging.conventions import Declared, convention
from verification.problems.making import make_corner
from verification.problems.trees import leaves

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


@pytest.mark.parametrize(
    ("name", "words", "readings"),
    [
        ("clip-value=0.25", "every entry of the gradients is clipped at 0.25", 1),
        ("clip-norm=2", "the norm of the gradients is clipped at 2", 2),  # as it stands, and as PyTorch computes it
    ],
)
def test_a_declared_clip_says_what_is_clipped(name, words, readings):
    """A report shows what was declared, and the limit; only a norm may be clipped in two ways."""
    declared = convention(name)
    assert (declared.name, declared.meaning) == (name, words)
    assert len(Declared((declared,)).readings) == readings


@pytest.mark.parametrize("name", ["clip-norm=0", "clip-value=-1", "clip-norm=inf", "clip-norm=", "clip-value=1=2"])
def test_a_clip_has_a_positive_limit(name):
    """At 0 every gradient would be right that is 0."""
    with pytest.raises(ValueError, match=f"with C a positive number, but got '{name}'"):
        convention(name)


def expected_by(name, gradients, problem="quadratic", order=1):
    """Return the gradients that each reading of a convention makes of gradients."""
    outcome = Outcome(0.5, gradients)
    question = STANDARDS.of(problem, order).question
    return [reading.of(outcome, question).gradients["a"] for reading in Declared((convention(name),)).readings]


def test_what_a_clipped_gradient_is():
    """Entries within ±c, or the whole shortened to c: PyTorch adds 1e-6 to the norm, and either is right."""
    gradients = {"a": np.array([3.0, -0.5]), "b": np.array(4.0)}
    (entries,) = expected_by("clip-value=1", gradients)
    assert entries.tolist() == [1.0, -0.5]
    plain, in_pytorch = expected_by("clip-norm=2", gradients)
    size = np.sqrt(9 + 0.25 + 16)
    assert np.allclose(plain, 2 / size * gradients["a"], rtol=1e-15)
    assert np.allclose(in_pytorch, 2 / (size + 1e-6) * gradients["a"], rtol=1e-15)


@pytest.mark.parametrize(("problem", "steps"), [("quadratic", 3), ("no-steps", 0)])
def test_a_displacement_per_step(problem, steps):
    """(θ − φ_K)/(Kα) is the mean of the inner gradients: a K-th of their sum, which is 0 where there is no step."""
    assert STANDARDS.of(problem, "reptile").problem.inner_grad_steps == steps
    (found,) = expected_by("reptile-per-step", {"a": np.array([3.0])}, problem, "reptile")
    assert found.tolist() == [3.0 / max(steps, 1)]


def test_a_displacement_has_the_rate_of_every_entry():
    """θ − φ_K is the sum of the inner gradients times α, each entry's own where a variable has an array of them."""
    problem = make_corner(order="reptile", levels={"form of α": "an array for each leaf"})
    rates = leaves(problem.inner_learning_rate)
    assert any(np.ptp(rate) > 0 for rate in rates.values())
    outcome = Outcome(0.5, {chain: np.ones(rate.shape) for chain, rate in rates.items()})
    (reading,) = Declared((convention("reptile-displacement"),)).readings
    found = reading.of(outcome, STANDARDS.of(problem, "reptile").question)
    for chain, rate in rates.items():
        np.testing.assert_array_equal(found.gradients[chain], rate)
