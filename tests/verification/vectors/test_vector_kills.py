"""The kill matrix, faults by vectors: what the vectors claim is so, and nothing of the catalogue is left over."""

from math import hypot

import numpy as np
import pytest

from verification.vectors import Vector, VectorSet

pytestmark = pytest.mark.once  # arithmetic

#: Faults of the catalogue (A to G) by what an answer of one step can show, written out by hand.
SHOWN = {
    *("A01", "A02", "A03", "A04", "A05", "A06", "A08", "A09"),
    *("B01", "B02", "B03", "B05", "B06", "B07", "B08", "B11"),
    *("C01", "C02", "C03", "C04", "C05", "C06"),
    *("D01", "D02", "D03", "D04", "D06", "D07", "D08", "D09"),
    *("E01", "F01", "F02", "F03", "F04", "F05"),
    *("G01", "G02", "G03", "G04", "G06", "G07", "G09", "G10", "G11"),
}
NOT_SHOWN = {"A07", "A13", "B10", "D05", "D10", "E02", "E03", "E04", "G08"}
OWN = {"V01", "V02", "V03", "V04", "V05", "V06", "V07"}


def distance_in_bounds(vector: Vector, wrong: dict, dtype: str) -> float:
    """Return the largest distance of a leaf over its bound; infinity where something is missing or misshapen."""
    right = vector.expected.gradients
    if set(right) != set(wrong):
        return float("inf")
    largest = 0.0
    for name, leaf in right.items():
        other = wrong[name]
        if other is None or other.shape != leaf.shape:
            return float("inf")
        with np.errstate(over="ignore"):  # of two numbers near the largest double
            distance, bound = hypot(*(other - leaf).ravel()), vector.bound("gradients", name, dtype)
        largest = max(largest, distance / bound if bound else float("inf") * bool(distance) if distance else 0.0)
    return largest


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_vector_kills_exactly_the_recorded_faults_beyond_twice_its_bound(every: VectorSet, dtype: str) -> None:
    """The kills of a vector are the wrong answers that are further off than two of its bounds."""
    wrong = {}
    for vector in every:
        if dtype not in vector.dtypes:
            continue
        beyond = {
            fault
            for faults, gradients in vector.counterfactuals
            for fault in faults
            if distance_in_bounds(vector, gradients, dtype) > 2
        }
        if beyond != set(vector.kills[dtype]):
            wrong[vector.id] = beyond ^ set(vector.kills[dtype])
    assert wrong == {}


def test_every_fault_of_the_catalogue_is_killed_or_has_a_reason(every: VectorSet) -> None:
    """Every fault is killed by a vector, or listed as one that no answer shows."""
    killed = {fault.split("/")[0] for vector in every for fault in vector.kills["float64"]}
    assert killed == SHOWN | OWN
    assert set(every.manifest["not_shown"]) == NOT_SHOWN


def test_every_fault_that_rounding_does_not_hide_is_killed_in_binary32_too(every: VectorSet) -> None:
    """In single precision only the two faults that need binary64 inputs survive."""
    killed = {fault.split("/")[0] for vector in every for fault in vector.kills.get("float32", [])}
    assert killed == (SHOWN | OWN) - {"G11", "V02"}  # both need inputs that binary32 does not have


def test_the_manifest_counts_the_kills(every: VectorSet) -> None:
    """The manifest's count for each fault is the number of vectors that kill it."""
    for name, fault in every.manifest["faults"].items():
        assert fault["killed_by"] == sum(name in vector.kills["float64"] for vector in every), name


def test_every_vector_kills_something_new(every: VectorSet) -> None:
    """Each vector was kept for a pair of fault and setting that none before it kills."""
    signatures = set()
    for entry in every.manifest["vectors"]:
        problem = every[entry["id"]].problem
        new = {
            (problem["family"], problem["step"], setting, fault)
            for setting, faults in entry["new"].items()
            for fault in faults
        }
        assert new, entry["id"]
        assert not new & signatures, entry["id"]
        assert {fault for *_, fault in new} <= set(entry["kills"]["float64"])
        signatures |= new


def test_a_right_answer_is_never_among_the_counterfactuals(every: VectorSet) -> None:
    """No recorded wrong answer is the right one."""
    for vector in every:
        for faults, gradients in vector.counterfactuals:
            assert distance_in_bounds(vector, gradients, "float64") > 0, (vector.id, faults)


def test_the_coverage_that_is_promised_is_there(every: VectorSet) -> None:
    """There are at least 400 problems: every family with every step and number of steps, in both modes."""
    problems = [vector.problem for vector in every]
    assert len(problems) >= 400
    places = {(p["family"], p["step"], p["steps"]) for p in problems}
    families = {p["family"] for p in problems}
    assert len(families) == 10
    expected = {(f, s, k) for f in families for s in ("fomaml", "maml", "reptile") for k in (0, 1, 2, 3, 5, 20)}
    assert expected <= places
    assert {p["num_tasks"] for p in problems} == {1, 2, 3, 5}
    assert {p["batched"] for p in problems} == {p["average"] for p in problems} == {True, False}
