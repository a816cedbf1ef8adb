"""A report as one HTML page that needs nothing beside itself: no script, no font, no file.

The page is well-formed XML as well. Its figures are SVG with positions in percent, so that they fit any width with
letters of one size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from verification.cases import Case
from verification.report import Report
from verification.reports.figures import errors_figure, growth_figure
from verification.reports.style import STYLE
from verification.texts import ISSUE, fault_address, issue_address

_SHOWN = 3


def html(report: Report) -> str:
    """Return a report as a page."""
    return page(f"{report.verdict.upper()}: {report.about}", report.verdict, _sections(report))


def page(title: str, verdict: str, sections: Iterable[str]) -> str:
    """Return a page with a title, coloured by its verdict."""
    body = "\n".join(sections)
    return f"""<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1 class="{verdict}">{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""


def _sections(report: Report) -> Iterator[str]:
    yield f'<p class="reason">{escape(report.reason)}</p>'
    yield from (f"<p>{escape(note)}</p>" for note in report.notes)
    if report.parts:
        rows = [
            (part.name, part.verdict or part.note, str(part.answers), part.note if part.verdict else "")
            for part in report.parts
        ]
        yield table(("part", "verdict", "answers", "note"), rows)
    yield from _mistakes(report)
    yield from (f"<p>{escape(remark)}</p>" for remark in report.remarks)
    if report.cases:
        yield "<h2>Errors against bounds</h2>"
        yield errors_figure(report.cases)
    for grown in report.growth:
        yield "<h2>Growth with the learning rate</h2>"
        yield growth_figure(grown)
    yield from _wrong_answers(report)
    if report.relations:
        yield "<h2>Relations</h2>"
        found = [
            (related.result.name, related.problem, str(related.order), related.result.verdict, related.result.sentence)
            for related in report.relations
        ]
        yield table(("relation", "problem", "order", "verdict", "what was found"), found)
    if report.cases:
        yield "<h2>Every answer</h2>"
        head = ("problem", "order", "dtype", "error / bound", "separation", "verdict")
        yield folded(f"{len(report.cases)} answers", table(head, map(_row, report.cases)))
    yield from _untested(report)
    yield "<h2>Conditions</h2>"
    yield table(("what", "value"), report.conditions.entries())


def _mistakes(report: Report) -> Iterator[str]:
    for diagnosis in report.diagnosis:
        yield f"<h2>The mistake is {escape(diagnosis.name)}: {escape(diagnosis.title)}</h2>"
        if diagnosis.formula:
            yield f'<p class="formula">{escape(diagnosis.formula)}</p>'
        yield "".join(f"<p>{escape(line[:1].upper() + line[1:])}</p>" for line in diagnosis.lines[1:])
        if diagnosis.source:
            yield f"<p>Source: {linked(diagnosis.source)}</p>"
        if links := [f'<a href="{page}">{fault}</a>' for fault, page in diagnosis.pages.items()]:
            yield f"<p>More, with wrong and right code: {', '.join(links)}</p>"


def _wrong_answers(report: Report) -> Iterator[str]:
    if report.failing:
        yield "<h2>Wrong answers</h2>"
    for index, case in enumerate(report.failing):
        content = f"<pre>{escape(str(case))}</pre><p>To reproduce it:</p><pre>{escape(case.snippet)}</pre>"
        yield folded(case.title, content, is_open=index < (1 if report.diagnosis else _SHOWN))


def _untested(report: Report) -> Iterator[str]:
    if not report.left_out and not report.overlooked:
        return
    yield "<h2>Not tested</h2>"
    if report.overlooked:
        links = ", ".join(f'<a href="{fault_address(fault)}">{fault}</a>' for fault in report.overlooked)
        yield f"<p>None of the tested problems shows these faults: {links}.</p>"
    if report.left_out:
        rows = [
            (name, report.why_left_out.get(name, "the subject does not support it"))
            for name in dict.fromkeys(report.left_out)
        ]
        content = table(("problem", "reason"), rows)
        yield folded(f"{len(rows)} problems", content, is_open=len(rows) <= 10)


def _row(case: Case) -> Sequence[str]:
    name = f"{case.problem}, {case.part}" if case.part else case.problem
    error = f"{case.worst:.2g}" if case.is_compared else "–"
    return name, str(case.order), case.dtype, error, f"{case.separation:.2g}", case.verdict


def folded(title: str, content: str, *, is_open: bool = False) -> str:
    """Return content under a title that opens and closes it."""
    state = ' open="open"' if is_open else ""
    return f"<details{state}><summary>{escape(title)}</summary>{content}</details>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts; what is wider than the page scrolls in it."""
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead>\n<tbody>{lines}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = f' class="{text}"' if text in ("pass", "fail", "inconclusive") else ""
    return f"<td{kind}>{escape(text)}</td>"


def linked(text: str) -> str:
    """Return a text in which names of issues are links."""
    parts, end = [], 0
    for found in ISSUE.finditer(text):
        address = issue_address(found[1], found[2])
        parts += [escape(text[end : found.start()]), f'<a href="{address}">{escape(found[0])}</a>']
        end = found.end()
    return "".join([*parts, escape(text[end:])])
