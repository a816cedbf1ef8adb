"""Hypothesis strategies for tests of a meta-learning step.

Three lines hold a step against the judge on problems that nobody chose::

    @given(problems(framework="torch"))
    def test_my_step(problem):
        assert_right(my_subject(problem), problem)

What is drawn shrinks to a quadratic cost with two tasks, one inner step and α = ¼, and the `repr` of a problem is one
line that makes it again. `containers`, `costs` and `batches` are for tests that need no expected answer.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from verification.orders import DTYPES, Order
from verification.problems.families import FAMILIES
from verification.problems.making import make_problem
from verification.problems.options import Options, Selection
from verification.problems.problem import EXTRAS, Problem
from verification.problems.trees import Tree, leaves
from verification.testing.assertions import assert_right
from verification.testing.general_costs import COSTS, FEATURES, GeneralCost

__all__ = [
    "arrays", "assert_right", "batches", "containers", "costs", "options", "problems", "selections"
]  # fmt: skip

#: The shapes of variables.
SHAPES = ((), (1,), (3,), (2, 3))
#: Families that have a gradient everywhere. Where a cost has a kink, two right answers may differ.
SMOOTH = tuple(name for name, family in FAMILIES.items() if family().kink_distances is None)
# What comes first is what an example shrinks to: one task or no step would hide a mistake.
_TASKS, _STEPS, _RATES = (2, 3, 1), (1, 2, 3, 0), (0.25, 0.125, 0.1, 0.03)
_DEPTH = 3


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
    family = draw(st.sampled_from(families))
    names = list(FAMILIES[family]().shapes)
    # Hypothesis prefers fewer choices: without this one, a family with fewer variables than a quadratic.
    nest = draw(_nestings(names)) if draw(st.booleans()) else None
    tasks = draw(st.sampled_from(_TASKS))
    rates: st.SearchStrategy[float | None] = st.sampled_from(_RATES)
    return make_problem(
        family,
        tasks=tasks,
        steps=draw(st.sampled_from(_STEPS)),
        rate=draw(rates | st.none() if "leaf-rates" in supports else rates),
        seed=draw(st.integers(0, 2**16)),
        order=order,
        nest=nest,
        framework=framework,
        dtype=draw(st.sampled_from(dtypes)),
        **vars(draw(options(tuple(leaves(nest) if nest else names), order=order, tasks=tasks, supports=supports))),
    )


@st.composite
def options(
    draw: st.DrawFn, chains: Sequence[str], *, order: Order = 1, tasks: int = 1, supports: Collection[str] = EXTRAS
) -> Options:
    """The options of a step on variables with these key chains; those that the order or the subject has not are off."""
    loop = Options(
        batched="batched" in supports and draw(st.booleans()), num_tasks=draw(st.none() | st.integers(1, tasks))
    )
    if order == "reptile":
        return loop
    every = st.just(Selection())
    inner, outer = (draw(every | selections(chains) if "selections" in supports else every) for _ in range(2))
    passed_on = {*inner.of_task(0, tuple(chains)), *outer.of_task(0, tuple(chains))}
    return replace(
        loop,
        average_across_steps="averaging" in supports and draw(st.booleans()),
        same_cost=draw(st.booleans()),
        # A cost of three parameters gets the selected variables alone, and those of a family need them all.
        three_parameters="selections" in supports and passed_on == set(chains) and draw(st.booleans()),
        inner_v=inner,
        outer_v=outer,
    )


@st.composite
def selections(draw: st.DrawFn, chains: Sequence[str]) -> Selection:
    """Selections of at least one variable, as a list of key chains to keep, or of those to leave out."""
    meant = tuple(draw(st.lists(st.sampled_from(chains), min_size=1, unique=True)))
    keep = draw(st.sampled_from((True, False)))
    others = [chain for chain in chains if chain not in meant]
    return Selection(list(meant) if keep else others, keep, meant)


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
    return draw(_nestings(draw(st.lists(arrays() if leaves is None else leaves, min_size=1, max_size=most))))


@st.composite
def _nestings(draw: st.DrawFn, entries: Sequence[Any], depth: int = _DEPTH) -> Tree:
    """Put leaves, in their order, into a container and containers in it; a flat dict is the simplest."""
    kind = draw(st.sampled_from((dict, list, tuple)))
    branches: list[Any] = []
    rest = list(entries)
    while rest:
        size = draw(st.integers(1, len(rest))) if depth else 1
        group, rest = rest[:size], rest[size:]
        alone = size == 1 and not (depth and draw(st.booleans()))
        branches.append(group[0] if alone else draw(_nestings(group, depth - 1)))
    if kind is not dict:
        return kind(branches)
    letters = draw(st.permutations(string.ascii_lowercase[: len(branches)]))
    # The variable of a problem goes by its name.
    keys = [branch if isinstance(branch, str) else letter for branch, letter in zip(branches, letters, strict=True)]
    return dict(zip(keys, branches, strict=True))


def costs(framework: str = "autograd") -> st.SearchStrategy[GeneralCost]:
    """Cost functions ``cost(batch, v)`` of any container v of variables, on what `batches` draws."""
    return st.sampled_from([GeneralCost(name, framework) for name in COSTS])


@st.composite
def batches(draw: st.DrawFn, tasks: int, *, dtypes: Sequence[str] = DTYPES) -> dict[str, NDArray[Any]]:
    """Data for `costs`: {"x": [tasks, examples, 3], "y": [tasks, examples]} as NumPy arrays, all of one dtype."""
    examples, dtype = draw(st.integers(1, 3)), draw(st.sampled_from(dtypes))
    shapes = {"x": (tasks, examples, FEATURES), "y": (tasks, examples)}
    return {name: draw(arrays([shape], [dtype])) for name, shape in shapes.items()}
