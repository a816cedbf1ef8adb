"""Planted faults "wrong only where": what the level "full" shows of code that is right but under one condition or two.

A step whose gradient is doubled under some conditions alone fails a run if, and only if, some problem of the run has
them and fails it for its doubled gradient. So each problem is answered once, with its right gradient doubled, and that
answer serves every fault that its conditions plant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from verification.judge import run_of
from verification.judging.comparison import compare
from verification.judging.conditions import met
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.orders import DTYPES, Order
from verification.problems import corners, levels
from verification.problems.covering import Row
from verification.problems.traits import Condition, conditions
from verification.subjects import Reply

Pair = tuple[Condition, Condition]
#: The part of the pairs that may survive.
MOST = 0.01


@dataclass(frozen=True)
class Survey:
    """What became of the planted faults of an order: how many there are, and those that no problem shows."""

    order: Order
    count: int
    surviving: list[Condition]
    pairs: int
    surviving_pairs: list[Pair]

    @property
    def is_clean(self) -> bool:
        """Whether no single condition and at most one pair in a hundred survives."""
        return not self.surviving and len(self.surviving_pairs) <= MOST * self.pairs


def survey(order: Order, *, level: str = "full", progress: Callable[[int, int, str], None] | None = None) -> Survey:
    """Plant a fault under every condition and under every two, and return those that a right verdict would miss."""
    shown: set[Condition] = set()
    shown_pairs: set[Pair] = set()
    for row in _failing(order, level, progress):
        shown.update(row.items())
        shown_pairs.update(combinations(row.items(), 2))
    singles, pairs = conditions(order), pairs_of(order)
    return Survey(
        order,
        len(singles),
        [condition for condition in singles if condition not in shown],
        len(pairs),
        [pair for pair in pairs if pair not in shown_pairs],
    )


def pairs_of(order: Order) -> list[Pair]:
    """Return every two levels of different factors that can stand together."""
    return [
        (one, other)
        for one, other in combinations(conditions(order), 2)
        if one[0] != other[0] and corners.can_meet(one, other)
    ]


def _failing(order: Order, level: str, progress: Callable[[int, int, str], None] | None) -> Iterator[Row]:
    """Yield the levels of each answer of a run that fails where its gradient is doubled."""
    standards = run_of(DTYPES, (), level, 0).standards_of(order)
    for index, standard in enumerate(standards):
        if progress:
            progress(index, len(standards), standard.problem.name)
        for dtype in levels.precisions(standard.problem, DTYPES):
            if fails(standard, dtype, factor=2.0):
                yield from met(standard, dtype)


def fails(standard: Standard, dtype: str, *, factor: float) -> bool:
    """Return whether the right answer to a problem fails with its gradient times a factor."""
    truths = standard.truths(own=False)
    right = truths[0].answer
    reply = Reply(right.cost, {chain: factor * leaf for chain, leaf in right.gradients.items()})
    return bool(compare(standard, dtype, reply, truths, Declared())[0])
