"""The kill matrix as a heat map: a page of HTML with a row for each fault and each correct variant."""

from __future__ import annotations

from html import escape

from verification.orders import SPELLINGS
from verification.reports.matrix import by_subject, is_clean, totals
from verification.reports.page import page
from verification.selftest.trials import Fate, TrialResult

#: How good a fate is; words stand in each cell, so that nobody has to tell colours apart.
_HEAT: dict[Fate, str] = {
    "named": "good", "correct": "good", "named wrong": "fair", "not named": "fair", "inconclusive": "fair",
    "survived": "bad", "false alarm": "bad",
}  # fmt: skip


def heat_map(results: list[TrialResult]) -> str:
    """Return the page."""
    verdict = "pass" if is_clean(results) else "fail"
    sections = [*(f"<p>{escape(line)}</p>" for line in totals(results))]
    for order, spelling in SPELLINGS.items():
        of_order = [result for result in results if result.trial.order == order]
        if of_order:
            sections += [f"<h2>{spelling.title}</h2>", _table(of_order)]
    return page(f"{verdict.upper()}: refmaml self-test, the kill matrix", verdict, sections)


def _table(results: list[TrialResult]) -> str:
    dtypes = list(dict.fromkeys(result.trial.dtype for result in results))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("subject", *dtypes, "caught by"))
    lines = []
    for row in by_subject(results):
        cells = {result.trial.dtype: _cell(result) for result in row}
        caught = ", ".join(dict.fromkeys(what for result in row for what in result.caught_by))
        among = "".join(cells.get(dtype, "<td>–</td>") for dtype in dtypes)
        lines.append(f"<tr><td>{escape(row[0].trial.name)}</td>{among}<td>{escape(caught)}</td></tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table class="heat"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _cell(result: TrialResult) -> str:
    words = f"named {result.name}" if result.outcome == "named wrong" else result.outcome
    return f'<td class="{_HEAT[result.outcome]}">{escape(words)}</td>'
