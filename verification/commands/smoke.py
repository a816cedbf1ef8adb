"""The command ``refmaml smoke``: a broken harness told from a broken algorithm."""

from __future__ import annotations

import click
from rich.text import Text

from verification.commands.screen import screen
from verification.commands.shared import timeout_option, usage_errors, verbose_option
from verification.texts import spelled, visible

_SMOKE_HELP = """
Distinguish a broken harness from a broken algorithm. This command starts a program that speaks the protocol, lets it
send numbers back, gives it problems without an inner step, and stops it. If all of this passes, an error that refmaml
verify finds is in the algorithm.

\b
Examples:
  refmaml smoke --command "node harness.js"
  refmaml smoke --command "java -cp build Harness" --timeout 30

\b
Exit codes:
  0  the harness works, and so do the costs that it declares
  1  the harness or a cost is broken, or the program skipped every problem; the lines above show where
  2  wrong usage: the program cannot be run
  70 the judge itself failed, or its golden vectors are damaged
"""


@click.command(help=_SMOKE_HELP)
@click.option("--command", required=True, metavar="COMMAND", help="The program and its arguments. No shell runs.")
@timeout_option
@verbose_option
def smoke(command: str, timeout: float, verbose: bool) -> None:
    """Tell a broken harness from a broken algorithm."""
    from verification.protocol.harness import smoke as checks_of

    with usage_errors():
        checks = checks_of(command, timeout=timeout)
    failed = [check for check in checks if not check.is_passed]
    broken = {check.part for check in failed}
    costs = [check for check in checks if check.part == "cost"]
    unknown = not broken and bool(costs) and all(check.is_skipped for check in costs)
    with screen() as console:
        for check in checks if verbose else failed:
            text = ("ok    ", "green") if check.is_passed else ("FAIL  ", "bold red")
            words = f"{check.name}\n      {check.cause}." if check.cause else check.name
            console.print(Text.assemble(text, spelled(visible(words), console.encoding)))
        console.print(f"{len(checks) - len(failed)} of {len(checks)} checks passed.")
        console.print(
            "The program skipped every problem, so this command cannot tell whether it works."
            if unknown
            else _conclusion(broken)
        )
    raise SystemExit(1 if broken or unknown else 0)


def _conclusion(broken: set[str]) -> str:
    if "harness" in broken:
        return "The harness is broken. This says nothing about the algorithm."
    if broken:
        return "The harness works, but a cost or its gradient is wrong even without an inner step."
    return "The harness works. An error that refmaml verify finds is in the algorithm."
