"""A report as Markdown, for the summary of a step on GitHub, a comment or a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from verification.cases import Case
from verification.report import Report
from verification.texts import ISSUE, fault_address, issue_address

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}
_SHOWN = 3
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$^=-])")


def markdown(report: Report) -> str:
    """Return a report as Markdown of GitHub's kind; texts of the subject are in it as they are, never as markup."""
    return "\n\n".join(_blocks(report)) + "\n"


def _blocks(report: Report) -> Iterator[str]:
    yield f"## {_SIGNS[report.verdict]} {report.verdict.upper()}: {escaped(report.about)}"
    yield escaped(report.reason)
    yield from map(escaped, report.notes)
    if report.parts:
        rows = [(part.name, part.verdict or part.note, str(part.answers), part.note) for part in report.parts]
        yield table(("part", "verdict", "answers", "note"), rows)
    for diagnosis in report.diagnosis:
        yield f"### The mistake is {escaped(f'{diagnosis.name}: {diagnosis.title}')}"
        yield "\n".join(f"{escaped(line)}  " for line in diagnosis.lines[1:]).rstrip()
        if diagnosis.source:
            yield f"Source: {_linked(diagnosis.source)}"
        if links := [f"[{fault}]({page})" for fault, page in diagnosis.pages.items()]:
            yield f"More, with wrong and right code: {', '.join(links)}"
    yield from map(escaped, report.remarks)
    for case in report.failing[: 1 if report.diagnosis else _SHOWN]:
        yield f"### {escaped(case.title)}"
        yield fenced(str(case))
        yield f"To reproduce it:\n\n{fenced(case.snippet)}"
    for related in report.broken:
        name = f"{related.result.name}, {related.problem}, order {related.order}"
        yield f"{escaped(name)}: {related.result.verdict}, {escaped(related.result.sentence)}"
    if report.cases:
        yield "### Every problem"
        yield table(("problem", "order", "dtype", "error / bound", "verdict"), map(_row, report.cases))
    if report.overlooked:
        pages = ", ".join(f"[{fault}]({fault_address(fault)})" for fault in report.overlooked)
        yield f"None of the tested problems shows {pages}."
    if report.left_out:
        reasons = [(name, report.why_left_out.get(name, "")) for name in dict.fromkeys(report.left_out)]
        yield "### Not tested"
        yield table(("problem", "reason"), reasons)
    yield "### Conditions"
    yield table(("what", "value"), report.conditions.entries())


def _row(case: Case) -> Sequence[str]:
    name = f"{case.problem}, {case.part}" if case.part else case.problem
    return name, str(case.order), case.dtype, f"{case.worst:.2g}" if case.is_compared else "–", case.verdict


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts, which are not read as markup."""
    lines = [head, ["---"] * len(head), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """Return a text in one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def fenced(text: str) -> str:
    """Return a block of code, in a fence that is longer than every run of backticks in it."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def _linked(text: str) -> str:
    """Return a text in which names of issues are links."""
    parts, end = [], 0
    for found in ISSUE.finditer(text):
        link = f"[{escaped(found[0])}]({issue_address(found[1], found[2])})"
        parts += [escaped(text[end : found.start()]), link]
        end = found.end()
    return " ".join(filter(None, [*parts, escaped(text[end:])]))
