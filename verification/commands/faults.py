"""The command ``refmaml faults``: the catalogue listed, or one fault explained."""

from __future__ import annotations

import click
from rich.console import Console

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


@click.command(help=_FAULTS_HELP)
@click.argument("fault", required=False)
def faults(fault: str | None) -> None:
    """List the catalogue of faults, or explain one."""
    from verification.reports.catalogue import show_catalogue, show_fault

    if fault is None:
        show_catalogue(Console())
        return
    try:
        show_fault(fault.upper(), Console())
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from error
