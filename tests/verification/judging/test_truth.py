"""Where expected answers come from: which oracle is asked about which problem, and how far each may be off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shared import STANDARDS

from verification.algorithms import algorithm
from verification.faults import CATALOGUE
from verification.judging import truth
from verification.judging.standard import Standard, Standards
from verification.problems import levels, suite
from verification.problems.making import make_corner, make_problem

pytestmark = pytest.mark.once  # arithmetic

DIFFERENCES, JACOBIANS, CLOSED = "finite differences", "explicit Jacobians", "closed form"
UNROLLED = "the unrolled loop"


def sources(name, order=1, declared=""):
    problem = suite.problem(name, order=order, algorithm=algorithm(declared))
    return [found.source for found in truth.from_oracles(problem)]


@pytest.mark.parametrize("order", [1, 2, "reptile"])
def test_every_oracle_that_can_is_asked(order):
    """Plain problems have two oracles, and a third where there is a formula."""
    assert sources("one-step", order) == [DIFFERENCES, JACOBIANS]
    assert sources("quadratic", order) == [DIFFERENCES, JACOBIANS, CLOSED]


def test_what_an_author_declares_is_unrolled():
    """Differences are the second opinion, where values have a slope that differences can find."""
    assert sources("quadratic", 2, "momentum(0.9)") == [DIFFERENCES, UNROLLED]
    assert sources("quadratic", 2, "adam") == [UNROLLED]


@pytest.mark.parametrize("order", [1, 2, "reptile"])
def test_unrolling_is_the_definition(order):
    """Two ways through the inner loop give one meta-gradient of each order, and the three orders differ."""
    problem = suite.problem("one-step", order=order)
    defined = truth.by_definition(problem)
    assert apart(truth.by_unrolling(problem), defined) < 1e-12
    for other in {1, 2, "reptile"} - {order}:
        assert apart(truth.by_definition(replace(problem, order=other)), defined) > 1e-6


def apart(found, expected):
    """Return the relative difference of all gradients together."""
    one, other = (
        np.concatenate([source.answer.gradients[chain].ravel() for chain in expected.answer.gradients])
        for source in (found, expected)
    )
    return np.linalg.norm(one - other) / np.linalg.norm(other)


def test_large_corners_have_no_differences_at_second_order():
    """They take n² costs there: corners of up to six entries have them, and all corners at the other orders."""
    corners = [name for name in levels.names("full", 2, 0) if suite.is_corner(name)]
    entries = {name: sum(np.size(leaf) for leaf in flat_variables(name)) for name in corners}
    small, large = min(corners, key=entries.__getitem__), max(corners, key=entries.__getitem__)
    assert entries[small] <= 6 < entries[large]
    assert DIFFERENCES in sources(small, 2)
    assert DIFFERENCES not in sources(large, 2)
    assert DIFFERENCES in sources(large, 1)


def flat_variables(name):
    problem = suite.problem(name, order=2)
    return problem.split(problem.views(np)[0].theta).values()


def test_the_reference_answers_with_all_tasks_and_no_error():
    """It is exact but for rounding; adapted variables come for all tasks where a problem asks for none."""
    problem = suite.problem("one-step", order=1)
    problem = replace(problem, options=replace(problem.options, return_inner_v=False))
    found = truth.from_reference(problem)
    assert found.source == "the reference"
    assert problem.num_tasks > 1
    assert {leaf.shape[0] for leaf in found.answer.adapted.values()} == {problem.num_tasks}
    assert found.errors == dict.fromkeys(found.answer.gradients, 0.0)


def test_what_an_author_declares_has_its_truth_from_unrolling():
    """No step of the reference has it all; and in whatever precision a problem is, its truth is in float64."""
    declared = suite.problem("one-step", order=1, algorithm=algorithm("momentum(0.9)"))
    assert truth.from_reference(declared).source == UNROLLED
    single = suite.problem("one-step", order=1).native("numpy", "float32")
    found = truth.from_reference(single).answer.gradients
    assert {leaf.dtype for leaf in found.values()} == {np.dtype("float64")}


def test_an_oracle_says_how_far_it_may_be_off():
    """The errors are those of its solutions: none to speak of for a formula, more for differences."""
    differences, _, closed = truth.from_oracles(STANDARDS.of("quadratic", 2).problem)
    assert differences.errors.keys() == closed.errors.keys() == closed.answer.gradients.keys()
    for chain, error in differences.errors.items():
        apart = np.linalg.norm(differences.answer.gradients[chain] - closed.answer.gradients[chain])
        assert 0 <= closed.errors[chain] < 1e-12
        assert 0 < apart <= error + 1e-13 * np.linalg.norm(closed.answer.gradients[chain])


@pytest.mark.parametrize("name", ["quadratic", "one-step"])
def test_bounds_are_new_where_gradients_are_read_back(name):
    """Rounding of θ over β widens every bound, and nothing else that is known changes."""
    standard = Standards().of(name, 1)
    standard.prepare()
    wider = standard.read_back(1e-3)
    assert wider.truths(own=False) is not standard.truths(own=False)
    assert wider.truths(own=False)[0] is standard.truths(own=False)[0]
    assert wider.separation("float32") < 0.5 * standard.separation("float32")
    for chain, moves in standard.sensitivity.gradients.items():
        assert wider.sensitivity.gradients[chain] > 2 * moves


def test_differences_know_what_cancels_in_a_cost():
    """Found by random problems: the logits of a corner are sums of large terms, and its cost is small beside these."""
    corner = {
        "cost": "logistic", "leaves": "4 or more", "axes of a leaf": "4", "gradient": "large", "α": "0", "T": "3",
        "support examples": "1", "query examples": "1", "form of α": "an array for each leaf", "containers": "nested",
        "inner selection": "some", "outer selection": "all but some", "mode": "batched", "K": "6 or more",
        "support beside query": "as many", "cost functions": "one for both loops", "calls before": "none",
    }  # fmt: skip
    differences, jacobians = Standard(make_corner(corner, seed=62966, order=2)).truths(own=True)
    assert (differences.source, jacobians.source) == (DIFFERENCES, JACOBIANS)
    for chain, exact in jacobians.answer.gradients.items():
        off = np.linalg.norm(differences.answer.gradients[chain] - exact)
        assert off <= differences.errors[chain] + jacobians.errors[chain]


@pytest.mark.parametrize(("steps", "distance"), [(0, 0.0), (1, np.inf)])
@pytest.mark.parametrize(("fault", "order"), [("E02", 1), ("A02", 2)])
def test_variables_that_are_written_over_by_themselves_show_nothing(fault, order, steps, distance):
    """Without an inner step the adapted variables are θ, so that writing them into the caller's changes nothing."""
    problem = make_problem("quadratic", tasks=2, steps=steps, rate=0.25)
    standard = Standards().of(problem, order)
    assert standard.distance(CATALOGUE[fault].variants[""], "float32") == distance
