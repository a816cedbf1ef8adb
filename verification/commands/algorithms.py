"""The command ``refmaml algorithms``: what an author can declare beside plain MAML."""

from __future__ import annotations

import click

from verification.commands.screen import screen

_HELP = """
List what you can declare with refmaml verify --algorithm, each with its formula and source.

\b
Examples:
  refmaml algorithms
  refmaml verify subject.py:step --algorithm adam
  refmaml verify subject.py:step --algorithm "weight-decay(0.01) + adam(held)"

\b
Exit codes:
  0  done
  2  wrong usage
"""


@click.command(help=_HELP)
def algorithms() -> None:
    """List what can be declared."""
    from verification.reports.algorithms import show_algorithms

    with screen() as console:
        show_algorithms(console)
