"""The catalogue and the kill matrix as a page of the documentation, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from verification.faults import CATALOGUE, NOT_SHOWN
from verification.orders import SPELLINGS
from verification.reports.matrix import hole_lines, totals
from verification.selftest.holes import Row
from verification.selftest.trials import TrialResult

#: What a report can find wrong with an answer, in the order in which it looks.
CHECKS = ("cost", "gradients", "adapted", "inputs", "second call")


def page(results: list[TrialResult], command: str, rows: list[Row]) -> str:
    """Return the whole page, which says what command made it; `rows` has what each problem shows."""
    parts = [
        "# The catalogue and the kill matrix",
        f"The command `{command}` writes this page. [Faults and their names](faults.md) explains how to read it.",
        "## The catalogue",
        catalogue(),
        "## The kill matrix",
        *totals(results),
        *_matrices(results),
        "## What each check alone catches",
        "Faults that no other check finds, on any problem, in any precision.",
        alone(results),
        *(("## What each problem shows", *hole_lines(rows), problems_that_show(rows)) if rows else ()),
    ]
    return "\n\n".join(parts) + "\n"


def catalogue() -> str:
    """Return the catalogue: what comes back, and on what problem it shows; then what no single step shows."""
    rows = [(fault.id, fault.title, fault.formula, fault.shows, fault.source) for fault in CATALOGUE.values()]
    shown = _table(("id", "fault", "what comes back", "shows on", "seen in"), rows)
    hidden = _table(("id", "why no single step shows it"), NOT_SHOWN.items())
    return f"{shown}\n\nThese faults are known, but no single step shows them:\n\n{hidden}"


def matrix(results: list[TrialResult]) -> str:
    """Return a row for each subject, with what became of it in each precision, and what it was caught by."""
    dtypes = list(dict.fromkeys(result.trial.dtype for result in results))
    by_subject: dict[str, list[TrialResult]] = {}
    for result in results:
        by_subject.setdefault(result.trial.name, []).append(result)
    rows = []
    for name, row in by_subject.items():
        became = {result.trial.dtype: _became(result) for result in row}
        rows.append((name, *(became.get(dtype, "–") for dtype in dtypes), ", ".join(_caught_by(row))))
    return _table(("subject", *dtypes, "caught by"), rows)


def alone(results: list[TrialResult]) -> str:
    """Return, for each check, the faults that it catches and no other check does."""
    caught: dict[str, list[TrialResult]] = {}
    for result in results:
        if result.trial.faults:
            caught.setdefault(f"{result.trial.name} in {SPELLINGS[result.trial.order].title.lower()}", []).append(
                result
            )
    rows = []
    for check in CHECKS:
        names = [name for name, row in caught.items() if _caught_by(row) == [check]]
        rows.append((check, "; ".join(names) or "none"))
    return _table(("check", "faults that only this check catches"), rows)


def problems_that_show(rows: list[Row]) -> str:
    """Return a row for each fault in each form and order, with the problems that show it."""
    cells = [
        (row.name, row.order, f"`{row.declared}`" if row.declared else "", ", ".join(row.problems) or "none")
        for row in rows
    ]
    head = ("fault", "order", "declared", "problems on which it is far from right")
    return _table(head, (tuple(map(str, row)) for row in cells))


def _matrices(results: list[TrialResult]) -> Iterable[str]:
    for order, spelling in SPELLINGS.items():
        of_order = [result for result in results if result.trial.order == order]
        if of_order:
            yield f"### {spelling.title}"
            yield matrix(of_order)


def _became(result: TrialResult) -> str:
    """Return the outcome, with the name that was told first where it is not the fault's own."""
    if result.outcome in ("named", "named wrong") and result.name != " + ".join(result.trial.faults):
        return f"{result.outcome}, as {result.name}"
    return result.outcome


def _caught_by(row: list[TrialResult]) -> list[str]:
    found = {what for result in row for what in result.caught_by}
    return [check for check in CHECKS if check in found] + sorted(found.difference(CHECKS))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head)]
    cells += [["---"] * len(cells[0]), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)
