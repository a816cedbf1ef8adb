"""Covering arrays: every two levels that can stand together meet, and no others do."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from verification.problems.covering import can_stand_together, covering_array

pytestmark = pytest.mark.once  # arithmetic

FACTORS = {"a": ("1", "2", "3"), "b": ("x", "y"), "c": ("p", "q", "r", "s"), "d": ("0", "1"), "e": ("k", "l", "m")}
NEVER = ({"a": ("1",), "b": ("y",)}, {"c": ("p", "q"), "d": ("1",), "e": ("k",)})


def every_row(never):
    """Return all rows that there are, one by one."""
    rows = [dict(zip(FACTORS, levels, strict=True)) for levels in product(*FACTORS.values())]
    return [row for row in rows if not any(all(row[f] in some for f, some in ban.items()) for ban in never)]


def pairs(rows):
    """Return the pairs of levels that some rows have."""
    return {frozenset(pair) for row in rows for pair in combinations(row.items(), 2)}


@pytest.mark.parametrize("never", [(), NEVER])
@pytest.mark.parametrize("seed", range(4))
def test_every_pair_that_can_stand_together_is_in_a_row(seed, never):
    """The rows have the pairs that all rows there are have; factors of 4 and 3 levels take 12 rows at least."""
    rows = covering_array(FACTORS, never, most=100, seed=seed)
    assert pairs(rows) == pairs(every_row(never))
    assert 12 <= len(rows) <= 18
    assert all(row in every_row(never) for row in rows)
    assert all(list(row) == list(FACTORS) for row in rows)


def test_the_first_rows_are_the_most_useful():
    """A limit cuts the last rows off, which have the fewest new pairs."""
    rows = covering_array(FACTORS, NEVER, most=100, seed=0)
    assert covering_array(FACTORS, NEVER, most=5, seed=0) == rows[:5]
    new = [len(pairs(rows[: n + 1]) - pairs(rows[:n])) for n in range(len(rows))]
    assert new[0] == 10
    assert sum(new[:6]) > sum(new[6:])


def test_a_seed_makes_the_rows():
    """The same seed makes the same rows, and another one others."""
    assert covering_array(FACTORS, NEVER, most=9, seed=3) == covering_array(FACTORS, NEVER, most=9, seed=3)
    assert covering_array(FACTORS, NEVER, most=9, seed=3) != covering_array(FACTORS, NEVER, most=9, seed=4)


def test_what_can_stand_together():
    """Levels are refused where they have one of each factor of a rule, and not before."""
    assert not can_stand_together({"a": "1", "b": "y", "c": "r"}, NEVER)
    assert can_stand_together({"a": "1", "c": "r"}, NEVER)
    assert can_stand_together({"c": "p", "d": "1"}, NEVER)
    assert not can_stand_together({"c": "q", "d": "1", "e": "k"}, NEVER)
