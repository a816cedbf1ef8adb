"""The conditions of `verification.problems.traits` that an answer was asked under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from verification.judging.standard import Standard
from verification.problems import levels
from verification.problems.covering import Row
from verification.problems.traits import conditions, levels_of

#: A problem in a precision.
Asked = tuple[Standard, str]

_UNMET = "No problem was asked with one of these, so that a mistake there alone would pass: "


def met(standard: Standard, dtype: str) -> Iterator[Row]:
    """Yield the level of each factor that a problem has in a precision, for each call of it."""
    native, size = standard.generic.native("numpy", dtype), max(standard.sensitivity.sizes.values())
    for call in range(1 + levels.is_asked_twice(standard.problem)):
        yield levels_of(native, size, call=call)


def unmet(tested: Iterable[Asked]) -> str:
    """Say under which conditions none of these problems is asked; nothing where every one of them is met."""
    missing = set()
    for order, some in groupby(tested, key=lambda pair: pair[0].problem.order):
        met_here = {condition for pair in some for row in met(*pair) for condition in row.items()}
        missing |= set(conditions(order)) - met_here
    listed = [f"{factor}: {level}" for factor, level in conditions(1) if (factor, level) in missing]
    return f"{_UNMET}{'; '.join(listed)}." if listed else ""
