"""The JSON layout says the same as the problem it was made from, and a hand-worked problem has its answer."""

import numpy as np
import pytest

import refmaml
from verification import problem
from verification.oracles import finite_differences
from verification.problems.suite import NAMES
from verification.problems.trees import leaves
from verification.vectors import from_problem, to_problem
from verification.vectors.layout import hex_float

pytestmark = pytest.mark.once  # arithmetic

STEPS = {1: refmaml.fomaml_step, 2: refmaml.maml_step, "reptile": refmaml.reptile_step}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0x0p+0"),
        (3.0, "0x1.8p+1"),
        (-0.25, "-0x1p-2"),
        (0.1, "0x1.999999999999ap-4"),
        (5e-324, "0x0.0000000000001p-1022"),
    ],
)
def test_a_hex_float_is_the_shortest_that_is_exact(number: float, text: str) -> None:
    """Numbers are written in as few hex digits as give them back exactly."""
    assert hex_float(number) == text
    assert float.fromhex(text) == number


@pytest.mark.parametrize("name", NAMES)
def test_a_problem_of_the_judge_survives_the_layout(name: str) -> None:
    """A built-in problem, written and read again, has the same answer by finite differences."""
    original = problem(name, order=1)
    again = to_problem(from_problem(original))
    one, other = (finite_differences.solve(copy.views(np)[0], 1) for copy in (original, again))
    chains = dict(zip(original.names.values(), original.split(np.arange(one.gradient.size)).values(), strict=True))
    for chain, where in again.split(np.arange(one.gradient.size)).items():
        np.testing.assert_allclose(one.gradient[chains[chain]], other.gradient[where], rtol=1e-12, atol=1e-14)
    assert one.cost == pytest.approx(other.cost, rel=1e-13)


@pytest.mark.parametrize("order", [1, 2, "reptile"])
def test_the_layout_is_written_as_it_was_read(every, order) -> None:
    """Every vector's problem, read and written, is its layout again."""
    step = {1: "fomaml", 2: "maml", "reptile": "reptile"}[order]
    for vector in every:
        if vector.problem["step"] == step:
            assert from_problem(vector.to_problem()) == vector.problem, vector.id


def by_hand(step: str) -> dict:
    """S = ½ · 1 (v − 1)², Q = ½ · 2 (v − 3)², θ = 0, α = ½, K = 2: φ = 0, ½, ¾."""

    def array(shape, number):
        return {"shape": shape, "values": [hex_float(number)]}

    return {
        "family": "quadratic", "step": step, "steps": 2, "num_tasks": 1, "batched": False, "average": False,
        "same_cost": False, "inner": [["vector"]], "outer": [["vector"]], "rates": {"vector": "0x1p-1"},
        "variables": {"vector": array([1], 0.0)},
        "support": {"matrix": array([1, 1, 1], 1.0), "centre": array([1, 1], 1.0)},
        "query": None if step == "reptile" else {"matrix": array([1, 1, 1], 2.0), "centre": array([1, 1], 3.0)},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "order", "cost", "gradient"),
    # Q(¾) = (9/4)² = 81/16, Q'(¾) = −9/2; dφ_2/dθ = ¼; Reptile (0 − ¾)/½, mean of ½, ⅛, 1/32.
    [("fomaml", 1, 81 / 16, -4.5), ("maml", 2, 81 / 16, -1.125), ("reptile", "reptile", 7 / 32, -1.5)],
)
def test_a_problem_worked_by_hand(step: str, order, cost: float, gradient: float) -> None:
    """A quadratic with two steps gives each step the numbers worked by hand."""
    positional, keywords = to_problem(by_hand(step)).arguments()
    got = STEPS[order](*positional, **keywords)
    assert float(got[0]) == cost
    assert leaves(got[1])["vector"] == [gradient]
    assert leaves(got[2])["vector"].tolist() == [[0.75]]


def test_a_family_that_is_not_documented_is_an_error() -> None:
    """An unknown family is refused with those that there are."""
    with pytest.raises(ValueError, match=r"family: expected one of quadratic, .*, but got 'cubic'"):
        to_problem({**by_hand("fomaml"), "family": "cubic"})


def test_a_variable_that_a_family_does_not_have_is_an_error() -> None:
    """A variable of another family is refused with those that this one has."""
    with pytest.raises(ValueError, match="variables: expected some of inner_gain, weight, bias, outer_gain"):
        to_problem({**by_hand("fomaml"), "family": "linear-regression"})
