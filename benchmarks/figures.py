"""Figures of time against the numbers of tasks and of inner steps, and against the network's width and depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.workloads import CURVES

_TITLES = {
    "tasks": ("tasks", "1-40-40-1, 10 shots, 5 inner steps, float32"),
    "width": ("units in each hidden layer", "25 tasks, 10 shots, 5 inner steps, float32"),
    "steps": ("inner steps", "1-40-40-1, 25 tasks, 10 shots, float32"),
    "depth": ("hidden layers of 40 units", "25 tasks, 10 shots, 1 inner step, float32"),
}


def draw(curves: dict[str, Any], folder: Path) -> None:
    """Draw a figure for each curve that has been measured."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    for name, workloads in CURVES.items():
        points = [
            (_abscissa(point.name), curves[point.name]["milliseconds"]) for point in workloads if point.name in curves
        ]
        if not points:
            continue
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        for library in points[0][1]:
            known = [(x, times[library]) for x, times in points if library in times]
            axes.loglog(*zip(*known, strict=True), marker="o", label=library)
        axes.set(xlabel=_TITLES[name][0], ylabel="milliseconds for a step (median)", title=_TITLES[name][1])
        axes.set_xticks([x for x, _ in points], labels=[f"{x:,}" for x, _ in points])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"time-{name}.svg", metadata={"Date": None})
        pyplot.close(figure)


def _abscissa(name: str) -> int:
    return int(name.rpartition("-")[2])
