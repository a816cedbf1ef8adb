"""A report for people: the verdict in one line, what is wrong and where, what was not tested; at length the tables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from rich.console import Console
from rich.text import Text

from verification.cases import PROTOCOL, UNDECLARED, VECTORS, Case, distinct
from verification.naming.wording import Diagnosis
from verification.report import Part, Report
from verification.reports.tables import print_table, say
from verification.texts import ISSUE, issue_address, spelled, with_texts
from verification.verdicts import GRAVITY, worst

#: How much is printed: the verdict and the name of the mistake; what is wrong too; every problem and relation too.
Detail: TypeAlias = Literal["quiet", "normal", "verbose"]

STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_SHOWN_CASES = 3  # failing problems told in full, one where the mistake has a name; the others have a line each
_SHOWN_LEAVES = 4
_SHOWN_REASONS = 6
_INDENT = 4
_CAPTION = "Error: the largest error divided by its bound; above 1 it is wrong."
_MISSING = " -: the numbers are right, but something else is wrong."
_OVERLOOKED = "None of the tested problems shows these faults (refmaml faults ID explains one):"
_HOW_TO_SUPPORT = (
    "These problems need options. List the options that your subject supports in its attribute `supports`."
)


def show(report: Report, console: Console, detail: Detail = "normal") -> None:
    """Print a report."""
    report = with_texts(report, lambda text: spelled(text, console.encoding))
    _show_headline(report, console)
    if detail == "quiet":
        for diagnosis in report.diagnosis:
            console.print(Text(f"{diagnosis.name}: {diagnosis.title}", style="bold"), soft_wrap=True)
        return
    if report.inferred_from:
        said = f"The framework is inferred: {report.inferred_from}. The option --framework names another."
        say(Text(said, style="dim"), console)
    for note in report.notes:
        say(Text(note, style="yellow"), console)
    for diagnosis in report.diagnosis:
        console.print()
        _show_diagnosis(diagnosis, console)
    for remark in report.remarks:
        console.print()
        say(remark, console)
    shown = 1 if any(diagnosis.convincing for diagnosis in report.diagnosis) else _SHOWN_CASES
    causes = distinct(report.failing)
    for case, count in causes[:shown]:
        console.print()
        _show_failure(case, count, console)
    _show_further(causes[shown:], console)
    if detail == "verbose" and report.cases:
        console.print()
        _show_problems(report, console)
    if detail == "verbose" or report.broken:
        _show_relations(report, console)
    _show_untested(report, console)
    if detail == "verbose":
        words = ", ".join(f"{name} {value}" for name, value in report.conditions.entries())
        say(Text(f"Run with {words}.", style="dim"), console)


def _show_headline(report: Report, console: Console) -> None:
    """Print one line for the verdict, and one for each part: unbroken, so that they stay lines where they are read."""
    headline = Text.assemble((report.verdict.upper(), STYLES[report.verdict]), f"  {report.about}: {report.reason}")
    console.print(headline, soft_wrap=True)
    for part in report.parts:
        console.print(_part(part), soft_wrap=True)


def _part(part: Part) -> Text:
    """Tell what became of one part, in a line."""
    if part.verdict is None:
        return Text(f"{part.name} steps: {part.note}")
    orders = ", ".join(map(str, part.orders))
    count = f"{part.answers} {'answer' if part.answers == 1 else 'answers'}{', ' if part.note else ''}{part.note}"
    return Text.assemble(f"{part.name} steps (order {orders}): ", _styled(part.verdict), f", {count}")


def _show_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    what = f"The mistake is {diagnosis.name}:" if diagnosis.convincing else "There are"
    headline = Text(f"{what} {diagnosis.title}", style="bold")
    for fault, page in diagnosis.pages.items() if _shows_links(console) else ():
        start = headline.plain.index(fault)
        headline.stylize(f"link {page}", start, start + len(fault))
    say(headline, console)
    lines = [Text(f"{diagnosis.evidence[:1].upper()}{diagnosis.evidence[1:]}.")]
    if diagnosis.cannot_tell_from:
        lines.append(Text(f"These answers do not distinguish it from {' or '.join(diagnosis.cannot_tell_from)}."))
    if diagnosis.convention:
        lines.append(Text(f"If this is intended, declare it: --convention {diagnosis.convention}."))
    lines.append(Text(f"What to do: {diagnosis.advice}"))
    if diagnosis.source:
        lines.append(linked(f"Source: {diagnosis.source}", console))
    for line in lines:
        say(line, console, _INDENT)


def linked(text: str, console: Console) -> Text:
    """Return a text in which names of issues are links, where the terminal knows links."""
    shown = Text(text)
    if _shows_links(console):
        for found in ISSUE.finditer(text):
            shown.stylize(f"link {issue_address(found[1], found[2])}", *found.span())
    return shown


def _shows_links(console: Console) -> bool:
    return console.is_terminal and knows_links(os.environ)


def knows_links(environment: Mapping[str, str]) -> bool:
    """Return whether a terminal is known to show links (the escape sequence OSC 8) as links.

    Source: the list at https://github.com/Alhadis/OSC8-Adoption, and the variables by which terminals name themselves.
    """
    vte = environment.get("VTE_VERSION", "")
    names = {"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio"}
    return (
        environment.get("TERM_PROGRAM") in names
        or environment.get("TERM", "").startswith(("xterm-kitty", "alacritty", "foot", "contour"))
        or any(name in environment for name in ("WT_SESSION", "DOMTERM", "KONSOLE_VERSION"))
        or (vte.isdecimal() and int(vte) >= 5000)
    )


def _show_failure(case: Case, count: int, console: Console) -> None:
    """Print what is wrong with one answer of `count`, and what shows it again: unwrapped, so that it can be pasted."""
    say(Text(case.title, style="bold"), console)
    for finding in case.findings[:_SHOWN_LEAVES]:
        say(str(finding), console, _INDENT)
    if len(case.findings) > _SHOWN_LEAVES:
        say(Text(f"and {len(case.findings) - _SHOWN_LEAVES} more", style="dim"), console, _INDENT)
    if count > 1:
        say(Text(f"and the same on {count - 1} more", style="dim"), console, _INDENT)
    console.print(Text("To reproduce it:", style="dim"))
    for line in case.snippet.splitlines():
        console.print(Text(f"    {line}"), soft_wrap=True)


def _show_further(causes: list[tuple[Case, int]], console: Console) -> None:
    """Print a line for each further problem that is wrong, and how many golden vectors are."""
    by_problem: dict[str, list[tuple[Case, int]]] = {}
    for case, count in causes:
        if not _is_vector(case):
            part = f", {case.part}" if case.part else ""
            by_problem.setdefault(f"{case.problem}, order {case.order}{part}", []).append((case, count))
    if wrong := sum(count for _, count in causes):
        console.print()
        console.print(Text(f"{_count(wrong, 'more answer')} {'is' if wrong == 1 else 'are'} wrong:"))
    for name, found in by_problem.items():
        cases = [case for case, _ in found]
        dtypes = " and ".join(dict.fromkeys(case.dtype for case in cases))
        same = sum(count for _, count in found) - len(found)
        more = f", and the same on {same} more" if same else ""
        say(f"{name}, {dtypes}: {_summary(cases)}{more}", console, _INDENT)
    if vectors := sum(count for case, count in causes if _is_vector(case)):
        say(f"{_count(vectors, 'golden vector')}; --format json lists them one by one", console, _INDENT)


def _summary(cases: list[Case]) -> str:
    """Return what is wrong with some answers in one line: how far they are off, or what came in place of numbers."""
    findings = [finding for case in cases for finding in case.findings]
    compared = [finding for finding in findings if finding.error is not None]
    if not compared:
        return str(findings[0]).splitlines()[0].rstrip(".")
    whats = ", ".join(dict.fromkeys(finding.what for finding in findings))
    return f"{whats}; up to {max(case.worst for case in cases):.2g} times the bound"


def _show_relations(report: Report, console: Console) -> None:
    """Print how many relations hold, and each that does not."""
    if not report.relations:
        return
    count = len(report.relations)
    say(f"{count - len(report.broken)} of {count} relations hold in float64.", console)
    for related in report.broken:
        part = f", {related.part}" if related.part else ""
        where = f" {related.result.name}, {related.problem}, order {related.order}{part}: {related.result.sentence}"
        say(Text.assemble(_styled(related.result.verdict), where), console, _INDENT)


def _show_untested(report: Report, console: Console) -> None:
    """Print what the verdict says nothing of."""
    if late := [case for case in report.cases if case.is_late and case.group != PROTOCOL]:
        names = list(dict.fromkeys(case.problem for case in late if not _is_vector(case)))
        vectors = sum(map(_is_vector, late))
        say(
            f"Not answered in time: {', '.join([*names, *([_count(vectors, 'golden vector')] if vectors else [])])}.",
            console,
        )
    if report.overlooked:
        say(f"{_OVERLOOKED} {', '.join(report.overlooked)}.", console)
    for sentence in _left_out(report):
        say(Text(sentence, style="dim"), console)


def _left_out(report: Report) -> Iterable[str]:
    if not report.why_left_out:
        if report.left_out:
            yield f"Not tested: {', '.join(dict.fromkeys(report.left_out))}."
            yield _HOW_TO_SUPPORT
        return
    undeclared = sum(why.startswith(UNDECLARED) for why in report.why_left_out.values())
    if undeclared:
        yield f"Not tested: {_count(undeclared, 'problem')} beyond what the program declares."
    reasons = Counter(why for why in report.why_left_out.values() if not why.startswith(UNDECLARED)).most_common()
    for why, count in reasons[:_SHOWN_REASONS]:
        yield f"Not answered: {_count(count, 'problem')}, because {why}."
    if len(reasons) > _SHOWN_REASONS:
        yield "--format json lists the other reasons."


def _show_problems(report: Report, console: Console) -> None:
    """Print one row for each problem, with its error in each precision, or of each part."""
    columns = list(dict.fromkeys(map(_column, report.cases)))
    rows: dict[tuple[str, str, str], list[Case]] = {}
    for case in report.cases:
        rows.setdefault(_row(case), []).append(case)
    cells: list[list[str | Text]] = []
    for (name, order, _), cases in rows.items():
        errors = [_error([case for case in cases if _column(case) == column]) for column in columns]
        count = len({case.problem for case in cases})
        verdict = worst(case.verdict for case in cases)
        cells.append([name or _count(count, "vector"), order, *errors, _styled(verdict)])
    caption = _CAPTION + ("" if all(case.is_compared for case in report.cases) else _MISSING)
    head = ["problem", "order", *(f"error, {column}" for column in columns), "verdict"]
    print_table(head, cells, console, caption=caption, numbers=range(2, 2 + len(columns)))


def _is_vector(case: Case) -> bool:
    return case.group == VECTORS


def _row(case: Case) -> tuple[str, str, str]:
    """Return what the cases of a row share: there are hundreds of vectors, and one row for all of a verdict."""
    return ("", str(case.order), case.verdict) if _is_vector(case) else (case.problem, str(case.order), "")


def _column(case: Case) -> str:
    """Return what a column's cases share: a table with a column for each part and precision would be too wide."""
    return case.part or case.dtype


def _error(cases: list[Case]) -> Text:
    """Return the largest error, as far as there is one."""
    if not cases:
        return Text("")
    gravest = max(cases, key=lambda case: (GRAVITY.index(case.verdict), case.worst))
    error = f"{gravest.worst:.2g}" if gravest.is_compared else "-"
    if any(finding.what == "exception" for finding in gravest.findings):
        error = "raised"
    return Text("late" if gravest.is_late else error, style=STYLES[gravest.verdict])


def _styled(verdict: str) -> Text:
    return Text(verdict, style=STYLES[verdict])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
