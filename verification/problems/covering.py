"""Covering arrays: few rows in which every two levels of any two factors meet.

A row is made as in AETG (Cohen, Dalal, Fredman and Patton, 1997, section 3): it begins with a pair that no row has yet,
the other factors follow in random order, each with the level that meets the most levels for the first time, and the
best of a few such rows is kept. Levels that cannot stand together are kept apart as the row grows.

The packages for this on PyPI are for lists of test parameters, and what a level of `refmaml verify` asks must neither
need one of them nor change with its version. This is all that it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

#: A level of each factor.
Row = dict[str, str]
#: Levels of some factors of which no row has one each.
Never = Mapping[str, Collection[str]]

_TRIES = 8  # rows to choose the best of
_FRUITLESS = 20  # choices in a row that meet no new pair: what is left cannot stand together


def covering_array(
    factors: Mapping[str, Sequence[str]], never: Sequence[Never], *, most: int, seed: int = 0
) -> list[Row]:
    """Return rows that cover the pairs of levels which can stand together, `most` of them at most.

    Args:
        factors: the levels of each factor.
        never: what cannot stand together.
        most: how many rows to make at most.
        seed: makes the random choices.
    """
    search = _Search(factors, never, np.random.default_rng(seed))
    rows: list[Row] = []
    fruitless = 0
    while len(rows) < most and fruitless < _FRUITLESS and search.has_more:
        best = max((search.row() for _ in range(_TRIES)), key=search.gain)
        if not search.gain(best):
            fruitless += 1
            continue
        fruitless = 0
        search.take(best)
        rows.append(search.spelled(best))
    return rows


def can_stand_together(levels: Mapping[str, str], never: Sequence[Never]) -> bool:
    """Return whether a row may have some levels, by factor."""
    return not any(all(levels.get(factor) in some for factor, some in ban.items()) for ban in never)


class _Search:
    """The pairs that no row has yet, as a symmetric matrix over all levels; a row is a list of places there."""

    def __init__(self, factors: Mapping[str, Sequence[str]], never: Sequence[Never], rng: np.random.Generator) -> None:
        self._factors, self._rng = tuple(factors), rng
        self._levels = [(factor, level) for factor, levels in factors.items() for level in levels]
        self._owner = np.array([self._factors.index(factor) for factor, _ in self._levels])
        self._new: NDArray[np.bool_] = self._owner[:, None] != self._owner
        self._never = np.array([[level in ban.get(factor, ()) for factor, level in self._levels] for ban in never])
        self._sizes = np.array([len(ban) for ban in never])

    @property
    def has_more(self) -> bool:
        """Whether some pair is in no row."""
        return bool(self._new.any())

    def row(self) -> list[int]:
        """Return a row around a pair that is new, or nothing where its levels lead to a dead end."""
        taken: list[int] = self._rng.choice(np.argwhere(np.triu(self._new))).tolist()
        if self._refused(taken[:1])[taken[1]]:
            self._new[taken[0], taken[1]] = self._new[taken[1], taken[0]] = False  # it never will be in one
            return []
        for factor in self._rng.permutation(len(self._factors)):
            if factor in self._owner[taken]:
                continue
            gains = self._new[:, taken].sum(axis=1) + self._rng.random(len(self._levels))  # equal ones by chance
            gains[(self._owner != factor) | self._refused(taken)] = -1
            best = int(np.argmax(gains))
            if gains[best] < 0:
                return []
            taken.append(best)
        return taken

    def _refused(self, taken: list[int]) -> NDArray[np.bool_]:
        """Return which levels would complete what cannot stand together."""
        if not len(self._never):
            return np.zeros(len(self._levels), bool)
        nearly = self._never[:, taken].sum(axis=1) == self._sizes - 1
        refused: NDArray[np.bool_] = self._never[nearly].any(axis=0)
        return refused

    def gain(self, row: list[int]) -> int:
        """Return how many new pairs a row has."""
        return int(np.count_nonzero(self._new[np.ix_(row, row)])) // 2

    def take(self, row: list[int]) -> None:
        """Count the pairs of a row as met."""
        self._new[np.ix_(row, row)] = False

    def spelled(self, row: list[int]) -> Row:
        """Return the levels of a row by factor, in the order of the factors."""
        return dict(self._levels[place] for place in sorted(row))
