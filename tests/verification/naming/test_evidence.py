"""What counts as evidence: margins, missing and infinite numbers, and how far wrong answers are from right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shared import STANDARDS

from verification.faults import CATALOGUE
from verification.faults.data import outer_on_support
from verification.faults.order import right
from verification.faults.question import after
from verification.judging.conventions import Declared, convention
from verification.judging.tolerances import unit_roundoff
from verification.naming.candidates import Candidate
from verification.naming.diagnosis import diagnose
from verification.naming.evidence import Evidence, Observation, allowed
from verification.orders import DTYPES
from verification.subjects import Reply


def observed(name="bilinear", dtype="float64", **changed):
    """Return the right answer to a problem as an observation, with some leaves exchanged."""
    observation = Observation(STANDARDS.of(name, 1), dtype, Reply())
    right = Evidence([], Declared()).right(observation)
    return replace(observation, reply=Reply(right.cost, returned={**right.gradients, **changed}))


def evidence(*observations, declared=None):
    return Evidence(observations, declared or Declared())


def fault(id_, variant=""):
    return CATALOGUE[id_].variants[variant]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_leaf_may_be_off_by_four_bounds(dtype):
    """An answer matches up to 4 · 64 u max(‖x‖, κ‖x‖, s) from a fault's in one leaf, and not beyond it."""
    observation = observed(dtype=dtype)
    right, moves = evidence().right(observation), observation.standard.sensitivity
    size = np.linalg.norm(right.gradients["weight"])
    kappa = np.linalg.norm(list(moves.gradients.values())) / np.linalg.norm(list(moves.sizes.values()))
    limit = 4 * 64 * np.finfo(dtype).eps / 2 * max(size, size * kappa, moves.gradients["weight"])
    assert allowed(observation, "weight", right.gradients["weight"]) == pytest.approx(limit, rel=1e-12)
    for part, matches in ((0.99, True), (1.01, False)):
        moved = right.gradients["weight"] + part * limit * np.array([0.6, 0.0, 0.8])
        assert evidence().matches(observed(dtype=dtype, weight=moved), right) is matches


def test_a_leaf_without_a_gradient_counts_as_zero():
    """None matches zero in the answer and in the prediction, and nothing else."""
    observation = observed("mlp-tanh-mse", inner_gain=None)
    right = evidence().right(observation)
    assert not np.any(right.gradients["inner_gain"])
    assert evidence().matches(observation, right)
    assert not evidence().matches(observed("mlp-tanh-mse", w1=None), right)
    none = replace(right, gradients={**right.gradients, "w1": None})
    assert evidence().matches(observed("mlp-tanh-mse", w1=np.zeros((2, 3))), none)
    assert not evidence().matches(observed("mlp-tanh-mse"), none)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_matches(value):
    """NaN and infinities match nothing, not even a prediction of the same."""
    gone = np.full(3, value)
    observation = observed(weight=gone)
    right = evidence().right(observation)
    assert evidence().mismatch(observation, right) == float("inf")
    with np.errstate(invalid="ignore"):
        assert not evidence().matches(observation, replace(right, gradients={**right.gradients, "weight": gone}))


def test_another_shape_never_matches():
    """A leaf of another shape is infinitely far, whatever it holds; D07's own shape is D07's."""
    observation = observed(weight=np.zeros(()))
    assert evidence().mismatch(observation, evidence().right(observation)) == float("inf")
    summed = evidence().predict(observation, fault("D07")).gradients
    assert evidence().matches(observed(**summed), evidence().predict(observation, fault("D07")))


def test_no_answer_matches_no_fault():
    """Where nothing was answered, no fault is matched by the emptiness."""
    assert not evidence().matched_by(fault("B01"))
    assert not evidence(Observation(STANDARDS.of("bilinear", 1), "float64", Reply())).deciding


def test_single_precision_decides_only_alone():
    """Float64 answers decide where there are any, and float32 ones where there are no others."""
    double, single = observed(), observed(dtype="float32")
    assert evidence(single, double).deciding == [double]
    assert evidence(single).deciding == [single]


def test_answers_that_are_not_finite_decide_only_alone():
    """NaN and infinity tell nothing where another answer is a number; they are counted."""
    number, gone = observed(), observed(weight=np.full(3, np.nan))
    held = evidence(number, gone)
    assert (held.deciding, held.not_finite) == ([number], 1)
    assert evidence(gone).deciding == [gone]


def test_problems_with_few_steps_come_last():
    """The cheapest problem with two steps or more is compared first."""
    names = ("one-step", "mlp-tanh-mse", "bilinear")
    deciding = evidence(*map(observed, names)).deciding
    assert [observation.problem.name for observation in deciding] == ["bilinear", "mlp-tanh-mse", "one-step"]


def test_averages_of_declared_points_decide_nothing():
    """Under another declared average, problems that average are left out: what faults make of them is not known."""
    declared = Declared((convention("sum-over-points"),))
    deciding = evidence(observed("average"), observed(), declared=declared).deciding
    assert [observation.problem.name for observation in deciding] == ["bilinear"]


@pytest.mark.parametrize(
    ("id_", "name", "shows"),
    [("B02", "bilinear", True), ("B02", "no-steps", False), ("E02", "bilinear", False), ("A03", "no-steps", True),
     ("D01", "one-task", False), ("D07", "bilinear", True), ("D08", "bilinear", False)],
)  # fmt: skip
def test_where_a_fault_shows(id_, name, shows):
    """A fault shows where its answer or its side effect can be told from the right one, and not elsewhere."""
    assert evidence().shows(observed(name), fault(id_)) is shows


@pytest.mark.parametrize(("bounds", "shows"), [(0.05, False), (1.95, False), (2.05, True)])
def test_a_fault_shows_from_two_bounds_on(bounds, shows):
    """A fault that moves a leaf by less than twice what is allowed cannot be told from a right answer."""
    observation = observed()
    right = evidence().right(observation)
    leaf = right.gradients["weight"]
    direction = np.array([0.6, 0.0, 0.8])
    moved = {**right.gradients, "weight": leaf + bounds * allowed(observation, "weight", leaf) * direction}
    assert evidence().shows(observation, lambda question: replace(right, gradients=moved)) is shows


def test_what_leaves_the_gradients_right_shows_where_it_is_seen():
    """E02 shows where the caller's arrays changed, and F02 where a zero is None."""
    assert evidence().shows(replace(observed(), overwrote=True), fault("E02"))
    assert not evidence().shows(observed("mlp-tanh-mse"), fault("F02"))
    assert evidence().shows(observed("mlp-tanh-mse", inner_gain=None), fault("F02"))


def test_the_relative_error_of_all_leaves_together():
    """‖returned − predicted‖ / ‖predicted‖ over all leaves; a leaf that is missing on either side is wholly off."""
    observation = observed()
    right = evidence().right(observation)
    moved = observed(**{chain: 1.25 * leaf for chain, leaf in right.gradients.items()})
    assert evidence().relative_error(moved, right) == pytest.approx(0.25, rel=1e-14)
    assert evidence().relative_error(observed(weight=None, latent=None), right) == pytest.approx(1.0, rel=1e-14)
    nothing = replace(right, gradients=dict.fromkeys(right.gradients))
    size = np.sqrt(sum(np.sum(leaf**2) for leaf in right.gradients.values()))
    assert evidence().relative_error(observation, nothing) == pytest.approx(size, rel=1e-14)


# How far wrong answers are


def test_separation_is_the_nearest_central_fault():
    """The separation is the least distance of A04, B01, B02, B03 and B06, in bounds, and scales with the precision."""
    nearest = ("A04", "B01", "B02", "B03", "B06")
    bilinear = STANDARDS.of("bilinear", 1)
    apart = [bilinear.distance(fault(id_), "float64") for id_ in nearest]
    assert bilinear.separation("float64") == min(apart)
    units = unit_roundoff("float32") / unit_roundoff("float64")
    assert bilinear.separation("float32") * units == pytest.approx(min(apart), rel=1e-12)


def test_what_is_no_fault_on_a_problem_hides_nothing():
    """With one inner step all inner gradients are at θ anyway: B06 is right there, and does not count as near."""
    one_step = STANDARDS.of("one-step", 1)
    assert one_step.distance(fault("B06"), "float64") < 2
    assert one_step.separation("float64") > 1000


def test_nothing_is_near_where_nothing_adapts():
    """Without an inner step no central fault changes anything, and what is left decides."""
    assert STANDARDS.of("no-steps", 1).separation("float32") == float("inf")


def test_a_lost_gradient_is_infinitely_far():
    """None, and a leaf of another shape, can be told from the right answer in any precision."""
    for id_ in ("A03", "D07"):
        assert STANDARDS.of("bilinear", 1).distance(fault(id_), "float32") == float("inf")


def test_what_known_faults_answer_is_kept_for_the_next_subject():
    """What is fitted for one subject is not, and the same two faults at once are one answer."""
    asked = []

    def counted(question):
        asked.append(question)
        return right(question)

    observation = observed()
    for times, is_shared in ((1, True), (1, True), (2, False), (3, False)):
        evidence(observation).predict(observation, counted, is_shared=is_shared)
        assert len(asked) == times
    both = after(right, outer_on_support)
    assert both == after(right, outer_on_support)
    assert evidence(observation).predict(observation, both).gradients.keys() == observation.reply.returned.keys()


@pytest.mark.parametrize("is_first", [True, False])
def test_what_rests_on_one_answer_waits_for_what_explains_all(is_first):
    """A candidate that leaves all answers but one open is named only where no later kind has one that gives all."""
    answers = [
        replace(one, reply=Reply(one.reply.cost, returned={c: 2 * leaf for c, leaf in one.reply.returned.items()}))
        for one in map(observed, ("bilinear", "one-task", "quadratic"))
    ]

    def twice(question):
        found = right(question)
        return replace(found, gradients={chain: 2 * leaf for chain, leaf in found.gradients.items()})

    def open_elsewhere(question):
        return twice(question) if question.problem.name == "bilinear" else replace(right(question), is_open=True)

    weak, strong = ([Candidate((id_,), "", answer)] for id_, answer in (("F05", open_elsewhere), ("D11", twice)))
    kinds = [lambda *_: weak, lambda *_: strong] if is_first else [lambda *_: weak, lambda *_: []]
    names = [found.name for found in diagnose(answers, 1, Declared(), kinds)]
    assert names == (["D11"] if is_first else ["F05"])
