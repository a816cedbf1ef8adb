"""Draw the figures of docs/gallery.md that no command of `refmaml` draws: ``python docs/figures/draw.py [FOLDER]``.

The report and the Taylor test are computed here. The kill matrix and the benchmark are read from the pages that have
their tables, so that a figure never shows other numbers than its page. Needs matplotlib and PyTorch.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
from matplotlib import colors, rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

import verification
from verification.problems.problem import Problem
from verification.problems.trees import Tree, leaves, map_leaves
from verification.reports import show

FOLDER = Path(__file__).parent
_BLUE, _ORANGE, _GREY, _GREEN = "#0072B2", "#D55E00", "#8a8a8a", "#009E73"  # Okabe and Ito (2008)
_FIRST_SCREEN = 22  # lines: the verdict, the name of the mistake, and the first wrong numbers
_STEPS = 2.0 ** -np.arange(2, 21)
_CHECKS = ("cost", "gradients", "adapted", "inputs", "second call")
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)

Vector = NDArray[np.float64]


def taylor() -> tuple[Vector, dict[str, Vector]]:
    """Return steps h and, for each pair of gradient and function, the remainders |f(θ + h d) − f(θ) − h g·d|."""
    problem = verification.problem("mlp-tanh-mse", order=1)
    start = _flat(problem.variables)
    direction = np.random.default_rng(0).normal(size=start.shape)
    direction *= np.linalg.norm(start) / np.linalg.norm(direction)
    shifts = [_adapted(problem, start, support) - start for support, _ in problem.tasks()]
    queries = [query for _, query in problem.tasks()]

    def surrogate(v: Vector) -> float:
        return float(np.mean([_cost(problem, query, v + shift) for query, shift in zip(queries, shifts, strict=True)]))

    def meta_objective(v: Vector) -> float:
        return float(
            np.mean([_cost(problem, query, _adapted(problem, v, support)) for support, query in problem.tasks()])
        )

    slopes = [
        problem.outer_gradient(query, _tree(problem, start + shift))
        for query, shift in zip(queries, shifts, strict=True)
    ]
    gradient = np.mean([_flat(slope) for slope in slopes], axis=0)

    def remainders(function: Callable[[Vector], float]) -> Vector:
        value, slope = function(start), float(gradient @ direction)
        return np.array([abs(function(start + h * direction) - value - h * slope) for h in _STEPS])

    return _STEPS, {"the surrogate": remainders(surrogate), "the meta-objective": remainders(meta_objective)}


def _adapted(problem: Problem, v: Vector, support: Tree) -> Vector:
    for _ in range(problem.inner_grad_steps):
        slope = _flat(problem.inner_gradient(support, _tree(problem, v)))
        v = v - problem.inner_learning_rate * slope
    return v


def _cost(problem: Problem, query: Tree, v: Vector) -> float:
    return float(problem.outer_cost(query, _tree(problem, v)))


def _flat(tree: Tree) -> Vector:
    return np.concatenate([np.ravel(leaf) for leaf in leaves(tree).values()])


def _tree(problem: Problem, v: Vector) -> Tree:
    rest = iter(np.split(v, np.cumsum([np.size(leaf) for leaf in leaves(problem.variables).values()])[:-1]))
    return map_leaves(lambda leaf: next(rest).reshape(np.shape(leaf)), problem.variables)


def kill_matrix(page: str) -> dict[str, dict[tuple[str, str], str]]:
    """Return for each fault of docs/kill-matrix.md how it was named, by (order, check), where a check caught it."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    for section in page.partition("## The kill matrix")[2].partition("\n## ")[0].split("\n### ")[1:]:
        order = section.partition("\n")[0]
        for subject, *became, caught in _ROW.findall(section):
            if re.match(r"[A-Z]\d\d", subject):
                name = "named" if {"named", "–"}.issuperset(became) else "named as another"
                cells = found.setdefault(subject[:3], {})
                for check in caught.split(", "):
                    cells[order, check] = max(name, cells.get((order, check), ""))
    return found


def speeds(page: str) -> dict[str, tuple[float, float]]:
    """Return for each workload of docs/engine.md how many times as long JAX and torch.compile take, in loop mode."""
    section = page.partition("## Speed")[2]
    return {
        name: (float(jax), float(torch))
        for name, jax, torch in re.findall(r"^\| `(.+)` \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \| [\d.]+ \|$", section, re.M)
    }


def _draw_taylor() -> Figure:
    steps, remainders = taylor()
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (name, sizes), colour, order in zip(remainders.items(), (_BLUE, _ORANGE), (2, 1), strict=True):
        axes.loglog(steps, sizes, "o-", color=colour, markersize=4, label=f"against {name}: order {order}")
        axes.loglog(steps[:12], sizes[4] * (steps[:12] / steps[4]) ** order / 3, "--", color=_GREY, linewidth=1)
    axes.set(xlabel="h", ylabel="|f(θ + h d) − f(θ) − h g·d|")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _draw_kill_matrix() -> Figure:
    found = kill_matrix((FOLDER.parent / "kill-matrix.md").read_text("utf-8"))
    orders = list(dict.fromkeys(order for cells in found.values() for order, _ in cells))
    columns = [(order, check) for order in orders for check in _CHECKS]
    values = {"": 0, "named": 1, "named as another": 2}
    heat = np.array([[values[cells.get(column, "")] for column in columns] for _, cells in sorted(found.items())])
    figure = Figure(figsize=(6, 11), layout="constrained")
    axes = figure.subplots()
    axes.pcolormesh(
        heat, cmap=colors.ListedColormap(["#eeeeee", _BLUE, _ORANGE]), vmin=0, vmax=2, edgecolor="white", linewidth=1.5
    )
    axes.set_yticks(np.arange(len(found)) + 0.5, sorted(found), fontsize=8)
    axes.set_xticks(np.arange(len(columns)) + 0.5, [check for _, check in columns], rotation=90, fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    for place, order in enumerate(orders):
        axes.text(len(_CHECKS) * (place + 0.5), -0.4, order, ha="center")
        axes.axvline(len(_CHECKS) * place, color="black", linewidth=1.5)
    labels = {_BLUE: "caught, and named", _ORANGE: "caught, and named as a fault with the same answers"}
    handles = [Patch(color=colour, label=label) for colour, label in labels.items()]
    figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=9, ncols=2)
    return figure


def _draw_speeds() -> Figure:
    found = speeds((FOLDER.parent / "engine.md").read_text("utf-8"))
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(found))
    for index, (label, colour) in enumerate((("JAX", _BLUE), ("torch.compile", _ORANGE))):
        bars = axes.barh(
            rows + 0.38 * index, [times[index] for times in found.values()], 0.36, color=colour, label=label
        )
        axes.bar_label(bars, padding=2, fontsize=8)
    axes.axvline(1, color=_GREEN, linewidth=2, label="refmaml.compiled")
    axes.set_yticks(rows + 0.19, list(found), fontsize=9)
    axes.invert_yaxis()
    axes.set(xlabel="time divided by that of refmaml.compiled", xlim=(0, 22))
    axes.legend(frameon=False, loc="upper right")
    return figure


def report() -> str:
    """Return the first screen of a report, as SVG that loads no font."""
    subject = "examples/torch_fomaml_wrong.py:subject"
    console = Console(file=StringIO(), record=True, width=88, height=40, force_terminal=True, color_system="standard")
    show(verification.verify(subject), console)
    lines = console.export_text(clear=False, styles=True).splitlines()
    first = Console(file=StringIO(), record=True, width=88, force_terminal=True, color_system="standard")
    first.print(Text.from_ansi("\n".join([f"$ refmaml verify {subject}", *lines[:_FIRST_SCREEN], "…"])))
    drawn = first.export_svg(title="refmaml verify", theme=DEFAULT_TERMINAL_THEME, unique_id="report")
    return re.sub(r"\s*@font-face \{[^}]*\}", "", drawn).replace("Fira Code, monospace", "monospace") + "\n"


def main(folder: Path = FOLDER) -> None:
    """Draw every figure."""
    (folder / "report.svg").write_text(report(), "utf-8")
    for name, draw in (("taylor", _draw_taylor), ("kill-matrix", _draw_kill_matrix), ("speeds", _draw_speeds)):
        with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
            draw().savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
