"""The command ``refmaml self-test``: the judge judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from verification.commands.shared import shown_progress, writable, write_file
from verification.commands.vectors import show_kills
from verification.orders import BY_OPTION, DTYPES
from verification.problems.levels import LEVELS

_SELF_TEST_HELP = """
Judge the judge: every fault of the catalogue, pairs of them, and correct code written in many ways go through the same
path as a user's subject; the kill matrix tells who was caught, by what, and named as what.

\b
Examples:
  refmaml self-test
  refmaml self-test --order 1 --dtype float64
  refmaml self-test --random 1000 --seed 7
  refmaml self-test --vectors
  refmaml self-test --markdown docs/kill-matrix.md

\b
Exit codes:
  0  no fault survived and no correct code was accused
  1  a survivor or a false alarm
  2  wrong usage
"""


@click.command("self-test", help=_SELF_TEST_HELP)
@click.option(
    "--order",
    "orders",
    type=click.Choice(list(BY_OPTION)),
    multiple=True,
    help="Try this kind of step only; by default all.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(DTYPES),
    multiple=True,
    help="Ask in this precision only; by default in both.",
)
@click.option(
    "--vectors",
    "on_vectors",
    is_flag=True,
    help="Hold every fault against the golden vectors "
    "instead; some seconds. Float32 cannot show G11 and V02, which are no survivors.",
)
@click.option("--pairs", is_flag=True, help="Try pairs of a scale and a structural fault instead.")
@click.option("--random", "count", type=click.IntRange(1), help="Try this many by chance, on problems made for each.")
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of --random.")
@click.option("--level", type=click.Choice(LEVELS), default="quick", show_default=True, help="How much each is asked.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes to work in.")
@click.option(
    "--markdown",
    "page_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write the catalogue and the matrix to this file as well, as Markdown.",
)
def self_test(
    orders: tuple[str, ...],
    dtypes: tuple[str, ...],
    on_vectors: bool,
    pairs: bool,
    count: int | None,
    seed: int,
    level: str,
    jobs: int,
    page_file: Path | None,
) -> None:
    """Judge the judge."""
    if on_vectors:
        _require_only_dtypes(click.get_current_context())
        for dtype in dtypes or DTYPES:
            show_kills(dtype)
        return
    from verification.reports.markdown import page
    from verification.reports.matrix import is_clean, show_matrix
    from verification.selftest import trials as selftest
    from verification.selftest.lineup import Lineup

    lineup = click.get_current_context().find_object(Lineup)  # None: the whole one
    kinds: tuple[Any, ...] = tuple(BY_OPTION[option] for option in orders or BY_OPTION)
    if count:
        asked = list(selftest.random_trials(count, seed))
    else:
        asked = selftest.pair_trials(kinds) if pairs else selftest.trials(kinds, dtypes or DTYPES, lineup)
    with shown_progress() as progress:
        results = selftest.run_all([replace(trial, level=level) for trial in asked], jobs, progress, lineup)
    show_matrix(results, Console())
    if page_file:
        text = page(results, "refmaml " + " ".join(sys.argv[1:]))
        write_file(page_file, lambda: page_file.write_text(text, "utf-8"))
    raise SystemExit(0 if is_clean(results) else 1)


def _require_only_dtypes(context: click.Context) -> None:
    """Refuse options of the self-test that the golden vectors have no use for."""
    for name in ("orders", "pairs", "count", "page_file"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--vectors goes with --dtype alone.")
