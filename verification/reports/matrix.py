"""The kill matrix: what became of every fault and every correct variant."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from verification.reports.tables import print_table, say
from verification.selftest.holes import FAR, Row, holes
from verification.selftest.trials import BAD, Fate, TrialResult

_STYLES = {"named": "green", "correct": "green", "survived": "bold red", "false alarm": "bold red"}


def show_matrix(results: list[TrialResult], console: Console, *, verbose: bool = False) -> None:
    """Print the survivors and the false alarms, or with `verbose` the whole matrix; then the totals."""
    rows = [row for row in by_subject(results) if verbose or not is_clean(row)]
    if rows:
        title = (
            "every fault and every correct variant" if verbose else "faults that survived and correct code that failed"
        )
        _print_rows(rows, f"What became of {title}", console)
    for line in totals(results):
        say(line, console)


def by_subject(results: list[TrialResult]) -> list[list[TrialResult]]:
    """Return the results of each subject in each order."""
    rows: dict[tuple[str, str], list[TrialResult]] = {}
    for result in results:
        rows.setdefault((result.trial.name, str(result.trial.order)), []).append(result)
    return list(rows.values())


def _print_rows(rows: list[list[TrialResult]], title: str, console: Console) -> None:
    dtypes = list(dict.fromkeys(result.trial.dtype for row in rows for result in row))
    lines: list[list[str | Text]] = []
    for row in rows:
        cells = {result.trial.dtype: _cell(result) for result in row}
        caught = ", ".join(dict.fromkeys(what for result in row for what in result.caught_by))
        first = row[0].trial
        lines.append([first.name, str(first.order), *(cells.get(dtype, Text("-")) for dtype in dtypes), caught])
    print_table(("subject", "order", *dtypes, "caught by"), lines, console, title=title)


def _cell(result: TrialResult) -> Text:
    words = f"named {result.name}" if result.outcome == "named wrong" else result.outcome
    return Text(words, style=_STYLES.get(result.outcome, "yellow"))


def show_holes(rows: list[Row], console: Console) -> None:
    """Print how many faults the problems show, and those that none shows."""
    for line in hole_lines(rows):
        say(line, console)


def hole_lines(rows: list[Row]) -> list[str]:
    """Return, in sentences, how many faults the problems of the level show, and those that none shows."""
    empty = [row for row in rows if row.is_hole]
    lines = [
        f"{len(rows) - len(empty)} of {len(rows)} faults, in each form and order, are {FAR:,.0f} bounds or more from "
        f"right on a problem of the level; {len(holes(rows))} are not, and {len(empty) - len(holes(rows))} cannot be."
    ]
    for row in empty:
        said = (
            f"it cannot be shown: {row.reason}" if row.reason else "expected a problem that shows it, but there is none"
        )
        lines.append(f"{row.name}, order {row.order}: {said}.")
    return lines


def totals(results: list[TrialResult]) -> list[str]:
    """Return the totals in sentences."""
    lines = []
    for dtype in dict.fromkeys(result.trial.dtype for result in results):
        of_dtype = [result for result in results if result.trial.dtype == dtype]
        faults = [result for result in of_dtype if result.trial.faults]
        correct = [result for result in of_dtype if not result.trial.faults]
        count = Counter(result.outcome for result in of_dtype)
        caught = len(faults) - count["survived"] - count["inconclusive"]
        lines.append(
            f"{dtype}: {caught} of {len(faults)} faults caught, {count['named']} named right, {count['named wrong']} "
            f"named wrong, {count['not named']} not named, {count['inconclusive']} inconclusive, {count['survived']} "
            f"survived; {count['false alarm']} false alarms on {len(correct)} correct variants."
            if not all(len(result.trial.faults) == 2 for result in of_dtype)
            else _total_of_pairs(dtype, count)
        )
    return lines


def _total_of_pairs(dtype: str, count: Counter[Fate]) -> str:
    """Return what became of two faults at once; the part that has a name is of those that differ from one fault."""
    differing = sum(count.values()) - count["as one"] - count["hidden"]
    part = f" ({count['named'] / differing:.1%})" if differing else ""
    return (
        f"{dtype}: of {sum(count.values())} times two faults at once, {count['as one']} give every answer of one fault "
        f"and {count['hidden']} the right ones; of the other {differing}, {count['named']} are named right{part}, "
        f"{count['named wrong']} named wrong, {count['not named']} not named, {count['inconclusive']} inconclusive and "
        f"{count['survived']} survived."
    )


def to_dict(results: list[TrialResult], rows: list[Row]) -> dict[str, Any]:
    """Return the matrix, and what each problem shows, in plain types for JSON."""
    return {"trials": [asdict(result) for result in results], "shown": [row.to_dict() for row in rows]}


def is_clean(results: list[TrialResult]) -> bool:
    """Return whether there is no survivor and no false alarm."""
    return not any(result.outcome in BAD for result in results)
