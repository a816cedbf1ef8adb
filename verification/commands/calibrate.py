"""The command ``refmaml calibrate``: where the bound stands between correct code and the faintest fault."""

from __future__ import annotations

from pathlib import Path

import click

from verification.commands.screen import screen
from verification.commands.shared import OneOf, jobs_option, shown_progress, writable, write_file, write_json
from verification.frameworks import MissingFrameworkError
from verification.orders import BY_OPTION
from verification.problems import suite

_HELP = """
Measure how well the judge's bound separates correct code from faults: the largest error of correct code, and the
faintest fault of the catalogue, over learning rates, inner steps, problems and both precisions.

\b
Examples:
  refmaml calibrate
  refmaml calibrate --out calibration.svg --json calibration.json
  refmaml calibrate --problem quadratic --steps 3 --order 2
  refmaml calibrate --problem mlp-tanh-mse --steps 3 --rate 0.0000152587890625

\b
Exit codes:
  0  correct code is below the bound, and every fault is above it, or the judge reports the setting as inconclusive
  1  correct code is above the bound, or the judge would overlook a fault; the last lines show which
  2  wrong usage: an option cannot be used, or a file cannot be written
"""


def _drawable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a figure that cannot be drawn at once."""
    from verification.reports.calibration import FORMATS, require_matplotlib

    if path is None:
        return None
    if path.suffix not in FORMATS:
        raise click.BadParameter(f"expected a name in {', '.join(FORMATS)}, but got {path}.", context, parameter)
    try:
        require_matplotlib()
    except MissingFrameworkError as error:
        raise click.UsageError(str(error), context) from error
    return writable(context, parameter, path)


def _positive(context: click.Context, parameter: click.Parameter, rates: tuple[float, ...]) -> tuple[float, ...]:
    for rate in rates:
        if not 0 < rate < float("inf"):
            raise click.BadParameter(f"expected a positive number, but got {rate:g}.", context, parameter)
    return rates


@click.command(help=_HELP)
@click.option(
    "--problem",
    "problems",
    type=OneOf(suite.NAMES),
    multiple=True,
    help="Measure on this built-in problem. Default: four of them. You can repeat this option.",
)
@click.option(
    "--order",
    "orders",
    type=OneOf(list(BY_OPTION)),
    multiple=True,
    default=("1",),
    show_default=True,
    help="Measure this kind of step. You can repeat this option.",
)
@click.option(
    "--steps", type=click.IntRange(1), multiple=True, help="The number of inner steps. Default: 1, 3, 5 and 20."
)
@click.option(
    "--rate",
    "rates",
    type=float,
    multiple=True,
    callback=_positive,
    help="The inner learning rate. Default: powers of two from 0.001 to 0.5.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), callback=_drawable, help="Draw a figure to this file."
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write every measurement to this file, as JSON.",
)
@jobs_option
def calibrate(
    problems: tuple[str, ...],
    orders: tuple[str, ...],
    steps: tuple[int, ...],
    rates: tuple[float, ...],
    out: Path | None,
    json_file: Path | None,
    jobs: int,
) -> None:
    """Measure where the bound of the judge stands."""
    from verification.reports.calibration import draw, show_calibration
    from verification.selftest import calibration
    from verification.selftest.lineup import Lineup

    kinds = [BY_OPTION[option] for option in orders]
    ladders = calibration.ladders(
        problems or calibration.PROBLEMS, kinds, steps or calibration.STEPS, sorted(rates) or calibration.RATES
    )
    if not ladders:
        raise click.UsageError("expected a problem that exists for the order, but none of the given ones does.")
    lineup = click.get_current_context().find_object(Lineup)  # None: the whole one
    with shown_progress() as progress:
        settings = calibration.measure(ladders, jobs, progress, lineup)
    if out:
        write_file(out, lambda beside: draw(settings, beside))
    if json_file:
        write_json(calibration.to_dict(settings), json_file)
    with screen() as console:
        show_calibration(settings, console)
    raise SystemExit(1 if calibration.objections(settings) else 0)
