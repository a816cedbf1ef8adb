"""The command ``refmaml self-test``: the judge judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, NoReturn

import click

from verification.commands.formats import Output, deliver, format_option
from verification.commands.screen import screen
from verification.commands.shared import (
    dtypes_option,
    jobs_option,
    shown_progress,
    verbose_option,
)
from verification.commands.vectors import show_kills
from verification.orders import BY_OPTION, DTYPES
from verification.problems.levels import LEVELS

_SELF_TEST_HELP = """
Test the judge: run every fault of the catalogue, and correct code in many forms, as if they were subjects. The kill
matrix shows which faults the judge caught, in which part of the answer, and under which name: with --verbose all of
them, otherwise those that survived and correct code that failed.

\b
Examples:
  refmaml self-test
  refmaml self-test --order 1 --dtype float64 --verbose
  refmaml self-test --random 1000 --seed 7
  refmaml self-test --vectors
  refmaml self-test --corners --verbose
  refmaml self-test --format markdown=docs/kill-matrix.md
  refmaml self-test --format html=matrix.html

\b
Exit codes:
  0  every fault was caught, and no correct code failed
  1  a fault survived, or correct code failed; with --corners, a fault under one condition
     survived, or more than 1 % of those under two
  2  wrong usage
"""


@click.command("self-test", help=_SELF_TEST_HELP)
@click.option(
    "--order",
    "orders",
    type=click.Choice(list(BY_OPTION)),
    multiple=True,
    help="Test this kind of step only. Default: all.",
)
@dtypes_option
@click.option(
    "--vectors",
    "on_vectors",
    is_flag=True,
    help="Test every fault on the golden vectors instead; takes seconds. Float32 cannot show G11 and V02, so they do "
    "not count as survivors.",
)
@click.option(
    "--corners",
    "in_corners",
    is_flag=True,
    help="Test --level full on faults under one condition (such as K >= 6) or two instead. With --verbose, list those "
    "that survive.",
)
@click.option("--pairs", is_flag=True, help="Test pairs instead: a scale together with a structural fault.")
@click.option(
    "--random",
    "count",
    type=click.IntRange(1),
    help="Run this many random trials instead, each on problems with new random numbers.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of --random.")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="quick",
    show_default=True,
    help="The level of each run, as in refmaml verify.",
)
@jobs_option
@verbose_option
@format_option(("text", "markdown", "html"), short="markdown")
def self_test(
    orders: tuple[str, ...],
    dtypes: tuple[str, ...],
    on_vectors: bool,
    in_corners: bool,
    pairs: bool,
    count: int | None,
    seed: int,
    level: str,
    jobs: int,
    verbose: bool,
    outputs: tuple[Output, ...],
) -> None:
    """Judge the judge."""
    if in_corners:
        _require_only(click.get_current_context(), "corners", "order", "verbose")
        _test_corners(orders, verbose=verbose)
    if on_vectors:
        _require_only(click.get_current_context(), "vectors", "dtype")
        for dtype in dtypes or DTYPES:
            show_kills(dtype)
        return
    from verification.reports.formats import BY_NUMBER, Format, printed
    from verification.reports.heat import heat_map
    from verification.reports.markdown import page
    from verification.reports.matrix import is_clean, show_matrix
    from verification.selftest import trials as selftest
    from verification.selftest.lineup import Lineup

    lineup = click.get_current_context().find_object(Lineup)  # None: the whole one
    kinds: tuple[Any, ...] = tuple(BY_OPTION[option] for option in orders or BY_OPTION)
    if count:
        planned = list(selftest.random_trials(count, seed))
    else:
        planned = selftest.pair_trials(kinds) if pairs else selftest.trials(kinds, dtypes or DTYPES, lineup)
    with shown_progress() as progress:
        results = selftest.run_all([replace(trial, level=level) for trial in planned], jobs, progress, lineup)
    forms = {
        "text": Format(lambda found: printed(lambda console: show_matrix(found, console, verbose=True))),
        "markdown": Format(lambda found: page(found, "refmaml " + " ".join(sys.argv[1:])), BY_NUMBER),
        "html": Format(heat_map, BY_NUMBER),
    }
    deliver(results, forms, outputs, lambda console: show_matrix(results, console, verbose=verbose))
    raise SystemExit(0 if is_clean(results) else 1)


def _test_corners(orders: tuple[str, ...], *, verbose: bool) -> NoReturn:
    """Plant faults under conditions, print what became of them, and exit."""
    from verification.reports.corners import show_surveys
    from verification.selftest.corners import survey

    with shown_progress() as progress:
        found = [survey(BY_OPTION[option], progress=progress) for option in orders or BY_OPTION]
    with screen() as console:
        show_surveys(found, console, verbose=verbose)
    raise SystemExit(0 if all(each.is_clean for each in found) else 1)


#: The options that --vectors or --corners may refuse, by what they are called in the code.
_REFUSED = {"orders": "order", "dtypes": "dtype", "pairs": "pairs", "count": "random", "level": "level",
            "verbose": "verbose", "outputs": "format", "on_vectors": "vectors"}  # fmt: skip


def _require_only(context: click.Context, option: str, *allowed: str) -> None:
    """Refuse options of the self-test that another one has no use for."""
    for name, spelled in _REFUSED.items():
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        if given and spelled not in (option, *allowed):
            listed = " and ".join(f"--{each}" for each in allowed)
            raise click.UsageError(f"--{option} allows no other option than {listed}.")
