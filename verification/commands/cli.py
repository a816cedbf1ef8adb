"""The command line `refmaml`, which gathers the commands."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Any

import click

from verification.commands.signals import end_on_signals

#: The commands in the order of their help; the module of one is imported where it is wanted, since all take a second.
_NAMES = (
    "init", "verify", "check", "faults", "algorithms", "self-test", "campaign", "calibrate", "smoke", "requests",
    "vectors",
)  # fmt: skip
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


class _Commands(click.Group):
    """The commands, each imported when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Return the names of all."""
        return list(_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; None where there is none."""
        if cmd_name in _NAMES and cmd_name not in self.commands:
            name = cmd_name.replace("-", "_")
            self.add_command(getattr(import_module(f"verification.commands.{name}"), name))
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where Ctrl-C ends it, the exit code is that of its signal, and not the one of a failure."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted. There is no report.", err=True)
            raise SystemExit(128 + signal.SIGINT) from None


@click.group(cls=_Commands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="refmaml")
def main() -> None:
    """Verify implementations of first-order MAML, second-order MAML and Reptile."""
    click.get_current_context().call_on_close(end_on_signals())
