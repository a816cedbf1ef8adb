"""A problem of what a choice hands out: Hypothesis and campaigns draw from this one space.

Of every list of options the simplest comes first: always the first makes a quadratic cost with two tasks, one inner
step and α = ¼.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from verification.orders import DTYPES, Order
from verification.problems import corners
from verification.problems.covering import Row
from verification.problems.families import FAMILIES
from verification.problems.making import make_corner, make_problem
from verification.problems.options import Options, Selection
from verification.problems.problem import EXTRAS, Problem
from verification.problems.traits import FACTORS
from verification.problems.trees import Tree, leaves

T = TypeVar("T")

#: Families that have a gradient everywhere. Where a cost has a kink, two right answers may differ.
SMOOTH = tuple(name for name, family in FAMILIES.items() if family().kink_distances is None)
# One task or no step would hide a mistake, and so they are not the simplest.
_TASKS, _STEPS, _RATES = (2, 3, 1), (1, 2, 3, 0), (0.25, 0.125, 0.1, 0.03)
_SEEDS = range(2**16 + 1)
_DEPTH = 3
_NO, _YES = (False, True), (True, False)
#: What a subject has to support for levels of a factor.
_ASKED: dict[str, dict[str, tuple[str, ...]]] = {
    "mode": {"batched": ("batched",)},
    "outer cost at": {"averaging": ("every step",)},
    "inner selection": {"selections": FACTORS["inner selection"][1:]},
    "outer selection": {"selections": FACTORS["outer selection"][1:]},
    "parameters of costs": {"selections": ("three",)},
    "form of α": {"leaf-rates": FACTORS["form of α"][1:]},
    "α": {"negative-rates": ("negative",)},
    "dtype": {"mixed-dtypes": ("mixed",)},
}


class Choose(Protocol):
    """Takes one of several options."""

    def __call__(self, options: Sequence[T], /) -> T:
        """Return one of the options."""


def drawn_problem(
    choose: Choose,
    *,
    order: Order = 1,
    framework: str = "autograd",
    families: Sequence[str] = SMOOTH,
    dtypes: Sequence[str] = DTYPES,
    supports: Collection[str] = (),
) -> Problem:
    """Return a problem; `supports` says what it may ask beyond a plain one, as a subject's attribute of that name."""
    family = choose(families)
    names = list(FAMILIES[family]().shapes)
    nest = drawn_nesting(choose, names) if choose(_NO) else None
    tasks = choose(_TASKS)
    rates: tuple[float | None, ...] = (*_RATES, None) if "leaf-rates" in supports else _RATES
    return make_problem(
        family,
        tasks=tasks,
        steps=choose(_STEPS),
        rate=choose(rates),
        seed=choose(_SEEDS),
        order=order,
        nest=nest,
        framework=framework,
        dtype=choose(dtypes),
        **vars(drawn_options(choose, tuple(leaves(nest) if nest else names), order, tasks, supports)),
    )


def drawn_corner(choose: Choose, *, order: Order = 1, supports: Collection[str] = ()) -> Problem:
    """Return a problem with a level of each factor by chance; what the subject does not support is not asked."""
    row: Row = {}
    for factor in corners.IN_TURN:
        fitting = [level for level in corners.levels_beside(factor, row) if _asks(factor, level) <= set(supports)]
        row[factor] = choose(sorted(fitting, key=lambda level: level != corners.ORDINARY[factor]))
    return make_corner(row, seed=choose(_SEEDS), order=order)


def _asks(factor: str, level: str) -> set[str]:
    """Return what a subject has to support to be asked a level."""
    return {name for name, levels in _ASKED.get(factor, {}).items() if level in levels}


def drawn_options(
    choose: Choose, chains: Sequence[str], order: Order = 1, tasks: int = 1, supports: Collection[str] = EXTRAS
) -> Options:
    """Return options of a step on variables with these key chains; those that the order or subject has not are off."""
    counts = (None, *range(1, tasks + 1))
    loop = Options(batched="batched" in supports and choose(_NO), num_tasks=choose(counts))
    if order == "reptile":
        return loop
    selects = "selections" in supports
    inner, outer = (drawn_selection(choose, chains) if selects and choose(_NO) else Selection() for _ in range(2))
    passed_on = {*inner.of_task(0, tuple(chains)), *outer.of_task(0, tuple(chains))}
    return replace(
        loop,
        average_across_steps="averaging" in supports and choose(_NO),
        same_cost=choose(_NO),
        # A cost of three parameters gets the selected variables alone, and those of a family need them all.
        three_parameters=selects and passed_on == set(chains) and choose(_NO),
        inner_v=inner,
        outer_v=outer,
    )


def drawn_selection(choose: Choose, chains: Sequence[str]) -> Selection:
    """Return a selection of at least one variable, as a list of key chains to keep, or of those to leave out."""
    first = choose(chains)
    meant = tuple(chain for chain in chains if chain == first or choose(_NO))
    keep = choose(_YES)
    spelled = [chain for chain in chains if (chain in meant) is keep]
    return Selection(spelled[:: choose((1, -1))], keep, meant)


def drawn_nesting(choose: Choose, entries: Sequence[Any], depth: int = _DEPTH) -> Tree:
    """Put leaves, in their order, into a container and containers in it; a flat dict is the simplest."""
    kind = choose((dict, list, tuple))
    branches: list[Any] = []
    rest = list(entries)
    while rest:
        size = choose(range(1, len(rest) + 1)) if depth else 1
        group, rest = rest[:size], rest[size:]
        alone = size == 1 and not (depth and choose(_NO))
        branches.append(group[0] if alone else drawn_nesting(choose, group, depth - 1))
    if kind is not dict:
        return kind(branches)
    letters = list(string.ascii_lowercase[: len(branches)])
    # The variable of a problem goes by its name.
    keys = [branch if isinstance(branch, str) else letters.pop(choose(range(len(letters)))) for branch in branches]
    return dict(zip(keys, branches, strict=True))
