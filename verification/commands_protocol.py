"""Programs in any language on the command line: ``refmaml smoke``, ``refmaml requests``, and ``verify --command``."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.text import Text

from verification.protocol.limits import TIMEOUT
from verification.report import Report
from verification.subjects import SubjectError

_SMOKE_HELP = """
Tell a broken harness from a broken algorithm: start a program that speaks the protocol, have numbers sent back, ask it
problems without an inner step, and stop it. What passes here and fails in refmaml verify is the algorithm.

\b
Examples:
  refmaml smoke --command "node harness.js"
  refmaml smoke --command "java -cp build Harness" --timeout 30

\b
Exit codes:
  0  the harness works, and so do the costs that it declares
  1  the harness or a cost is broken, or every problem was skipped; the lines above say where
  2  wrong usage: the program cannot be run
"""

_REQUESTS_HELP = """
Print the lines by which the judge asks a program NAME, a built-in problem or a golden vector, to be piped into it.

\b
Examples:
  refmaml requests quadratic | node harness.js
  refmaml requests one-step --order reptile --dtype float32 | node harness.js
  refmaml requests quadratic-fomaml-k1-t2-loop | node harness.js

\b
Exit codes:
  0  the lines were printed
  2  wrong usage: there is no such problem, or the vector is of another precision or order
"""
_STEPS = {"1": "fomaml", "2": "maml", "reptile": "reptile"}

command_option = click.option(
    "--command",
    metavar="COMMAND",
    help="Judge this program in place of SUBJECT: it speaks the protocol of docs/protocol.md. No shell runs.",
)


def _seconds(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value < float("inf"):
        raise click.BadParameter(f"expected a number of seconds above 0, but got {value:g}.", context, parameter)
    return value


timeout_option = click.option(
    "--timeout",
    type=float,
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    callback=_seconds,
    help="How long a program may take for one answer.",
)


@click.command(help=_SMOKE_HELP)
@click.option("--command", required=True, metavar="COMMAND", help="The program and its arguments. No shell runs.")
@timeout_option
def smoke(command: str, timeout: float) -> None:
    """Tell a broken harness from a broken algorithm."""
    from verification.protocol.smoke import smoke as checked

    try:
        checks = checked(command, timeout=timeout)
    except SubjectError as error:
        raise click.UsageError(str(error)) from error
    console = Console()
    for check in checks:
        told = ("ok    ", "green") if check.is_passed else ("FAIL  ", "bold red")
        console.print(Text.assemble(told, check.name, f"\n      {check.cause}." if check.cause else ""))
    broken = {check.part for check in checks if not check.is_passed}
    costs = [check for check in checks if check.part == "cost"]
    unknown = not broken and bool(costs) and all(check.is_skipped for check in costs)
    console.print("Every problem was skipped: it is not known whether it works." if unknown else _conclusion(broken))
    raise SystemExit(1 if broken or unknown else 0)


def _conclusion(broken: set[str]) -> str:
    if "harness" in broken:
        return "The harness is broken: nothing is known of the algorithm."
    if broken:
        return "The harness works, but a cost or its gradient is wrong even without an inner step."
    return "The harness works: what refmaml verify finds wrong is the algorithm."


@click.command(help=_REQUESTS_HELP)
@click.argument("name")
@click.option(
    "--order",
    type=click.Choice(list(_STEPS)),
    default="1",
    show_default=True,
    help="What to ask of a built-in problem.",
)
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True)
@click.pass_context
def requests(context: click.Context, name: str, order: str, dtype: str) -> None:
    """Print the lines by which the judge asks a program a problem."""
    from verification import suite
    from verification.protocol.judging import layout_of
    from verification.protocol.messages import PROTOCOL, request

    try:
        layout = layout_of(name, order if order == "reptile" else int(order))
    except KeyError as error:
        raise click.UsageError(f"NAME: expected a built-in problem or the id of a vector. {error.args[0]}") from error
    if not suite.exists(name):
        _refuse_of_vector(context, name, layout["step"], order, dtype)
    lines = [
        request("start", 1, protocol=PROTOCOL),
        request("run", 2, name=name, dtype=dtype, problem=layout),
        request("stop", 3),
    ]
    click.echo(b"".join(lines).decode(), nl=False)


def _refuse_of_vector(context: click.Context, name: str, step: str, order: str, dtype: str) -> None:
    """Refuse a precision that a vector is not for, and an order that is not its own."""
    from verification.protocol.vector_cases import golden

    dtypes = golden()[name].dtypes
    if dtype not in dtypes:
        raise click.UsageError(f"--dtype: the vector {name} can be asked in {' or '.join(dtypes)}, but not in {dtype}.")
    if context.get_parameter_source("order") is not click.core.ParameterSource.DEFAULT and _STEPS[order] != step:
        own = next(each for each, of in _STEPS.items() if of == step)
        raise click.UsageError(f"--order: the vector {name} is of order {own}, but got {order}.")


def refuse_timeout(context: click.Context) -> None:
    """Refuse a timeout where a function is called, which nothing can interrupt."""
    if context.get_parameter_source("timeout") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("--timeout says how long to wait for a program, and goes with --command.")


def judged(context: click.Context, command: str, timeout: float, **options: Any) -> Report:
    """Return the report on a program, for ``refmaml verify --command``.

    Raises:
        UsageError: an option says how to ask a Python subject.
        SubjectError: the program cannot be used.
    """
    from verification.protocol.judging import verify_program

    if context.params["subject"] is not None:
        raise click.UsageError("expected SUBJECT or --command, but got both.")
    for name in ("framework", "kind"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} says how to call a Python SUBJECT, but --command is a program.")
    if context.get_parameter_source("order") is click.core.ParameterSource.DEFAULT:
        options["order"] = None  # all that the program declares
    return verify_program(command, timeout=timeout, **options)
