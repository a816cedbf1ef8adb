"""A report for people: the verdict first, then what is wrong and where, then the table."""

from __future__ import annotations

from textwrap import indent
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from verification.diagnosis import Diagnosis
from verification.report.model import Case, Report
from verification.subjects import Finding

_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_GRAVITY = ("pass", "inconclusive", "fail")
_SHOWN_CASES = 3  # failing problems told in full, one where the mistake has a name; the table has them all
_SHOWN_LEAVES = 4
_CAPTION = "Error: the largest, as a part of its bound; above 1 it is wrong."
_MISSING = "\n–: wrong, but not by its numbers."
_OVERLOOKED = "No problem that was asked would have shown these faults (refmaml faults ID explains one):"
_HOW_TO_SUPPORT = "They need options; a problem subject that handles an option names it in its attribute `supports`."


def show(report: Report, console: Console) -> None:
    """Print a report."""
    console.print(_headline(report))
    for diagnosis in report.diagnosis:
        console.print(_diagnosis(diagnosis))
    failing = [case for case in report.cases if case.verdict == "fail"]
    told = 1 if any(diagnosis.convincing for diagnosis in report.diagnosis) else _SHOWN_CASES
    for case in failing[:told]:
        console.print(_failure(case))
        console.print(Text("To reproduce it:", style="dim"))
        console.print(Text(indent(case.snippet, "    ")), soft_wrap=True)  # a wrapped line cannot be pasted
    if len(failing) > told:
        console.print(f"{len(failing) - told} more failing problems are in the table.")
    console.print(_table(report))
    if report.relations:
        console.print(_relations(report))
    if report.overlooked:
        console.print(f"{_OVERLOOKED} {', '.join(report.overlooked)}.")
    if report.left_out:
        names = ", ".join(dict.fromkeys(report.left_out))
        console.print(f"Not asked: {names}.\n{_HOW_TO_SUPPORT}", style="dim")


def _headline(report: Report) -> RenderableType:
    style = _STYLES[report.verdict]
    about = f"{report.subject} ({report.framework} {report.kind})"
    return Panel(Text.assemble((report.verdict.upper(), style), f"  {about}\n{report.reason}"), border_style=style)


def _diagnosis(diagnosis: Diagnosis) -> RenderableType:
    text = Text.assemble((f"{diagnosis.name}: {diagnosis.title}\n", "bold"), f"{diagnosis.evidence}.\n")
    if diagnosis.cannot_tell_from:
        text.append(f"These answers do not tell it from {' or '.join(diagnosis.cannot_tell_from)}.\n")
    if diagnosis.convention:
        text.append(f"If that is meant, declare it: --convention {diagnosis.convention}.\n")
    text.append(f"What to do: {diagnosis.advice}")
    if diagnosis.source:
        text.append(f"\nSeen in: {diagnosis.source}", style="dim")
    return Panel(text, title="The mistake", title_align="left")


def _failure(case: Case) -> RenderableType:
    shown = case.findings[:_SHOWN_LEAVES]
    parts: list[RenderableType] = [_finding(finding) for finding in shown]
    if len(case.findings) > len(shown):
        parts.append(Text(f"and {len(case.findings) - len(shown)} more", style="dim"))
    return Panel(Group(*parts), title=f"{case.problem} · order {case.order} · {case.dtype}", title_align="left")


def _finding(finding: Finding) -> RenderableType:
    where = finding.what if finding.leaf is None else f"{finding.what}, {finding.leaf}"
    text = Text.assemble((f"{where}: ", "bold"), f"{finding.message}.")
    if finding.expected is not None and finding.got is not None:
        index, expected, got = _worst_entry(finding.expected, finding.got)
        text.append(f"\n    {index}expected {expected:.9g}, got {got:.9g}")
    return text


def _worst_entry(expected: Any, got: Any) -> tuple[str, float, float]:
    """Return the entry that is furthest off, or the first that is not a number."""
    off = np.abs(np.asarray(got, np.float64) - expected)
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
    place = f"at [{', '.join(map(str, worst))}] " if worst else ""
    return place, float(expected[worst]), float(got[worst])


def _relations(report: Report) -> RenderableType:
    """Tell each relation that did not hold, and how many did."""
    held = sum(each.result.verdict == "pass" for each in report.relations)
    lines = [Text(f"{held} of {len(report.relations)} relations hold in float64.")]
    for each in report.relations:
        if each.result.verdict != "pass":
            verdict = (each.result.verdict, _STYLES[each.result.verdict])
            where = f"  {each.result.name} · {each.problem} · order {each.order}: {each.result.sentence}"
            lines.append(Text.assemble(verdict, where))
    return Group(*lines)


def _table(report: Report) -> Table:
    """Return one row for each problem, with its error in each precision."""
    dtypes = list(dict.fromkeys(case.dtype for case in report.cases))
    table = Table(caption=_CAPTION + (_MISSING if not all(map(_compared, report.cases)) else ""))
    for name in ("problem", "order"):
        table.add_column(name)
    for dtype in dtypes:
        table.add_column(f"error, {dtype}", justify="right")
    table.add_column("verdict")
    rows: dict[tuple[str, str], list[Case]] = {}
    for case in report.cases:
        rows.setdefault((case.problem, str(case.order)), []).append(case)
    for (problem, order), cases in rows.items():
        verdict = max((case.verdict for case in cases), key=_GRAVITY.index)
        errors = {case.dtype: _error(case) for case in cases}
        table.add_row(
            problem, order, *(errors.get(dtype, Text("")) for dtype in dtypes), Text(verdict, style=_STYLES[verdict])
        )
    return table


def _error(case: Case) -> Text:
    return Text(f"{case.worst:.2g}" if _compared(case) else "–", style=_STYLES[case.verdict])


def _compared(case: Case) -> bool:
    """Return whether the error tells the verdict: not where a leaf is missing and the others are right."""
    return case.verdict != "fail" or not case.worst <= 1
