"""The command line `refmaml`, which gathers the commands."""

from __future__ import annotations

import click

from verification.commands.algorithms import algorithms
from verification.commands.calibrate import calibrate
from verification.commands.campaign import campaign
from verification.commands.check import check
from verification.commands.faults import faults
from verification.commands.init import init
from verification.commands.requests import requests
from verification.commands.self_test import self_test
from verification.commands.signals import end_on_signals
from verification.commands.smoke import smoke
from verification.commands.vectors import vectors
from verification.commands.verify import verify

_HELP = """
Verify implementations of first-order MAML, second-order MAML and Reptile.

\b
Examples:
  refmaml init torch > subject.py
  refmaml verify subject.py:subject
  refmaml check examples/own_model/train.py:problem
  refmaml faults B02
  refmaml algorithms

\b
Exit codes:
  0  pass, or done
  1  fail
  2  wrong usage
  3  inconclusive
  70 the judge itself failed
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="refmaml")
def main() -> None:
    """Verify implementations of first-order MAML, second-order MAML and Reptile."""
    click.get_current_context().call_on_close(end_on_signals())


for command in (init, verify, check, faults, algorithms, self_test, campaign, calibrate, smoke, requests, vectors):
    main.add_command(command)
