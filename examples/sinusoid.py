"""Few-shot regression on sinusoids, as in the paper that introduced MAML (Finn et al., 2017, section 5.1).

A task is one sinusoid, with an amplitude in [0.1, 5] and a phase in [0, π]. From ten points of it a network with two
hidden layers of 40 units has to predict the rest. One network is meta-trained with first-order MAML. Another, of the
same shape and with as many updates, is trained on all tasks together; adapted in the same way, it stays far behind,
though it may choose the inner learning rate that suits it best.

    python examples/sinusoid.py
    python examples/sinusoid.py --steps 500 --seed 7 --out quick.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import autograd.numpy as np
import click
from meta_training import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    SKY,
    VERMILION,
    Batch,
    Network,
    adapted,
    follow,
    new_network,
    predict,
    progress_bar,
    step,
    train,
    tuned_rate,
)
from rich.console import Console
from rich.table import Table

SIZES = (1, 40, 40, 1)
SHOTS = 10
TASKS_PER_UPDATE = 25
INNER_GRAD_STEPS = 3
INNER_LEARNING_RATE = 0.005
OUTER_LEARNING_RATE = 0.003
#: After how many inner steps both networks are judged, on tasks that neither has seen.
JUDGED_AFTER = (0, 1, 3, 5, 10)
RATES_TO_CHOOSE_FROM = (0.0003, 0.001, 0.002, 0.003, 0.005, 0.01)


@dataclass(frozen=True)
class Trained:
    """A network and how well it does on new tasks: the mean squared error after each of `JUDGED_AFTER` steps."""

    name: str
    network: Network
    inner_learning_rate: float
    errors: tuple[float, ...]


def sample_tasks(rng: np.random.Generator, tasks: int, *, queries: int = SHOTS) -> Batch:
    """Draw sinusoids y = A sin(x − p) and points on them; every array is [tasks, points, 1]."""
    amplitude = rng.uniform(0.1, 5.0, (tasks, 1, 1))
    phase = rng.uniform(0.0, np.pi, (tasks, 1, 1))
    x = rng.uniform(-5.0, 5.0, (tasks, SHOTS + queries, 1))
    y = amplitude * np.sin(x - phase)
    return {
        "support": {"x": x[:, :SHOTS], "y": y[:, :SHOTS]},
        "query": {"x": x[:, SHOTS:], "y": y[:, SHOTS:]},
        "amplitude": amplitude,
        "phase": phase,
    }


def squared_error(batch: Any, network: Network) -> Any:
    """Return the mean squared error over tasks and points."""
    return np.mean((predict(network, batch["x"]) - batch["y"]) ** 2)


def run(updates: int, seed: int, console: Console) -> tuple[Trained, Trained]:
    """Train both networks from the same initial weights, and judge both on the same new tasks."""
    start = new_network(SIZES, np.random.default_rng(seed), bias=4.0)
    with progress_bar(console) as progress:

        def trained(name: str, inner_grad_steps: int) -> Network:
            rng = np.random.default_rng([seed, 1])
            return train(
                start,
                lambda: sample_tasks(rng, TASKS_PER_UPDATE),
                squared_error,
                inner_grad_steps=inner_grad_steps,
                inner_learning_rate=INNER_LEARNING_RATE,
                learning_rate=OUTER_LEARNING_RATE,
                updates=updates,
                on_update=follow(progress, name, updates),
            )

        # Without inner steps, a first-order MAML step is a step of ordinary training.
        meta, joint = trained("meta-training", INNER_GRAD_STEPS), trained("training jointly", 0)
    for_tuning = sample_tasks(np.random.default_rng([seed, 2]), 100, queries=50)
    rate = tuned_rate(for_tuning, squared_error, joint, JUDGED_AFTER[-1], RATES_TO_CHOOSE_FROM)
    new_tasks = sample_tasks(np.random.default_rng([seed, 3]), 300, queries=100)
    return (
        judged("meta-trained", meta, INNER_LEARNING_RATE, new_tasks),
        judged("trained jointly", joint, rate, new_tasks),
    )


def judged(name: str, network: Network, rate: float, new_tasks: Batch) -> Trained:
    """Adapt to each of the new tasks and take the error on points that the adaptation has not seen."""
    errors = tuple(float(step(new_tasks, squared_error, network, steps, rate)[0]) for steps in JUDGED_AFTER)
    return Trained(name, network, rate, errors)


def table_of(results: Sequence[Trained]) -> Table:
    """Return the errors of both networks, side by side."""
    table = Table(title="Mean squared error on 300 new sinusoids, from 10 points each")
    table.add_column("network", no_wrap=True)
    table.add_column("rate", justify="right")
    for steps in JUDGED_AFTER:
        table.add_column(f"{steps} step{'s' * (steps != 1)}", justify="right")
    for result in results:
        table.add_row(result.name, f"{result.inner_learning_rate:g}", *(f"{error:.3f}" for error in result.errors))
    return table


def draw(results: Sequence[Trained], seed: int, out: Path) -> None:
    """Draw predictions before and after adapting for two new sinusoids, and the errors against the inner steps."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(12.5, 6.2), layout="constrained")
    axes = figure.subplot_mosaic([["00", "01", "error"], ["10", "11", "error"]], width_ratios=[1, 1, 1.05])
    # Two sinusoids of some size: the smallest ones are hard to see.
    tasks = _with_curve(sample_tasks(np.random.default_rng([seed, 4]), 2), amplitudes=(4.2, 2.4), phases=(0.6, 2.5))
    for column, result in enumerate(results):
        for row in range(2):
            _draw_task(axes[f"{row}{column}"], tasks, row, result)
        axes[f"0{column}"].set_title(f"{result.name}, inner rate {result.inner_learning_rate:g}", fontweight="bold")
        axes[f"1{column}"].set_xlabel("x")
    for row in range(2):
        axes[f"{row}0"].set_ylabel("y")
    figure.legend(*axes["00"].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    _draw_errors(axes["error"], results)
    figure.suptitle("Ten points of a new sinusoid are enough for a meta-trained network", fontsize=14)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _with_curve(tasks: Batch, *, amplitudes: Sequence[float], phases: Sequence[float]) -> Batch:
    """Replace the sinusoids by given ones, and the query points by a fine grid."""
    amplitude, phase = (np.reshape(np.array(numbers), (-1, 1, 1)) for numbers in (amplitudes, phases))
    x = tasks["support"]["x"]
    grid = np.tile(np.linspace(-5.0, 5.0, 201)[:, None], (len(x), 1, 1))
    return {
        part: {"x": points, "y": amplitude * np.sin(points - phase)}
        for part, points in (("support", x), ("query", grid))
    }


def _draw_task(axis: Any, tasks: Batch, row: int, trained: Trained) -> None:
    x, y = tasks["query"]["x"], tasks["query"]["y"]
    axis.plot(x[row], y[row], color=BLACK, linewidth=1.2, label="the sinusoid")
    for steps, color, style in ((0, SKY, ":"), (INNER_GRAD_STEPS, ORANGE, "--"), (JUDGED_AFTER[-1], BLUE, "-")):
        networks = adapted(tasks, squared_error, trained.network, steps, trained.inner_learning_rate)
        label = "before adapting" if steps == 0 else f"after {steps} steps"
        axis.plot(x[row], predict(networks, x)[row], style, color=color, linewidth=2, label=label)
    points = tasks["support"]
    axis.plot(points["x"][row], points["y"][row], "^", color=VERMILION, markersize=7, label="the ten points")
    axis.set(xlim=(-5, 5), ylim=(-6, 6))
    axis.grid(alpha=0.25)


def _draw_errors(axis: Any, results: Sequence[Trained]) -> None:
    for result, color, marker in zip(results, (BLUE, GREEN), "os", strict=True):
        axis.plot(JUDGED_AFTER, result.errors, marker=marker, color=color, linewidth=2, label=result.name)
        axis.annotate(
            f"{result.errors[-1]:.2f}",
            (JUDGED_AFTER[-1], result.errors[-1]),
            textcoords="offset points",
            xytext=(8, -4),
            color=color,
            fontweight="bold",
        )
    axis.set(xlabel="inner steps", ylabel="mean squared error", xticks=JUDGED_AFTER, xlim=(-0.5, 11.6))
    axis.set_ylim(bottom=0)
    axis.set_title("Error on 300 new sinusoids", fontweight="bold")
    axis.grid(alpha=0.25)
    axis.legend(loc="upper right")


@click.command(
    epilog="\b\nExamples:\n  python examples/sinusoid.py\n  python examples/sinusoid.py --steps 500 --seed 7"
)
@click.option("--steps", default=2000, show_default=True, type=click.IntRange(min=1), help="Updates of each network.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of weights and tasks.")
@click.option(
    "--out",
    default="sinusoid.png",
    show_default=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Where to save the figure; its ending chooses the format (.png, .svg, .pdf).",
)
def main(steps: int, seed: int, out: Path) -> None:
    """Meta-train a network on sinusoids with first-order MAML, and compare it with one trained jointly.

    Prints the errors of both after adapting to new sinusoids, and saves a figure of their predictions. The default
    run takes about a minute.
    """
    console = Console()
    meta, joint = run(steps, seed, console)
    console.print(table_of([meta, joint]))
    console.print(
        f"After {JUDGED_AFTER[-1]} steps the error of the meta-trained network is "
        f"[bold]{joint.errors[-1] / meta.errors[-1]:.1f} times lower[/bold]."
    )
    draw([meta, joint], seed, out)
    console.print(f"Figure: {out}")


if __name__ == "__main__":
    main()
