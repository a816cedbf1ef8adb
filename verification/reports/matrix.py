"""The kill matrix: what became of every fault and every correct variant."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.text import Text

from verification.reports.tables import print_table, say
from verification.selftest.trials import BAD, TrialResult

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
        )
    return lines


def is_clean(results: list[TrialResult]) -> bool:
    """Return whether there is no survivor and no false alarm."""
    return not any(result.outcome in BAD for result in results)
