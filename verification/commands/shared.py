"""What commands share: output files, the progress bar, wrong usage, and options."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from verification.frameworks import MissingFrameworkError
from verification.orders import DTYPES
from verification.processes.limits import MEMORY, TIMEOUT
from verification.report import Report
from verification.reports.formats import as_json
from verification.subjects import SubjectError
from verification.texts import visible
from verification.vectors.reader import VectorsError


def writable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file in no folder at once: what is to be written takes seconds or minutes."""
    if path is None:
        return None
    folder = path.resolve().parent
    if not folder.is_dir():
        raise click.BadParameter(f"expected a file in a folder that exists, but got {path}.", context, parameter)
    if not os.access(folder, os.W_OK):
        raise click.BadParameter(f"expected a file in a folder to write to, but got {path}.", context, parameter)
    return path


_INTERNAL = 70  # EX_SOFTWARE of sysexits.h


@contextmanager
def usage_errors() -> Iterator[None]:
    """End with 2 and one sentence where a subject cannot be used, with 70 where the judge or its vectors are broken."""
    try:
        yield
    except (SubjectError, MissingFrameworkError) as error:
        raise click.UsageError(visible(str(error))) from error
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except VectorsError as error:  # the installation is damaged, which is no fault of the judge's either
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(_INTERNAL) from error
    except Exception as error:
        click.echo(traceback.format_exc(), err=True)
        text = "The judge itself failed. This says nothing about the subject. Please report it with the lines above."
        click.echo(text, err=True)
        raise SystemExit(_INTERNAL) from error


_QUIET_FOR = 10.0  # seconds: what is done by then needs no news


@contextmanager
def shown_progress(clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int, int, str], None]]:
    """Show on standard error how far the judge is: by a bar, or where there is no terminal by a line for each 10 %."""
    columns: tuple[Any, ...] = (
        TextColumn("{task.description:<30}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True, color_system=None if os.environ.get("NO_COLOR") else "auto")
    if not console.is_terminal or console.is_dumb_terminal:
        yield progress_lines(clock)
        return
    with Progress(*columns, console=console, transient=True) as bar:
        work = bar.add_task("starting", total=None)
        yield lambda done, total, name: bar.update(work, completed=done, total=total, description=name)


def progress_lines(clock: Callable[[], float]) -> Callable[[int, int, str], None]:
    """Return what prints a line for each tenth of long work, with the time that the rest may take."""
    start, shown = clock(), 0

    def tell(done: int, total: int, name: str) -> None:
        nonlocal start, shown
        if not done:
            start, shown = clock(), 0
        tenth, passed = 10 * done // max(total, 1), clock() - start
        if tenth > shown and passed >= _QUIET_FOR:
            left = passed * (total - done) / done
            click.echo(f"{10 * tenth} % ({done} of {total}): {visible(name)}, about {left:.0f} s left", err=True)
            shown = tenth

    return tell


def completing(names: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes the beginning of a name in a shell."""
    return lambda _context, _parameter, start: [name for name in names if name.startswith(start)]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question that names what may have been meant, after a space; nothing where nothing is near."""
    names = {entry.lower(): entry for entry in known}
    near = [names[found] for found in get_close_matches(name.lower(), names)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


class OneOf(click.Choice):  # type: ignore[type-arg]  # click 8.1 has no parameter
    """One of some names; another one is answered with what may have been meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name.

        Raises:
            BadParameter: it is none of them.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            text = f"{error.message}{suggestion(str(value), self.choices)}"
            raise click.BadParameter(text, ctx, param) from error


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON into a file; NaN and infinities are refused, since JSON has none."""
    write_text(path, as_json(value))


def write_text(path: Path, text: str) -> None:
    """Write a text into a file, in UTF-8."""
    write_file(path, lambda beside: beside.write_text(text, "utf-8"))


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, and put it into its place once it is whole.

    So a run that is killed, or that finds the disk full, leaves the old file as it was, and two runs do not mix. A
    device or a pipe is written to directly. Where a file cannot be written, the command says so and exits with 2.
    """
    target = path.resolve()  # a link stays a link
    try:
        if target.exists() and not target.is_file():
            write(target)
            return
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".refmaml-") as folder:
            beside = Path(folder) / target.name
            write(beside)
            if target.exists():
                shutil.copymode(target, beside)
            beside.replace(target)
    except OSError as error:
        raise click.UsageError(f"the file {path} cannot be written: {error.strerror}.") from error


def seconds(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no time."""
    if value is not None and not 0 < value < float("inf"):
        raise click.BadParameter(f"expected a number of seconds above 0, but got {value:g}.", context, parameter)
    return value


def _bytes(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not value > 0:
        raise click.BadParameter(f"expected a number of GiB above 0, but got {value:g}.", context, parameter)
    return value * 2**30


def refuse_limits(context: click.Context, why: str) -> None:
    """Refuse limits where a function is called in this process, which nothing can interrupt."""
    for name in ("timeout", "memory"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} {why}.")


def is_isolated(context: click.Context) -> bool:
    """Return whether a subject gets a process of its own; refuse limits where it does not."""
    if not context.params["in_process"] and sys.platform != "win32":
        return True
    refuse_limits(context, "does not go with --in-process" if sys.platform != "win32" else "is not for Windows")
    return False


def in_process_noted(report: Report) -> Report:
    """Return a report that says that the subject ran here."""
    where = "in the judge's own process. Nothing limits its time and its memory there, and it can change the verdict."
    return replace(report, notes=[*report.notes, f"The subject ran {where}"])


dtypes_option = click.option(
    "--dtype",
    "dtypes",
    type=OneOf(DTYPES),
    multiple=True,
    help="Test this precision only. Default: both.",
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Print every result, not the failures alone.")
jobs_option = click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="The number of processes."
)
memory_option = click.option(
    "--memory",
    type=float,
    default=MEMORY / 2**30,
    show_default=True,
    metavar="GIB",
    callback=_bytes,
    help="The memory that the code that is judged may hold, with all that it starts. Only Linux knows it.",
)
in_process_option = click.option(
    "--in-process",
    is_flag=True,
    help="Call the code that is judged in the judge's own process, for a debugger. Nothing limits its time and its "
    "memory there.",
)
timeout_option = click.option(
    "--timeout",
    type=float,
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    callback=seconds,
    help="The time limit of a program for one answer.",
)
