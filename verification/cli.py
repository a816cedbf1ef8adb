"""The command line: ``refmaml verify``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from verification import judge
from verification.conventions import NAMES as CONVENTIONS
from verification.frameworks import FRAMEWORKS, MissingFrameworkError
from verification.report import Report, show
from verification.subjects import SubjectError

_VERIFY_HELP = """
Judge SUBJECT, an implementation of a meta-learning step: package.module:name or path/to/file.py:name.

It is a step with the interface of refmaml.fomaml_step, or a function of one problem that returns (cost, grads) or
(cost, grads, adapted). Without SUBJECT, refmaml's own steps are judged, against independent oracles alone.

\b
Examples:
  refmaml verify
  refmaml verify examples/torch_fomaml.py:subject --framework torch
  refmaml verify mypackage.maml:step --order 2 --json report.json

\b
Exit codes:
  0  pass: every answer is right within its bound
  1  fail: an answer is wrong; the report says where
  2  wrong usage: the subject or an option cannot be used
  3  inconclusive: rounding hides what a wrong answer would change
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="refmaml")
def main() -> None:
    """Verify implementations of first-order MAML, second-order MAML and Reptile."""


@main.command(help=_VERIFY_HELP)
@click.argument("subject", required=False)
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    default="autograd",
    show_default=True,
    help="The arrays that SUBJECT works on.",
)
@click.option(
    "--order",
    type=click.Choice(["1", "2", "reptile"]),
    default="1",
    show_default=True,
    help="What SUBJECT claims to compute: first- or second-order MAML, or Reptile.",
)
@click.option(
    "--kind",
    type=click.Choice(["step", "problem"]),
    help="What SUBJECT is called with; by default told by its required parameters.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(judge.DTYPES),
    multiple=True,
    help="Ask in this precision only; by default in both.",
)
@click.option(
    "--convention",
    "declared",
    multiple=True,
    metavar="NAME",
    help=f"What SUBJECT means otherwise: {', '.join(CONVENTIONS)}. May be given several times.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to this file as well, as JSON.",
)
def verify(
    subject: str | None,
    framework: str,
    order: str,
    kind: str | None,
    dtypes: tuple[str, ...],
    declared: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Judge an implementation of a meta-learning step."""
    console = Console()
    asked = dtypes or judge.DTYPES
    with _usage_errors(), _progress() as progress:
        if subject is None:
            report = judge.verify_own(dtypes=asked, progress=progress)
        else:
            number = order if order == "reptile" else int(order)
            if "" not in sys.path:
                sys.path.insert(0, "")  # as with `python -m`: a package in the current folder need not be installed
            report = judge.verify(
                subject,
                framework=framework,
                order=number,
                kind=kind,
                dtypes=asked,
                conventions=declared,
                progress=progress,
            )
    show(report, console)
    if json_file:
        _write(report, json_file)
    raise SystemExit(report.exit_code)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Say what is wrong with the subject or an option in one sentence, and exit with 2."""
    try:
        yield
    except (SubjectError, MissingFrameworkError, ValueError) as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on standard error while the judge works; where there is no terminal it stays silent."""
    columns: tuple[Any, ...] = (
        TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        work = bar.add_task("starting", total=None)
        yield lambda done, total, name: bar.update(work, completed=done, total=total, description=name)


def _write(report: Report, path: Path) -> None:
    try:
        path.write_text(json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise click.UsageError(f"the report cannot be written to {path}: {error.strerror}.") from error
