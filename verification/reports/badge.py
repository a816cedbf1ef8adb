"""A report as a badge: a small SVG for a README."""

from __future__ import annotations

from html import escape

from verification.report import Report

_COLOURS = {"pass": "#1a7f37", "fail": "#b3261e", "inconclusive": "#8a6100"}  # white on them has a contrast above 4.5
_LABEL = "refmaml"
_CHARACTER, _PADDING = 7, 10  # pixels at a font size of 11; `textLength` makes any font keep to them


def badge(report: Report) -> str:
    """Return a badge with the verdict, and with the name of the mistake where it has one."""
    names = [diagnosis.name for diagnosis in report.diagnosis if diagnosis.convincing]
    words = f"{report.verdict}: {names[0]}" if names else report.verdict
    left, right = (_CHARACTER * len(text) + _PADDING for text in (_LABEL, words))
    title = escape(f"{_LABEL}: {words} ({report.about}, {report.conditions.date[:10]})")
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" \
aria-label="{title}">
  <title>{title}</title>
  <rect width="{left + right}" height="20" rx="3" fill="{_COLOURS[report.verdict]}"/>
  <path d="M3 0H{left}V20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#444"/>
  <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
    {_text(_LABEL, 0, left)}
    {_text(words, left, right)}
  </g>
</svg>
"""


def _text(words: str, start: int, width: int) -> str:
    inner = width - _PADDING
    return f'<text x="{start + _PADDING // 2}" y="14" textLength="{inner}">{escape(words)}</text>'
