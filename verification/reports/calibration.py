"""The calibration told: a table, sentences, and the figure of the documentation."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from verification.frameworks import MissingFrameworkError
from verification.judging import tolerances
from verification.reports.tables import print_table, say
from verification.selftest.calibration import Setting, Summary, objections, summaries
from verification.texts import spelled

#: Blue and orange of Okabe and Ito (2008), which stay apart for every common kind of colour-blindness.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#444444"
#: The learning rates of the built-in problems, 1/32 (for single leaves) to 1/4, with some room to either side.
_BUILT_IN = (2.0**-5.25, 2.0**-1.75)
FORMATS = (".svg", ".png", ".pdf")


def show_calibration(settings: list[Setting], console: Console) -> None:
    """Print the table for each precision and number of steps, the totals, and what speaks against the bound."""
    _print_table(settings, console)
    for line in totals(settings):
        say(spelled(line, console.encoding), console)
    for sentence in objections(settings):
        say(Text(spelled(sentence, console.encoding), style="bold red"), console)


def _print_table(settings: list[Setting], console: Console) -> None:
    title = f"Errors in units u · max(‖x‖, s), per leaf; the bound is {tolerances.FACTOR:g}"
    head = ("dtype", "K", "correct code", "faintest fault", "ratio", "hidden", "undecided", "overlooked")
    rows = []
    for summary in summaries(settings):
        for steps in sorted({setting.steps for setting in summary.settings}):
            row = Summary(summary.dtype, [setting for setting in summary.settings if setting.steps == steps])
            rows.append((summary.dtype, str(steps), *(spelled(cell, console.encoding) for cell in _cells(row))))
    caption = "The most and the least over all problems and learning rates."
    print_table(
        head, rows, console, title=spelled(title, console.encoding), caption=caption, numbers=range(2, len(head))
    )


def _cells(row: Summary) -> list[str]:
    worst, faint = row.correct, row.faintest
    undecided = len(row.settings) - row.count("decided")
    return [
        f"{worst.correct.units:.3g}",
        f"{faint.faintest.units:.3g}  {faint.faintest.by} at α = {faint.rate:.3g}",
        f"{row.separation:.3g}",
        str(row.count("hidden")),
        str(undecided),
        str(row.count("overlooked")),
    ]


def totals(settings: list[Setting]) -> list[str]:
    """Return the totals in sentences."""
    return [_total(summary) for summary in summaries(settings)]


def _total(summary: Summary) -> str:
    worst, faint = summary.correct, summary.faintest
    count, hidden, overlooked = (len(summary.settings), summary.count("hidden"), summary.count("overlooked"))
    return (
        f"{summary.dtype}: correct code errs by at most {worst.correct.units:.3g} units ({worst.problem}, "
        f"K = {worst.steps}, α = {worst.rate:.3g}); the faintest fault is {faint.faintest.units:.3g} units away "
        f"({faint.faintest.by}; {faint.problem}, K = {faint.steps}, α = {faint.rate:.3g}). In {hidden} of {count} "
        f"settings a fault lies within the bound; the judge would overlook it in {overlooked}."
    )


def require_matplotlib() -> None:
    """Raise a `MissingFrameworkError` that says what to install unless a figure can be drawn."""
    _matplotlib("figure")


def _matplotlib(module: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise MissingFrameworkError(
            "The figure needs the package matplotlib, which is not installed here. "
            "Install it, for example with: python -m pip install matplotlib"
        ) from error


def draw(settings: list[Setting], path: Path) -> None:
    """Draw both measurements against the learning rate, a panel for each precision and number of steps."""
    precisions = summaries(settings)
    counts = sorted({setting.steps for setting in settings})
    figure = _matplotlib("figure").Figure(figsize=(2.2 + 2.9 * len(counts), 1.6 + 3 * len(precisions)))
    panels = figure.subplots(len(precisions), len(counts), sharex=True, sharey="row", squeeze=False)
    for row, summary in zip(panels, precisions, strict=True):
        for panel, steps in zip(row, counts, strict=True):
            _panel(panel, [setting for setting in summary.settings if setting.steps == steps])
            panel.set_title(f"{summary.dtype}, K = {steps}", fontsize=11)
        row[0].set_ylabel("units  u · max(‖x‖, s)")
    for panel in panels[-1]:
        panel.set_xlabel("inner learning rate α")
    _frame(figure, panels)
    _save(figure, path)


def _panel(panel: Any, settings: list[Setting]) -> None:
    """Draw each problem faintly, and over them the most that correct code errs and the least that a fault differs."""
    rates = sorted({setting.rate for setting in settings})
    by_rate = [Summary("", [setting for setting in settings if setting.rate == rate]) for rate in rates]
    most = [max(setting.correct.units for setting in of_rate.settings) for of_rate in by_rate]
    least = [min(setting.faintest for setting in of_rate.settings) for of_rate in by_rate]
    alphas = [setting.rate for setting in settings]
    panel.plot(alphas, [setting.correct.units for setting in settings], "o", color=_BLUE, markersize=3, alpha=0.35)
    panel.plot(alphas, [setting.faintest.units for setting in settings], "s", color=_ORANGE, markersize=3, alpha=0.35)
    panel.plot(rates, most, "o-", color=_BLUE, markersize=5, label="largest error of correct code")
    panel.plot(
        rates, [measured.units for measured in least], "s--", color=_ORANGE, markersize=5, label="faintest fault"
    )
    label = f"the bound, C = {tolerances.FACTOR:g}"
    panel.axhline(tolerances.FACTOR, color=_GREY, linewidth=1.5, label=label)
    panel.axvspan(*_BUILT_IN, color="#e6e6e6", zorder=0, label="rates of the built-in problems")
    within = [(rate, fault.units) for rate, fault in zip(rates, least, strict=True) if fault.units <= tolerances.FACTOR]
    panel.plot(*np.reshape(within, (-1, 2)).T, "s", color=_ORANGE, markerfacecolor="white", markersize=7, zorder=5)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(visible=True, color="#dddddd", linewidth=0.6)
    for rate, fault in zip(rates, least, strict=True):
        panel.annotate(fault.by.partition(" ")[0], (rate, fault.units), xytext=(0, -14), textcoords="offset points",
                       ha="center", fontsize=7, color="black",
                       bbox={"color": "white", "alpha": 0.75, "pad": 0.6, "linewidth": 0})  # fmt: skip


def _frame(figure: Any, panels: Any) -> None:
    figure.suptitle(
        "Errors of correct code, the bound, and the faintest fault (open: hidden by the bound)", fontsize=14
    )
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=2, frameon=False, fontsize=10)
    figure.tight_layout(rect=(0, 0.08, 1, 1))


def _save(figure: Any, path: Path) -> None:
    """Write the figure without a date and with the same names inside each time: equal numbers give equal files."""
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with importlib.import_module("matplotlib").rc_context({"svg.hashsalt": "calibration"}):
        figure.savefig(path, dpi=110, metadata=metadata)
