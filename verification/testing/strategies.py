"""Hypothesis strategies for tests of a meta-learning step.

Three lines hold a step against the judge on problems that nobody chose::

    @given(problems(framework="torch"))
    def test_my_step(problem):
        assert_right(my_subject(problem), problem)

What is drawn shrinks to a quadratic cost with two tasks, one inner step and α = ¼, and the `repr` of a problem is one
line that makes it again. `containers`, `costs` and `batches` are for tests that need no expected answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from verification.orders import DTYPES, Order
from verification.problems.drawing import (
    SMOOTH,
    Choose,
    drawn_nesting,
    drawn_options,
    drawn_problem,
    drawn_selection,
)
from verification.problems.options import Options, Selection
from verification.problems.problem import EXTRAS, Problem
from verification.problems.trees import Tree
from verification.testing.assertions import assert_right
from verification.testing.general_costs import COSTS, FEATURES, GeneralCost

__all__ = [
    "arrays", "assert_right", "batches", "containers", "costs", "options", "problems", "selections"
]  # fmt: skip

#: The shapes of variables.
SHAPES = ((), (1,), (3,), (2, 3))


def _choosing(draw: st.DrawFn) -> Choose:
    """Return the choice that Hypothesis makes; it shrinks to the first of several options."""
    return lambda options: draw(st.sampled_from(options))


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    order: Order = 1,
    framework: str = "autograd",
    families: Sequence[str] = SMOOTH,
    dtypes: Sequence[str] = DTYPES,
    supports: Collection[str] = (),
) -> Problem:
    """Problems that `assert_right` knows the answers to.

    Args:
        draw: given by Hypothesis.
        order: 1 (first-order MAML), 2 (second-order MAML) or "reptile".
        framework: the arrays, as for `verification.problem`.
        families: the names of cost families, one or more of `verification.problems.families.FAMILIES`.
        dtypes: the precisions.
        supports: what a problem may ask beyond a plain one, as in a subject's attribute of that name: "batched",
            "averaging", "selections", "leaf-rates".
    """
    return drawn_problem(
        _choosing(draw), order=order, framework=framework, families=families, dtypes=dtypes, supports=supports
    )


@st.composite
def options(
    draw: st.DrawFn, chains: Sequence[str], *, order: Order = 1, tasks: int = 1, supports: Collection[str] = EXTRAS
) -> Options:
    """The options of a step on variables with these key chains; those that the order or the subject has not are off."""
    return drawn_options(_choosing(draw), chains, order, tasks, supports)


@st.composite
def selections(draw: st.DrawFn, chains: Sequence[str]) -> Selection:
    """Selections of at least one variable, as a list of key chains to keep, or of those to leave out."""
    return drawn_selection(_choosing(draw), chains)


def arrays(
    shapes: Sequence[tuple[int, ...]] = SHAPES, dtypes: Sequence[str] = DTYPES
) -> st.SearchStrategy[NDArray[Any]]:
    """Arrays of multiples of 1/32 in [−1, 1]: exact in each precision, and readable when they shrink."""

    def of(kind: tuple[tuple[int, ...], str]) -> st.SearchStrategy[NDArray[Any]]:
        shape, dtype = kind
        size = int(np.prod(shape))
        numbers = st.lists(st.integers(-32, 32), min_size=size, max_size=size)
        return numbers.map(lambda drawn: (np.array(drawn) / 32).astype(dtype).reshape(shape))

    return st.tuples(st.sampled_from(shapes), st.sampled_from(dtypes)).flatmap(of)


@st.composite
def containers(draw: st.DrawFn, leaves: st.SearchStrategy[Any] | None = None, *, most: int = 5) -> Tree:
    """Nested dicts, lists and tuples of one to `most` leaves; by default of `arrays`."""
    entries = draw(st.lists(arrays() if leaves is None else leaves, min_size=1, max_size=most))
    return drawn_nesting(_choosing(draw), entries)


def costs(framework: str = "autograd") -> st.SearchStrategy[GeneralCost]:
    """Cost functions ``cost(batch, v)`` of any container v of variables, on what `batches` draws."""
    return st.sampled_from([GeneralCost(name, framework) for name in COSTS])


@st.composite
def batches(draw: st.DrawFn, tasks: int, *, dtypes: Sequence[str] = DTYPES) -> dict[str, NDArray[Any]]:
    """Data for `costs`: {"x": [tasks, examples, 3], "y": [tasks, examples]} as NumPy arrays, all of one dtype."""
    examples, dtype = draw(st.integers(1, 3)), draw(st.sampled_from(dtypes))
    shapes = {"x": (tasks, examples, FEATURES), "y": (tasks, examples)}
    return {name: draw(arrays([shape], [dtype])) for name, shape in shapes.items()}
