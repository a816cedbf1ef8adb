"""A report as annotations of GitHub: workflow commands, which a runner takes out of what a step prints.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; the escapes are those of
`@actions/core`, file command.ts.
"""

from __future__ import annotations

from verification.report import Report

_COMMANDS = {"pass": "notice", "fail": "error", "inconclusive": "warning"}


def github(report: Report) -> str:
    """Return an annotation for each name of the mistake, or one for the verdict, at the subject where it is known."""
    command = _COMMANDS[report.verdict]
    about = f"{report.verdict.upper()} {report.about}"
    messages = [
        (f"{diagnosis.name}: {diagnosis.title}", f"{report.reason}\n{diagnosis}") for diagnosis in report.diagnosis
    ]
    if not messages:
        wrong = [f"{case.title}: {case}" for case in report.failing[:1]]
        wrong += [f"{related.result.name}: {related.result.sentence}" for related in report.broken]
        left_out = [f"Not tested: {', '.join(dict.fromkeys(report.left_out))}."] if report.left_out else []
        messages = [(about, "\n".join([report.reason, *wrong, *left_out]))]
    return "".join(_annotation(command, title, text, report) for title, text in messages)


def _annotation(command: str, title: str, text: str, report: Report) -> str:
    place = {"file": report.source.file, "line": str(report.source.line)} if report.source else {}
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**place, "title": title}.items())
    return f"::{command} {properties}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
