"""The command ``refmaml check``: a training step on a model of one's own."""

from __future__ import annotations

import click

from verification.commands.formats import Output, deliver, detail_options, format_option, tell_github
from verification.commands.screen import subject_printing_aside
from verification.commands.shared import (
    in_process_noted,
    in_process_option,
    is_isolated,
    memory_option,
    seconds,
    shown_progress,
    usage_errors,
)
from verification.models import check_isolated, judge, request_of
from verification.models.listening import Listener
from verification.processes.limits import PYTHON_TIMEOUT
from verification.reports import show
from verification.reports.formats import FORMATS
from verification.reports.terminal import Detail

_CHECK_HELP = """
Judge a training step on your own model, in PyTorch, JAX or NumPy.

PROBLEM names an object that verification.problem_of(...) made: path/to/script.py:name or package.module:name. The
script is imported, so put its training loop under if __name__ == "__main__".

The script runs in a process of its own, with limits of time and memory. What ends that process is a failure, with its
cause in the report. The script is code that runs with your rights: docs/security.md.

\b
Examples:
  refmaml check examples/own_model/train.py:problem
  refmaml check mypackage.training:problem --format junit=junit.xml
  refmaml check mypackage.training:problem --timeout 600 --memory 32
  python -m pdb -m refmaml check train.py:problem --in-process

\b
Exit codes:
  0  pass: the meta-gradient is right within its bound
  1  fail: it is wrong, or the process broke down; the report names the mistake, or the cause
  2  wrong usage: there is no such problem, or a file cannot be written
  3  inconclusive: rounding could hide a mistake, the step draws random numbers, an answer came too late, or the script
     exchanged what the judge works with
  70 the judge itself failed, which says nothing about the step
"""


@click.command(help=_CHECK_HELP)
@click.argument("problem")
@click.option(
    "--timeout",
    type=float,
    default=PYTHON_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    callback=seconds,
    help="The time limit of the import, of one call of your step, and of one derivative of a loss.",
)
@memory_option
@in_process_option
@format_option(FORMATS, short="json")
@detail_options
@click.pass_context
def check(
    context: click.Context,
    problem: str,
    timeout: float,
    memory: float,
    in_process: bool,  # noqa: ARG001  # `is_isolated` reads it
    outputs: tuple[Output, ...],
    detail: Detail,
) -> None:
    """Judge a training step on your own model."""
    with usage_errors(), shown_progress() as progress, subject_printing_aside():
        if is_isolated(context):
            report = check_isolated(problem, timeout=timeout, memory=memory, progress=progress)
        else:
            report = in_process_noted(judge(request_of(problem), Listener(progress)))
    tell_github(report, outputs)
    deliver(report, FORMATS, outputs, lambda console: show(report, console, detail))
    raise SystemExit(report.exit_code)
