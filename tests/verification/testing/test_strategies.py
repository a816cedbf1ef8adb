"""Hypothesis strategies: what they draw is right, what fails shrinks, and one line makes it again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refmaml
from verification.faults import CATALOGUE
from verification.faults.subject import FaultySubject
from verification.orders import ORDERS, SPELLINGS, Order
from verification.problems.problem import EXTRAS
from verification.problems.trees import leaves
from verification.testing import Options, Selection, make_problem, strategies
from verification.testing.strategies import assert_right

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "hypothesis"
SHRUNK = settings.get_profile("shrunk")


@pytest.mark.once
@pytest.mark.parametrize("order", ORDERS)
def test_the_reference_is_right_on_whatever_is_drawn(order: Order) -> None:
    """No option, nesting, family or precision that is drawn makes a right step look wrong."""
    step = getattr(refmaml, SPELLINGS[order].function)

    @settings(max_examples=20)
    @given(strategies.problems(order=order, supports=EXTRAS))
    def search(problem: Any) -> None:
        positional, keywords = problem.arguments()
        assert_right(step(*positional, **keywords), problem)

    search()


@settings(max_examples=20)
@given(strategies.problems(supports=EXTRAS), st.sampled_from(["autograd", "numpy"]), st.sampled_from(ORDERS))
def test_one_line_makes_a_problem_again(drawn: Any, framework: str, order: Order) -> None:
    """The `repr` of a problem is one line of Python that makes the same arrays, options and nesting."""
    line = repr(drawn.native(framework))
    assert "\n" not in line
    again = eval(line, {"make_problem": make_problem, "Selection": Selection})  # a line of our own
    assert repr(again) == line
    assert again.options == drawn.options
    for one, other in ((drawn.variables, again.variables), (drawn.batch, again.batch)):
        assert {chain: leaf.tobytes() for chain, leaf in leaves(one).items()} == {
            chain: leaf.tobytes() for chain, leaf in leaves(other).items()
        }


@pytest.mark.parametrize(
    "fault", ["B01", "B02", *(pytest.param(fault, marks=pytest.mark.nightly) for fault in ("B03", "A04"))]
)
def test_a_fault_shrinks_to_the_simplest_problem(fault: str) -> None:
    """A wrong step is found, named, and shown on a quadratic cost with two tasks, one step and α = ¼."""
    subject = FaultySubject(CATALOGUE[fault].variants[""])

    @settings(SHRUNK, database=None)
    @given(strategies.problems())
    def search(problem: Any) -> None:
        assert_right(subject(problem), problem)

    with pytest.raises(AssertionError, match=rf"(?m)^{fault}: ") as raised:
        search()
    notes = "\n".join(raised.value.__notes__)
    assert re.search(r"problem=make_problem\('quadratic', tasks=2, steps=1, rate=0\.25\)", notes)


@pytest.mark.once  # arithmetic
def test_the_example_shrinks_its_planted_mistake(pytester: pytest.Pytester) -> None:
    """`examples/hypothesis` passes with the right step, and with the wrong one fails on the simplest problem."""
    for path in EXAMPLE.glob("*.py"):
        pytester.path.joinpath(path.name).write_text(path.read_text("utf-8"), "utf-8")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:cov\n")
    pytester.syspathinsert()
    result = pytester.runpytest_subprocess("-v")  # Hypothesis keeps its profile for the whole process
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * B01: outer loss from before adaptation",
            "E *problem=make_problem('quadratic', tasks=2, steps=1, rate=0.25)*",
        ]
    )


@given(strategies.containers(st.integers(), most=6))
def test_containers_have_the_leaves_that_were_drawn(container: Any) -> None:
    """A container has one to `most` leaves, and is a dict, a list or a tuple."""
    assert isinstance(container, dict | list | tuple)
    found = leaves(container)
    assert 1 <= len(found) <= 6
    assert all(isinstance(leaf, int) for leaf in found.values())


@given(strategies.selections(["a", "b/0", "b/1"]))
def test_a_selection_means_what_it_spells(selection: Selection) -> None:
    """The key chains to keep, or all but those to leave out, are those that are meant."""
    every = {"a", "b/0", "b/1"}
    spelled = set(selection.spelled)
    assert set(selection.meant or ()) == (spelled if selection.keep else every - spelled)


@given(strategies.costs("numpy"), strategies.batches(2, dtypes=["float64"]), strategies.containers())
def test_a_cost_of_any_container_is_a_real_number(cost: Any, batch: Any, container: Any) -> None:
    """Each cost takes what is drawn, in loop mode a task of it, and its mean over tasks is that of both modes."""
    tasks = [{name: leaf[t : t + 1] for name, leaf in batch.items()} for t in range(2)]
    stacked = [np.stack([leaf, leaf]) for leaf in leaves(container).values()]
    together, apart = cost(batch, stacked), [cost(task, container) for task in tasks]
    assert np.isclose(together, np.mean(apart), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"family": "cubic"}, "family: expected one of 'quadratic'.*but got 'cubic'"),
        ({"order": 3}, "order: expected one of 1, 2, 'reptile', but got 3"),
        ({"dtype": "float16"}, "dtype: expected one of 'float64', 'float32', but got 'float16'"),
        ({"steps": -1}, "expected at least 0 steps.*but got -1, 2 and None"),
        ({"tasks": 0}, "at least 1 task.*but got 1, 0 and None"),
        ({"num_tasks": 3}, "num_tasks of them at most, but got 1, 2 and 3"),
    ],
)
def test_what_cannot_be_made_is_said(arguments: dict[str, Any], sentence: str) -> None:
    """An argument that is not one of its values raises, with what was expected and what came."""
    with pytest.raises(ValueError, match=sentence):
        make_problem(**{"family": "quadratic", **arguments})


def test_a_wrong_answer_may_be_a_convention() -> None:
    """A sum over tasks is wrong, with the convention in the message, and right where it is declared."""
    problem = make_problem("linear-regression", steps=2)
    positional, keywords = problem.arguments()
    cost, gradients, _ = refmaml.fomaml_step(*positional, **keywords)
    summed = {chain: 2 * leaf for chain, leaf in gradients.items()}
    with pytest.raises(AssertionError, match="declare the convention 'sum-over-tasks'"):
        assert_right((cost, summed), problem)
    assert_right((2 * cost, summed), problem, conventions=["sum-over-tasks"])


def test_options_say_what_is_unusual_about_them() -> None:
    """The `repr` of options and selections has what is not as by default, as Python that makes them again."""
    assert repr(Options()) == "Options()"
    chosen = Options(batched=True, inner_v=Selection(["w"], meant=("w",)))
    assert repr(chosen) == "Options(batched=True, inner_v=Selection(spelled=['w'], meant=('w',)))"
