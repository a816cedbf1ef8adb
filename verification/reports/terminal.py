"""A report for people: the verdict first, then what is wrong and where, then the table."""

from __future__ import annotations

from collections import Counter
from textwrap import indent
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from verification.naming.wording import Diagnosis
from verification.report import UNDECLARED, Case, Part, Report, distinct
from verification.subjects import Finding
from verification.verdicts import GRAVITY, worst

_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_SHOWN_CASES = 3  # failing problems told in full, one where the mistake has a name; the table has them all
_SHOWN_LEAVES = 4
_SHOWN_REASONS = 6
_CAPTION = "Error: the largest error divided by its bound; above 1 it is wrong."
_MISSING = "\n–: the numbers are right, but something else is wrong."
_OVERLOOKED = "None of the tested problems shows these faults (refmaml faults ID explains one):"
_HOW_TO_SUPPORT = (
    "These problems need options. List the options that your subject supports in its attribute `supports`."
)


def show(report: Report, console: Console) -> None:
    """Print a report."""
    console.print(_headline(report))
    for diagnosis in report.diagnosis:
        console.print(_diagnosis(diagnosis))
    failing = [case for case in report.cases if case.verdict == "fail"]
    shown = 1 if any(diagnosis.convincing for diagnosis in report.diagnosis) else _SHOWN_CASES
    causes = distinct(failing)
    for case, count in causes[:shown]:
        console.print(_failure(case, count))
        console.print(Text("To reproduce it:", style="dim"))
        console.print(Text(indent(case.snippet, "    ")), soft_wrap=True)  # a wrapped line cannot be pasted
    if count := sum(number for _, number in causes[shown:]):
        more = " The JSON report lists the vectors one by one." if any(map(_is_vector, failing[shown:])) else ""
        console.print(f"The table has {count} more wrong {'answer' if count == 1 else 'answers'}.{more}")
    if report.cases:
        console.print(_table(report))
    if report.relations:
        console.print(_relations(report))
    if report.overlooked:
        console.print(f"{_OVERLOOKED} {', '.join(report.overlooked)}.")
    if report.why_left_out:
        undeclared = sum(why.startswith(UNDECLARED) for why in report.why_left_out.values())
        if undeclared:
            console.print(f"Not tested: {_problems(undeclared)} beyond what the program declares.", style="dim")
        reasons = Counter(why for why in report.why_left_out.values() if not why.startswith(UNDECLARED)).most_common()
        for why, count in reasons[:_SHOWN_REASONS]:
            console.print(Text(f"Not answered: {_problems(count)}, because {why}.", style="dim"))  # no markup of theirs
        if len(reasons) > _SHOWN_REASONS:
            console.print("The JSON report has the other reasons.", style="dim")
    elif report.left_out:
        names = ", ".join(dict.fromkeys(report.left_out))
        console.print(f"Not tested: {names}.\n{_HOW_TO_SUPPORT}", style="dim")


def _problems(count: int) -> str:
    return f"{count} {'problem' if count == 1 else 'problems'}"


def _headline(report: Report) -> RenderableType:
    style = _STYLES[report.verdict]
    about = f"{report.subject} ({report.framework} {report.kind})"
    text = Text.assemble((report.verdict.upper(), style), f"  {about}\n{report.reason}")
    if report.inferred_from:
        said = f"The framework is inferred: {report.inferred_from}. The option --framework names another."
        text.append(f"\n{said}", style="dim")
    for part in report.parts:
        text.append("\n").append_text(_part(part))
    return Panel(text, border_style=style)


def _part(part: Part) -> Text:
    """Tell what became of one part, in a line."""
    if part.verdict is None:
        return Text(f"{part.name} steps: {part.note}")
    orders = ", ".join(map(str, part.orders))
    count = f"{part.answers} {'answer' if part.answers == 1 else 'answers'}{', ' if part.note else ''}{part.note}"
    return Text.assemble(f"{part.name} steps (order {orders}): ", _styled(part.verdict), f", {count}")


def _diagnosis(diagnosis: Diagnosis) -> RenderableType:
    text = Text.assemble((f"{diagnosis.name}: {diagnosis.title}\n", "bold"), f"{diagnosis.evidence}.\n")
    if diagnosis.cannot_tell_from:
        text.append(f"These answers do not distinguish it from {' or '.join(diagnosis.cannot_tell_from)}.\n")
    if diagnosis.convention:
        text.append(f"If this is intended, declare it: --convention {diagnosis.convention}.\n")
    text.append(f"What to do: {diagnosis.advice}")
    if diagnosis.source:
        text.append(f"\nSource: {diagnosis.source}", style="dim")
    return Panel(text, title="The mistake", title_align="left")


def _failure(case: Case, count: int) -> RenderableType:
    shown = case.findings[:_SHOWN_LEAVES]
    parts: list[RenderableType] = [_finding(finding) for finding in shown]
    if len(case.findings) > len(shown):
        parts.append(Text(f"and {len(case.findings) - len(shown)} more", style="dim"))
    if count > 1:
        parts.append(Text(f"and the same on {count - 1} more", style="dim"))
    title = f"{case.problem} · order {case.order} · {case.dtype}{f' · {case.part}' if case.part else ''}"
    return Panel(Group(*parts), title=title, title_align="left")


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
    place_of = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
    place = f"at [{', '.join(map(str, place_of))}] " if place_of else ""
    return place, float(expected[place_of]), float(got[place_of])


def _relations(report: Report) -> RenderableType:
    """Tell each relation that did not hold, and how many did."""
    held = sum(relation.result.verdict == "pass" for relation in report.relations)
    lines = [Text(f"{held} of {len(report.relations)} relations hold in float64.")]
    for relation in report.relations:
        if relation.result.verdict != "pass":
            verdict = (relation.result.verdict, _STYLES[relation.result.verdict])
            about = f"{relation.problem} · order {relation.order}{f' · {relation.part}' if relation.part else ''}"
            where = f"  {relation.result.name} · {about}: {relation.result.sentence}"
            lines.append(Text.assemble(verdict, where))
    return Group(*lines)


def _table(report: Report) -> Table:
    """Return one row for each problem, with its error in each precision, or of each part."""
    columns = list(dict.fromkeys(map(_column, report.cases)))
    table = Table(caption=_CAPTION + (_MISSING if not all(map(_compared, report.cases)) else ""))
    for name in ("problem", "order"):
        table.add_column(name)
    for column in columns:
        table.add_column(f"error, {column}", justify="right")
    table.add_column("verdict")
    rows: dict[tuple[str, str, str], list[Case]] = {}
    for case in report.cases:
        rows.setdefault(_row(case), []).append(case)
    for (name, order, _), cases in rows.items():
        verdict = worst(case.verdict for case in cases)
        errors = [_error([case for case in cases if _column(case) == column]) for column in columns]
        count = len({case.problem for case in cases})
        table.add_row(name or f"{count} {'vector' if count == 1 else 'vectors'}", order, *errors, _styled(verdict))
    return table


def _is_vector(case: Case) -> bool:
    return case.group == "vectors"


def _row(case: Case) -> tuple[str, str, str]:
    """Return what the cases of a row share: there are hundreds of vectors, and one row for all of a verdict."""
    return ("", str(case.order), case.verdict) if _is_vector(case) else (case.problem, str(case.order), "")


def _column(case: Case) -> str:
    """Return what a column's cases share: a table with a column for each part and precision would be too wide."""
    return case.part or case.dtype


def _styled(verdict: str) -> Text:
    return Text(verdict, style=_STYLES[verdict])


def _error(cases: list[Case]) -> Text:
    """Return the largest error, as far as there is one."""
    if not cases:
        return Text("")
    gravest = max(cases, key=lambda case: (GRAVITY.index(case.verdict), case.worst))
    raised = any(finding.what == "exception" for finding in gravest.findings)
    error = f"{gravest.worst:.2g}" if _compared(gravest) else "–"
    return Text("raised" if raised else error, style=_STYLES[gravest.verdict])


def _compared(case: Case) -> bool:
    """Return whether the error tells the verdict: not where a leaf is missing and the others are right."""
    return case.verdict != "fail" or not case.worst <= 1
