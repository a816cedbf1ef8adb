"""The forms of a report as text, each from the one `Report`."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, Generic, TypeVar

from rich.console import Console

from verification.report import Report
from verification.reports.badge import badge
from verification.reports.github import github
from verification.reports.junit import junit
from verification.reports.page import html
from verification.reports.sarif import sarif
from verification.reports.summary import markdown
from verification.reports.terminal import show as show_report
from verification.texts import SPELLED

T = TypeVar("T")
#: The error handler of a codec that writes a character of XML, HTML or Markdown by its number.
BY_NUMBER = "xmlcharrefreplace"


@dataclass(frozen=True)
class Format(Generic[T]):
    """A form: `render` makes its text; `errors` names the codec's handler for what an encoding lacks.

    By default a letter that is lacking is spelled out.
    """

    render: Callable[[T], str]
    errors: str = SPELLED


def printed(show: Callable[[Console], None]) -> str:
    """Return what is printed to a console, as plain text."""
    file = StringIO()
    show(Console(file=file, width=100, color_system=None))
    return file.getvalue()


def text(report: Report) -> str:
    """Return a report at length as plain text."""
    return printed(lambda console: show_report(report, console, "verbose"))


def json(report: Report) -> str:
    """Return a report as JSON in ASCII; NaN and infinities are refused, since JSON has none."""
    return as_json(report.to_dict())


def as_json(value: Mapping[str, Any]) -> str:
    """Return JSON in ASCII, which every encoding and every terminal takes."""
    return json_module.dumps(value, indent=2, allow_nan=False) + "\n"


FORMATS: dict[str, Format[Report]] = {
    "text": Format(text),
    "json": Format(json),
    "junit": Format(junit, BY_NUMBER),
    "github": Format(github),
    "markdown": Format(markdown, BY_NUMBER),
    "sarif": Format(sarif),
    "html": Format(html, BY_NUMBER),
    "badge": Format(badge, BY_NUMBER),
}
