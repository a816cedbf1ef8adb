"""Every golden vector is answered rightly by the reference, in each precision it may be run in."""

import json

import numpy as np
import pytest

import refmaml
from verification.vectors import DATA, Vector, check

pytestmark = pytest.mark.once  # arithmetic

STEPS = {"fomaml": refmaml.fomaml_step, "maml": refmaml.maml_step, "reptile": refmaml.reptile_step}
FILES = [entry["file"] for entry in json.loads((DATA / "manifest.json").read_text("utf-8"))["files"]]


@pytest.mark.sampled(15)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("file", FILES)
def test_the_reference_answers_every_vector_within_its_bound(file: str, dtype: str) -> None:
    """In each precision the reference is within the bound of every vector of a file."""
    vectors = [Vector(content["id"], content) for content in json.loads((DATA / file).read_text("utf-8"))["vectors"]]
    chosen = [vector for vector in vectors if dtype in vector.dtypes]
    assert chosen, f"{file} has no vector for {dtype}"
    wrong = {v.id: found for v in chosen if (found := check(STEPS[v.problem["step"]], v, dtype=dtype))}
    assert wrong == {}


def test_a_wrong_step_is_turned_down_with_the_part_that_is_wrong(every) -> None:
    """MAML in place of FOMAML is wrong in its gradients alone, and each is told."""
    vector = every["mlp-tanh-mse-fomaml-k2-t3-batched-double"]
    found = check(refmaml.maml_step, vector)
    assert found
    assert all(message.startswith("gradients ") and "in the 2-norm" in message for message in found)


def test_a_not_a_number_is_turned_down(every) -> None:
    """A cost of NaN is not within any bound."""

    def step(*args, **kwargs):
        cost, grads, adapted = refmaml.fomaml_step(*args, **kwargs)
        return cost * np.nan, grads, adapted

    vector = next(v for v in every if v.problem["step"] == "fomaml")
    assert [message.split(":")[0] for message in check(step, vector)] == ["cost"]


def test_a_precision_that_the_inputs_do_not_have_is_refused(every) -> None:
    """A vector whose inputs need binary64 cannot be checked in float32."""
    vector = next(v for v in every if v.dtypes == ["float64"] and v.problem["step"] == "fomaml")
    with pytest.raises(ValueError, match="can be run in float64, but got 'float32'"):
        check(refmaml.fomaml_step, vector, dtype="float32")


def test_the_bound_of_an_unused_variable_is_zero(every) -> None:
    """A variable that nothing depends on has gradient 0, and no error is allowed."""
    vector = next(
        v for v in every if v.problem["step"] == "fomaml" and v.layout["condition"]["gradients"].get("inner_gain") == 0
    )
    assert not np.any(vector.expected.gradients["inner_gain"])
    assert vector.bound("gradients", "inner_gain") == 0


def test_a_reptile_that_averages_its_ends_is_within_the_bounds(every) -> None:
    """The mean of φ_K over tasks is rounded as θ is, also where nothing moves and the answer is 0."""
    dtype, off_zero = "float32", 0  # in float64 the sums of numbers of binary32 are exact
    for vector in every:
        if vector.problem["step"] != "reptile" or vector.problem["batched"] or dtype not in vector.dtypes:
            continue
        problem = vector.to_problem(dtype=dtype)
        for name, ends in vector.expected.adapted.items():
            end = sum(end.astype(dtype) for end in ends) / np.asarray(len(ends), dtype)
            rate = np.asarray(float.fromhex(vector.problem["rates"][name]), dtype)
            gradient = (problem.variables[name] - end) / rate
            assert gradient.dtype == dtype
            off = np.linalg.norm(gradient.astype(np.float64) - vector.expected.gradients[name])
            assert off <= vector.bound("gradients", name, dtype), (vector.id, name)
            off_zero += vector.condition("gradients", name) == 0 and off > 0
    assert off_zero


def test_the_bound_is_sixty_four_units_of_rounding_times_the_condition_number(every) -> None:
    """The bound is 64 u κ times the answer's size, with the u of the precision."""
    vector = next(v for v in every if v.problem["step"] == "fomaml" and "float32" in v.dtypes)
    size, kappa = abs(float(vector.expected.cost)), vector.condition("cost")
    assert vector.bound("cost") == pytest.approx(64 * 2.0**-53 * kappa * size, rel=1e-12)
    assert vector.bound("cost", dtype="float32") == pytest.approx(64 * 2.0**-24 * kappa * size, rel=1e-12)


def test_the_bound_of_subnormal_answers_has_a_floor(every) -> None:
    """Below the normal numbers the bound is 64 times the least subnormal one."""
    vector = next(v for v in every if "subnormal" in v.id)
    assert vector.bound("cost") == 64 * 2.0**-1074
