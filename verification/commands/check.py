"""The command ``refmaml check``: a training step on a model of one's own."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from verification.commands.shared import shown_progress, usage_errors, writable, write_json
from verification.models import Request, judge
from verification.reports import show
from verification.subjects import SubjectError, load_object

_CHECK_HELP = """
Judge a training step on your own PyTorch model.

PROBLEM names an object that verification.problem_of(...) made: path/to/script.py:name or package.module:name. The
script is imported, so put its training loop under if __name__ == "__main__".

\b
Example:
  refmaml check examples/own_model/train.py:problem

\b
Exit codes:
  0  pass: the meta-gradient is right within its bound
  1  fail: it is wrong; the report names the mistake
  2  wrong usage: there is no such problem
  3  inconclusive: rounding could hide a mistake, or the step draws random numbers
  70 the judge itself failed, which says nothing about the step
"""


@click.command(help=_CHECK_HELP)
@click.argument("problem")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Also write the report to this file, as JSON.",
)
def check(problem: str, json_file: Path | None) -> None:
    """Judge a training step on your own PyTorch model."""
    with usage_errors(), shown_progress() as progress:
        if "" not in sys.path:
            sys.path.insert(0, "")  # as with `python -m`: a package in the current folder need not be installed
        request = load_object(problem)
        if not isinstance(request, Request):
            raise SubjectError(
                f"expected {problem} to be what verification.problem_of(...) returned, but it is "
                f"{type(request).__name__}."
            )
        report = judge(request, progress)
    show(report, Console())
    if json_file:
        write_json(report.to_dict(), json_file)
    raise SystemExit(report.exit_code)
