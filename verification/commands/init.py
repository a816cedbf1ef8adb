"""The command ``refmaml init``: an adapter to begin with."""

from __future__ import annotations

from importlib.resources import files

import click

from verification.commands.screen import write
from verification.commands.shared import OneOf

#: The file of each template in the folder `verification/templates`.
TEMPLATES = {
    "torch": "torch_subject.py",
    "jax": "jax_subject.py",
    "tensorflow": "tensorflow_subject.py",
    "numpy": "numpy_subject.py",
    "node": "node_subject.js",
}

_INIT_HELP = """
Print a file to begin with: first-order MAML in a framework or a language, in the form that refmaml verify judges. It
passes as it stands. Comments mark where your own code goes.

\b
Examples:
  refmaml init torch > subject.py
  refmaml verify subject.py:subject

\b
  refmaml init node > subject.js
  refmaml verify --command "node subject.js"

\b
Exit codes:
  0  done
  2  wrong usage: there is no such template, or standard output cannot be written
"""


@click.command(help=_INIT_HELP)
@click.argument("template", type=OneOf(list(TEMPLATES)))
def init(template: str) -> None:
    """Print a file to begin with, in a framework or a language."""
    text = (files("verification.templates") / TEMPLATES[template]).read_text("utf-8")
    if lost := write(text):
        raise click.UsageError(f"standard output cannot be written: {lost}.")
