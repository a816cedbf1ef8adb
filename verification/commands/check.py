"""The command ``refmaml check``: a training step on a model of one's own."""

from __future__ import annotations

import click

from verification.commands.formats import Output, deliver, detail_options, format_option, tell_github
from verification.commands.screen import subject_printing_aside
from verification.commands.shared import shown_progress, usage_errors
from verification.models import Request, judge
from verification.reports import show
from verification.reports.formats import FORMATS
from verification.reports.terminal import Detail
from verification.subjects import SubjectError, load_object, search

_CHECK_HELP = """
Judge a training step on your own model, in PyTorch, JAX or NumPy.

PROBLEM names an object that verification.problem_of(...) made: path/to/script.py:name or package.module:name. The
script is imported, so put its training loop under if __name__ == "__main__".

\b
Examples:
  refmaml check examples/own_model/train.py:problem
  refmaml check mypackage.training:problem --format junit=junit.xml

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
@format_option(FORMATS, short="json")
@detail_options
def check(problem: str, outputs: tuple[Output, ...], detail: Detail) -> None:
    """Judge a training step on your own model."""
    with usage_errors(), shown_progress() as progress, subject_printing_aside():
        search()
        request = load_object(problem)
        if not isinstance(request, Request):
            raise SubjectError(
                f"expected {problem} to be what verification.problem_of(...) returned, but it is "
                f"{type(request).__name__}."
            )
        report = judge(request, progress)
    tell_github(report, outputs)
    deliver(report, FORMATS, outputs, lambda console: show(report, console, detail))
    raise SystemExit(report.exit_code)
