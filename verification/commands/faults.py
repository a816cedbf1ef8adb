"""The command ``refmaml faults``: the catalogue listed, or one fault explained."""

from __future__ import annotations

import click

from verification.commands.screen import screen
from verification.commands.shared import completing, suggestion

_FAULTS_HELP = """
List the catalogue of faults, or explain one fault: its formula, its sources, what shows it and what to do.

\b
Examples:
  refmaml faults
  refmaml faults B02

\b
Exit codes:
  0  done
  2  wrong usage: there is no such fault
"""


def _completed(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    from verification.faults import ENTRIES, NOT_SHOWN

    return completing([*ENTRIES, *NOT_SHOWN])(context, parameter, start.upper())


@click.command(help=_FAULTS_HELP)
@click.argument("fault", required=False, shell_complete=_completed)
def faults(fault: str | None) -> None:
    """List the catalogue of faults, or explain one."""
    from verification.faults import ENTRIES, NOT_SHOWN
    from verification.reports.catalogue import show_catalogue, show_fault

    if fault is None:
        with screen() as console:
            show_catalogue(console)
        return
    try:
        with screen() as console:
            show_fault(fault.upper(), console)
    except KeyError as error:
        meant = suggestion(fault, [*ENTRIES, *NOT_SHOWN])
        raise click.UsageError(f"{error.args[0]}{meant}") from error
