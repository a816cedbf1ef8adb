"""The command line: ``refmaml verify``."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from verification import judge, own
from verification.commands_calibrate import calibrate
from verification.commands_protocol import command_option, judged, refuse_timeout, requests, smoke, timeout_option
from verification.conventions import NAMES as CONVENTIONS
from verification.conventions import convention
from verification.frameworks import FRAMEWORKS, MissingFrameworkError
from verification.levels import LEVELS
from verification.outputs import writable
from verification.report import Report, show
from verification.subjects import SubjectError
from verification.vectors.command import show_kills, vectors

ORDERS = ("1", "2", "reptile")
_INTERNAL = 70  # EX_SOFTWARE of sysexits.h

_VERIFY_HELP = """
Judge SUBJECT, an implementation of a meta-learning step: package.module:name or path/to/file.py:name.

It is a step with the interface of refmaml.fomaml_step, or a function of one problem that returns (cost, grads) or
(cost, grads, adapted). In its place --command takes a program in any language that speaks the protocol, which is asked
what it declares, golden vectors included. Without either, refmaml's own steps are judged, the reference and the
compiled ones, against independent oracles alone.

\b
Examples:
  refmaml verify
  refmaml verify examples/torch_fomaml.py:subject --framework torch
  refmaml verify mypackage.maml:step --order 2 --level full --json report.json
  refmaml verify --command "node harness.js" --timeout 5

\b
Exit codes:
  0  pass: every answer is right within its bound
  1  fail: an answer is wrong; the report says where
  2  wrong usage: the subject or an option cannot be used
  3  inconclusive: rounding hides what a wrong answer would change
  70 the judge itself failed, which says nothing about SUBJECT
"""


_HELP = """
Verify implementations of first-order MAML, second-order MAML and Reptile.

\b
Examples:
  refmaml verify examples/torch_fomaml.py:subject --framework torch
  refmaml faults B02

\b
Exit codes:
  0  pass, or done
  1  fail
  2  wrong usage
  3  inconclusive
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="refmaml")
def main() -> None:
    """Verify implementations of first-order MAML, second-order MAML and Reptile."""


main.add_command(calibrate)
main.add_command(requests)
main.add_command(smoke)


def _checked(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of conventions while the command line is read."""
    for name in names:
        try:
            convention(name)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error
    return names


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
    type=click.Choice(ORDERS),
    default="1",
    show_default=True,
    help="What SUBJECT claims to compute: first- or second-order MAML, or Reptile. A program: all that it declares.",
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
    callback=_checked,
    help=f"What SUBJECT means otherwise: {', '.join(CONVENTIONS)}. May be given several times.",
)
@command_option
@timeout_option
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="quick",
    show_default=True,
    help="quick: problems that together show every fault of the catalogue. full: all built-in problems, the quick ones "
    "again with other random numbers, and for steps the relations.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The seed of those other numbers.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write the report to this file as well, as JSON.",
)
def verify(
    subject: str | None,
    framework: str,
    order: str,
    kind: str | None,
    dtypes: tuple[str, ...],
    declared: tuple[str, ...],
    level: str,
    seed: int,
    command: str | None,
    timeout: float,
    json_file: Path | None,
) -> None:
    """Judge an implementation of a meta-learning step."""
    console = Console()
    asked = dtypes or judge.DTYPES
    with _usage_errors(), _progress() as progress:
        if command is not None:
            options: dict[str, Any] = {"order": _order(order), "dtypes": asked, "conventions": declared}
            options.update(level=level, seed=seed, progress=progress)
            report = judged(click.get_current_context(), command, timeout, **options)
        elif subject is None:
            _require_subject(click.get_current_context())
            refuse_timeout(click.get_current_context())
            report = own.verify_own(dtypes=asked, level=level, seed=seed, progress=progress)
        else:
            refuse_timeout(click.get_current_context())
            if "" not in sys.path:
                sys.path.insert(0, "")  # as with `python -m`: a package in the current folder need not be installed
            report = judge.verify(
                subject,
                framework=framework,
                order=_order(order),
                kind=kind,
                dtypes=asked,
                conventions=declared,
                level=level,
                seed=seed,
                progress=progress,
            )
    show(report, console)
    if json_file:
        _write(report, json_file)
    raise SystemExit(report.exit_code)


_SELF_TEST_HELP = """
Judge the judge: every fault of the catalogue, pairs of them, and correct code written in many ways go through the same
path as a user's subject; the kill matrix tells who was caught, by what, and named as what.

\b
Examples:
  refmaml self-test
  refmaml self-test --order 1 --dtype float64
  refmaml self-test --random 1000 --seed 7
  refmaml self-test --vectors
  refmaml self-test --markdown docs/kill-matrix.md

\b
Exit codes:
  0  no fault survived and no correct code was accused
  1  a survivor or a false alarm
  2  wrong usage
"""


@main.command("self-test", help=_SELF_TEST_HELP)
@click.option(
    "--order", "orders", type=click.Choice(ORDERS), multiple=True, help="Try this kind of step only; by default all."
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(judge.DTYPES),
    multiple=True,
    help="Ask in this precision only; by default in both.",
)
@click.option(
    "--vectors",
    "on_vectors",
    is_flag=True,
    help="Hold every fault against the golden vectors "
    "instead; some seconds. Float32 cannot show G11 and V02, which are no survivors.",
)
@click.option("--pairs", is_flag=True, help="Try pairs of a scale and a structural fault instead.")
@click.option("--random", "count", type=click.IntRange(1), help="Try this many by chance, on problems made for each.")
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of --random.")
@click.option("--level", type=click.Choice(LEVELS), default="quick", show_default=True, help="How much each is asked.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes to work in.")
@click.option(
    "--markdown",
    "page_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write the catalogue and the matrix to this file as well, as Markdown.",
)
def self_test(
    orders: tuple[str, ...],
    dtypes: tuple[str, ...],
    on_vectors: bool,
    pairs: bool,
    count: int | None,
    seed: int,
    level: str,
    jobs: int,
    page_file: Path | None,
) -> None:
    """Judge the judge."""
    if on_vectors:
        _require_only_dtypes(click.get_current_context())
        for dtype in dtypes or judge.DTYPES:
            show_kills(dtype)
        return
    from verification import selftest
    from verification.report.markdown import page
    from verification.report.matrix import is_clean, show_matrix

    kinds: tuple[Any, ...] = tuple(_order(each) for each in orders or ORDERS)
    if count:
        asked = list(selftest.random_trials(count, seed))
    else:
        asked = selftest.pair_trials(kinds) if pairs else selftest.trials(kinds, dtypes or judge.DTYPES)
    with _progress() as progress:
        results = selftest.run_all([replace(trial, level=level) for trial in asked], jobs, progress)
    show_matrix(results, Console())
    if page_file:
        _write_text(page(results, "refmaml " + " ".join(sys.argv[1:])), page_file)
    raise SystemExit(0 if is_clean(results) else 1)


_FAULTS_HELP = """
List the catalogue of faults, or explain one: its formula, its sources, what shows it and what to do.

\b
Examples:
  refmaml faults
  refmaml faults B02

\b
Exit codes:
  0  the catalogue or the fault was shown
  2  wrong usage: there is no such fault
"""


@main.command(help=_FAULTS_HELP)
@click.argument("fault", required=False)
def faults(fault: str | None) -> None:
    """List the catalogue of faults, or explain one."""
    from verification.report.catalogue import show_catalogue, show_fault

    if fault is None:
        show_catalogue(Console())
        return
    try:
        show_fault(fault.upper(), Console())
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from error


main.add_command(vectors)


def _order(word: str) -> int | str:
    return word if word == "reptile" else int(word)


def _require_subject(context: click.Context) -> None:
    """Refuse options that say how to ask a subject where there is none: they would be ignored."""
    for name in ("framework", "order", "kind", "declared"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = "convention" if name == "declared" else name
            raise click.UsageError(f"--{option} says how to ask a SUBJECT, but there is none.")


def _require_only_dtypes(context: click.Context) -> None:
    """Refuse options of the self-test that the golden vectors have no use for."""
    for name in ("orders", "pairs", "count", "page_file"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--vectors goes with --dtype alone.")


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Say what is wrong with the subject in one sentence, and exit with 2; with 70 where the judge itself fails."""
    try:
        yield
    except (SubjectError, MissingFrameworkError) as error:
        raise click.UsageError(str(error)) from error
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        click.echo(traceback.format_exc(), err=True)
        told = "The judge itself failed, which says nothing about what it was asked: please report it"
        click.echo(f"{told}, with the lines above.", err=True)
        raise SystemExit(_INTERNAL) from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on standard error while the judge works; where there is no terminal it stays silent."""
    columns: tuple[Any, ...] = (
        TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        work = bar.add_task("starting", total=None)
        yield lambda done, total, name: bar.update(work, completed=done, total=total, description=name)


def _write(report: Report, path: Path) -> None:
    _write_text(json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def _write_text(text: str, path: Path) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise click.UsageError(f"the report cannot be written to {path}: {error.strerror}.") from error
