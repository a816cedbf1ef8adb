"""The command ``refmaml requests``: the lines by which a program is asked one question."""

from __future__ import annotations

import click

from verification.commands.screen import screen
from verification.commands.shared import OneOf, suggestion
from verification.orders import BY_OPTION, BY_STEP, DTYPES

_REQUESTS_HELP = """
Print the request lines for NAME, a built-in problem or a golden vector. Pipe them into a program to debug it.

\b
Examples:
  refmaml requests quadratic | node harness.js
  refmaml requests one-step --order reptile --dtype float32 | node harness.js
  refmaml requests quadratic-fomaml-k1-t2-loop | node harness.js

\b
Exit codes:
  0  done
  2  wrong usage: there is no such problem, or the vector has another precision or order
"""


@click.command(help=_REQUESTS_HELP)
@click.argument("name")
@click.option(
    "--order",
    type=OneOf(list(BY_OPTION)),
    default="1",
    show_default=True,
    help="The step to request for a built-in problem: first- or second-order MAML, or Reptile.",
)
@click.option("--dtype", type=OneOf(DTYPES), default="float64", show_default=True)
@click.pass_context
def requests(context: click.Context, name: str, order: str, dtype: str) -> None:
    """Print the lines by which the judge asks a program a problem."""
    from verification.problems import suite
    from verification.processes import request
    from verification.protocol.judging import layout_of
    from verification.protocol.messages import PROTOCOL
    from verification.subjects import SubjectError

    try:
        layout = layout_of(name, BY_OPTION[order])
    except KeyError as error:
        meant = suggestion(name, suite.NAMES)
        text = f"NAME: expected a built-in problem or the id of a vector. {error.args[0]}{meant}"
        raise click.UsageError(text) from error
    except SubjectError as error:
        raise click.UsageError(f"NAME: {error}") from error
    if not suite.exists(name):
        _refuse_of_vector(context, name, layout["step"], order, dtype)
    lines = [
        request("start", 1, protocol=PROTOCOL),
        request("run", 2, name=name, dtype=dtype, problem=layout),
        request("stop", 3),
    ]
    with screen() as console:
        console.out(b"".join(lines).decode(), highlight=False, end="")


def _refuse_of_vector(context: click.Context, name: str, step: str, order: str, dtype: str) -> None:
    """Refuse a precision that a vector is not for, and an order that is not its own."""
    from verification.vectors import golden

    dtypes = golden()[name].dtypes
    if dtype not in dtypes:
        raise click.UsageError(f"--dtype: expected {' or '.join(dtypes)} for the vector {name}, but got {dtype}.")
    own = BY_STEP[step]
    if context.get_parameter_source("order") is not click.core.ParameterSource.DEFAULT and BY_OPTION[order] != own:
        raise click.UsageError(f"--order: the vector {name} is of order {own}, but got {order}.")
