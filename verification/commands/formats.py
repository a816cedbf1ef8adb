"""The option ``--format``: what forms of a result to write, and where; files come first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from verification.commands.screen import screen, write
from verification.commands.shared import completing, suggestion, writable, write_text
from verification.report import Report
from verification.reports.formats import FORMATS, Format

T = TypeVar("T")


@dataclass(frozen=True)
class Output:
    """One form, and the file that it goes to; standard output where there is none."""

    name: str
    path: Path | None


def format_option(names: Iterable[str], short: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option ``--format`` for a command that has these forms, and ``--SHORT FILE``."""
    known = tuple(names)

    def read(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Output, ...]:
        outputs = tuple(_output(context, parameter, value, known) for value in values)
        if sum(output.path is None for output in outputs) > 1:
            raise click.BadParameter("expected one form for standard output, but got several.", context, parameter)
        return outputs

    long = click.option(
        "--format",
        "outputs",
        multiple=True,
        metavar="NAME[=FILE]",
        callback=read,
        shell_complete=completing(known),
        help=f"Write the result as {', '.join(known)}: to FILE, or without FILE to standard output in place of the "
        "text. You can repeat this option.",
    )
    brief = click.option(
        f"--{short}",
        "file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=writable,
        help=f"Short for --format {short}=FILE.",
    )

    def with_outputs(command: Callable[..., None]) -> Callable[..., Any]:
        @wraps(command)
        def joined(*arguments: Any, outputs: tuple[Output, ...], file: Path | None, **options: Any) -> None:
            files = () if file is None else (Output(short, file),)
            command(*arguments, outputs=(*outputs, *files), **options)

        return long(brief(joined))

    return with_outputs


def _output(context: click.Context, parameter: click.Parameter, value: str, known: tuple[str, ...]) -> Output:
    name, equals, place = value.partition("=")
    if name not in known:
        meant = suggestion(name, known)
        text = f"expected one of {', '.join(known)}, alone or with =FILE, but got {value!r}.{meant}"
        raise click.BadParameter(text, context, parameter)
    if equals and not place:
        raise click.BadParameter(f"expected a file after {value}", context, parameter)
    if place in ("", "-"):
        return Output(name, None)
    path = click.Path(dir_okay=False, path_type=Path).convert(place, parameter, context)
    return Output(name, writable(context, parameter, path))


def detail_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options ``-q`` and ``-v``, and its function their meaning as `detail`."""

    @click.option("-q", "--quiet", is_flag=True, help="Print the verdict and the name of the mistake alone.")
    @click.option("-v", "--verbose", is_flag=True, help="Print every error, and how the report came about.")
    @wraps(command)
    def with_detail(*arguments: Any, quiet: bool, verbose: bool, **options: Any) -> None:
        if quiet and verbose:
            raise click.UsageError("expected --quiet or --verbose, but got both.")
        command(*arguments, detail="quiet" if quiet else "verbose" if verbose else "normal", **options)

    return with_detail


def deliver(
    value: T, forms: Mapping[str, Format[T]], outputs: tuple[Output, ...], show: Callable[[Console], None]
) -> None:
    """Write every file, then standard output: a form of the value where one goes there, otherwise what `show` prints.

    Raises:
        UsageError: something cannot be written; everything else is.
    """
    lost = []
    for output in outputs:
        if output.path:
            text = forms[output.name].render(value)
            try:
                write_text(output.path, text)
            except click.UsageError as error:
                lost.append(error)
    shown = next((output.name for output in outputs if output.path is None), "text")
    if shown == "text":
        with screen() as console:
            show(console)
    elif cause := _write_form(forms[shown], value):
        lost.append(click.UsageError(f"standard output cannot be written: {cause}."))
    if lost:
        raise lost[0]


def _write_form(form: Format[T], value: T) -> str:
    """Write a form to standard output, with what its encoding lacks written in the form's own way."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return write(form.render(value).encode(encoding, form.errors).decode(encoding))


def tell_github(report: Report, outputs: tuple[Output, ...]) -> None:
    """Where GitHub runs the command, annotate the run and add to the summary of the step, without being told to.

    A runner reads annotations from standard error as well, where they are in nobody's way.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    if not any(output.name == "github" and output.path is None for output in outputs):
        click.echo(FORMATS["github"].render(report), err=True, nl=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(FORMATS["markdown"].render(report))
        except OSError as error:
            click.echo(f"The summary of the step cannot be written: {error.strerror}.", err=True)
