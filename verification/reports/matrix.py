"""The kill matrix: what became of every fault and every correct variant."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verification.selftest.trials import BAD, TrialResult

_STYLES = {"named": "green", "correct": "green", "survived": "bold red", "false alarm": "bold red"}


def show_matrix(results: list[TrialResult], console: Console) -> None:
    """Print the matrix with its totals."""
    console.print(_table(results))
    for line in totals(results):
        console.print(line)


def _table(results: list[TrialResult]) -> Table:
    dtypes = list(dict.fromkeys(result.trial.dtype for result in results))
    table = Table(title="What became of every fault and every correct variant")
    for name in ("subject", "order", *dtypes, "caught by"):
        table.add_column(name)
    rows: dict[tuple[str, str], list[TrialResult]] = {}
    for result in results:
        rows.setdefault((result.trial.name, str(result.trial.order)), []).append(result)
    for (name, order), row in rows.items():
        cells = {result.trial.dtype: _cell(result) for result in row}
        caught = ", ".join(dict.fromkeys(what for result in row for what in result.caught_by))
        table.add_row(name, order, *(cells.get(dtype, Text("–")) for dtype in dtypes), caught)
    return table


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
