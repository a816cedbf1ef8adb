"""What chance decides, as a list of numbers: it can be taken again, and made smaller.

A choice is the place of what is taken in a list of options, where the simplest comes first. So the smallest numbers
make the simplest problem, and to shrink a problem is to shrink numbers; Hypothesis works in the same way (MacIver and
Donaldson 2020, "Test-case reduction via test-case generation").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

#: More smaller problems are not asked: each takes a part of a second.
_MOST = 200


class Choices:
    """Takes options by given numbers; beyond them by chance, or without a source of chance always the first one."""

    def __init__(self, given: Sequence[int] = (), rng: np.random.Generator | None = None) -> None:
        self._given, self._rng = tuple(given), rng
        self.made: list[int] = []

    def __call__(self, options: Sequence[T]) -> T:
        """Return one of the options, and note its place."""
        place = len(self.made)
        if place < len(self._given):
            index = min(self._given[place], len(options) - 1)
        else:
            index = 0 if self._rng is None else int(self._rng.integers(len(options)))
        self.made.append(index)
        return options[index]


def shrunk(numbers: Sequence[int], fails: Callable[[list[int]], list[int] | None]) -> list[int]:
    """Return smaller numbers that still fail: each is set to 0, halved or lowered by 1 as long as that works.

    Args:
        numbers: numbers that fail.
        fails: gets numbers, and returns those of them that were used where they fail, or None where they do not.
    """
    best, count = list(numbers), 0
    improved = True
    while improved:
        improved = False
        for place in range(len(best)):
            for smaller in _smaller(best, place):
                if count == _MOST:
                    return best
                count += 1
                used = fails(smaller)
                if used is not None and (len(used), used) < (len(best), best):
                    best, improved = used, True
                    break
    return best


def _smaller(numbers: list[int], place: int) -> list[list[int]]:
    """Return the numbers with one of them lowered: 0 first, which is the simplest."""
    if place >= len(numbers):
        return []  # a smaller problem leaves less to choose
    number = numbers[place]
    lower = dict.fromkeys(value for value in (0, number // 2, number - 1) if 0 <= value < number)
    return [[*numbers[:place], value, *numbers[place + 1 :]] for value in lower]
