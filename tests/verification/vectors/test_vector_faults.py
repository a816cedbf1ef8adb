"""The vectors against the judge's own faulty steps: other code, other arithmetic, the same mistakes.

The judge's faults work in binary64 with automatic derivatives; the recorded answers come from ball arithmetic.
"""

from __future__ import annotations

import numpy as np
import pytest

from verification.faults import CATALOGUE, pose
from verification.faults.subject import FaultySubject
from verification.judging.tolerances import norm
from verification.subjects.reply import read
from verification.vectors import Vector, VectorSet

ORDERS = {"fomaml": 1, "maml": 2, "reptile": "reptile"}
#: What both define alike. The others differ in a constant (G01), in what counts as nothing (A03), or in which leaf.
ALIKE = [
    *("A01", "A02", "A04", "A08", "B01", "B02", "B03", "B05", "B06", "B07"),
    *("C01", "C03", "C04", "C05", "C06", "D01", "D02", "D03", "D04", "D06", "D08"),
    *("E01", "F05", "G02", "G03", "G04", "G09"),
]
#: They need a second call, a look at the inputs, and a cost of three parameters.
NO_ANSWER_SHOWS = {"D05", "E02", "D09"}
#: Their form with None left out needs an unused variable before others of its shape, which these vectors have not.
NEED_UNUSED_BETWEEN = {"F03", "F05"}

pytestmark = [
    pytest.mark.once,  # arithmetic
    pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning"),  # some faults run away
]


@pytest.fixture(scope="module")
def shown(every: VectorSet) -> list[Vector]:
    """Return vectors of two families with every option; only bilinear has two variables of equal shape."""
    families = ("linear-regression", "bilinear")
    return [v for v in every if v.problem["family"] in families and v.problem["steps"] == 2]


def alike(one: dict, other: dict) -> bool:
    return set(one) == set(other) and all(
        leaf is not None
        and one[name] is not None
        and np.shape(one[name]) == leaf.shape
        and norm(np.asarray(one[name]) - leaf) <= 1e-9 * norm(leaf)
        for name, leaf in other.items()
    )


@pytest.mark.sampled(9)
@pytest.mark.parametrize("identity", ALIKE)
def test_a_recorded_answer_is_what_the_fault_gives(identity: str, shown: list[Vector]) -> None:
    """The wrong answers recorded for a fault are those of the judge's own row of that id, up to rounding."""
    fault, compared, different = CATALOGUE[identity], 0, []
    for vector in shown:
        recorded = [g for names, g in vector.counterfactuals if any(name.split("/")[0] == identity for name in names)]
        if not recorded or ORDERS[vector.problem["step"]] not in fault.orders:
            continue
        given = [answer(pose(vector.to_problem())).gradients for answer in fault.variants.values()]
        compared += 1
        if not all(any(alike(answer, wrong) for answer in given) for wrong in recorded):
            different.append(vector.id)
    assert different == []
    assert compared > 0


def test_every_fault_of_the_judge_is_turned_down_by_a_vector(shown: list[Vector], every: VectorSet) -> None:
    """Some vector turns down each fault of the judge's catalogue, but for those that no single answer shows."""
    # A window of two steps shows where there are three.
    three = [v for v in every if (v.problem["family"], v.problem["step"]) == ("linear-regression", "maml")]
    shown = [*shown, *(v for v in three if v.problem["steps"] == 3)]
    survivors = {
        identity
        for identity, fault in CATALOGUE.items()
        if not all(any(turned_down(v, answer, fault) for v in shown) for answer in fault.variants.values())
    }
    assert survivors == NO_ANSWER_SHOWS | NEED_UNUSED_BETWEEN


def turned_down(vector: Vector, answer, fault) -> bool:
    if ORDERS[vector.problem["step"]] not in fault.orders:
        return False
    problem = vector.to_problem()
    return bool(vector.findings(read(problem, FaultySubject(answer)(problem))))
