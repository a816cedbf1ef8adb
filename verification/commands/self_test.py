"""The command ``refmaml self-test``: the judge judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, NoReturn

import click
from rich.console import Console

from verification.commands.formats import Output, deliver, format_option
from verification.commands.screen import screen
from verification.commands.shared import (
    OneOf,
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
them, otherwise those that survived and correct code that failed. Then it says which faults no problem of level quick
shows: where their answers are less than 1,000 bounds from right. The forms json and markdown have the whole of both.

\b
Examples:
  refmaml self-test
  refmaml self-test --order 1 --dtype float64 --verbose
  refmaml self-test --pairs --sample 200 --seed 7
  refmaml self-test --vectors
  refmaml self-test --corners --verbose
  refmaml self-test --format markdown=docs/kill-matrix.md
  refmaml self-test --format html=matrix.html

\b
Exit codes:
  0  every fault was caught, and no correct code failed
  1  a fault survived, correct code failed, or there is a fault that no problem shows and that has no reason; with
     --corners, a fault under one condition survived, or more than 1 % of those under two
  2  wrong usage
"""


@click.command("self-test", help=_SELF_TEST_HELP)
@click.option(
    "--order",
    "orders",
    type=OneOf(list(BY_OPTION)),
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
@click.option(
    "--pairs",
    is_flag=True,
    help="Test two faults at once instead: every two of the catalogue that a step can have together, in every form. "
    "All of them take hours.",
)
@click.option("--sample", type=click.IntRange(1), help="With --pairs, test so many of them, drawn by chance.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What the draw follows from.")
@click.option(
    "--level",
    type=OneOf(LEVELS),
    default="quick",
    show_default=True,
    help="The level of each run, as in refmaml verify.",
)
@jobs_option
@verbose_option
@format_option(("text", "json", "markdown", "html"), short="markdown")
def self_test(
    orders: tuple[str, ...],
    dtypes: tuple[str, ...],
    on_vectors: bool,
    in_corners: bool,
    pairs: bool,
    sample: int | None,
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
    from verification.reports.formats import BY_NUMBER, Format, as_json, printed
    from verification.reports.heat import heat_map
    from verification.reports.markdown import page
    from verification.reports.matrix import is_clean, show_holes, show_matrix, to_dict
    from verification.selftest import trials as selftest
    from verification.selftest.holes import holes, shown
    from verification.selftest.lineup import Lineup

    if sample and not pairs:
        raise click.UsageError("--sample is for --pairs.")
    lineup = click.get_current_context().find_object(Lineup)  # None: the whole one
    kinds: tuple[Any, ...] = tuple(BY_OPTION[option] for option in orders or BY_OPTION)
    planned = (selftest.pair_trials if pairs else selftest.trials)(kinds, dtypes or DTYPES, lineup)
    planned = selftest.sample(planned, sample, seed) if sample else planned
    with shown_progress() as progress:
        results = selftest.run_all([replace(trial, level=level) for trial in planned], jobs, progress, lineup)
        rows = [] if pairs else shown(kinds, lineup, progress=progress)

    def show(console: Console, *, verbose: bool) -> None:
        show_matrix(results, console, verbose=verbose)
        if rows:
            show_holes(rows, console)

    forms: dict[str, Format[Any]] = {
        "text": Format(lambda _: printed(lambda console: show(console, verbose=True))),
        "json": Format(lambda found: as_json(to_dict(found, rows))),
        "markdown": Format(lambda found: page(found, "refmaml " + " ".join(sys.argv[1:]), rows), BY_NUMBER),
        "html": Format(heat_map, BY_NUMBER),
    }
    deliver(results, forms, outputs, lambda console: show(console, verbose=verbose))
    raise SystemExit(0 if is_clean(results) and not holes(rows) else 1)


def _test_corners(orders: tuple[str, ...], *, verbose: bool) -> NoReturn:
    """Plant faults under conditions, print what became of them, and exit."""
    from verification.reports.corners import show_surveys
    from verification.selftest.corners import survey

    with shown_progress() as progress:
        found = [survey(BY_OPTION[option], progress=progress) for option in orders or BY_OPTION]
    with screen() as console:
        show_surveys(found, console, verbose=verbose)
    raise SystemExit(0 if all(one.is_clean for one in found) else 1)


#: The options that --vectors or --corners may refuse, by what they are called in the code.
_REFUSED = {"orders": "order", "dtypes": "dtype", "pairs": "pairs", "sample": "sample", "seed": "seed",
            "level": "level",
            "verbose": "verbose", "outputs": "format", "on_vectors": "vectors"}  # fmt: skip


def _require_only(context: click.Context, option: str, *allowed: str) -> None:
    """Refuse options of the self-test that another one has no use for."""
    for name, spelled in _REFUSED.items():
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        if given and spelled not in (option, *allowed):
            listed = " and ".join(f"--{name}" for name in allowed)
            raise click.UsageError(f"--{option} allows no other option than {listed}.")
