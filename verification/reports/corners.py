"""What became of faults that are planted under conditions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from verification.problems.traits import Condition
from verification.reports.tables import say
from verification.selftest.corners import MOST, Survey


def show_surveys(surveys: Sequence[Survey], console: Console, *, verbose: bool = False) -> None:
    """Print how many faults survive; those under one condition by name, and with `verbose` those under two."""
    for found in surveys:
        share = len(found.surviving_pairs) / found.pairs
        say(
            f"order {found.order}: {len(found.surviving)} of {found.count} faults under one condition survive, and "
            f"{len(found.surviving_pairs)} of {found.pairs} under two ({share:.2%}, where {MOST:.0%} may).",
            console,
        )
        pairs = found.surviving_pairs if verbose or not found.is_clean else ()
        for conditions in [*((one,) for one in found.surviving), *pairs]:
            say("; ".join(map(_spelled, conditions)), console, indent=4)


def _spelled(condition: Condition) -> str:
    return ": ".join(condition)
