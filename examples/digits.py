"""One-shot classification of handwritten digits (the 8×8 images that scikit-learn brings along).

A task shows one image each of five digits, under labels that mean something else in every task, and asks for the labels
of other images. What can be learned across tasks is how digits look; what a label means has to be learned anew, from
five images. No network is judged on an image that it was trained on.

One network is meta-trained with first-order MAML. Another, of the same shape and with as many updates, is trained on
all tasks together. A third is not trained at all. All are adapted in the same way; the other two may choose the inner
learning rate that suits them best, and stay far behind.

    python examples/digits.py
    python examples/digits.py --steps 300 --seed 7 --out quick.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import autograd.numpy as np
import click
from meta_training import (
    BLUE,
    GREEN,
    ORANGE,
    VERMILION,
    Batch,
    Network,
    adapted,
    follow,
    new_network,
    predict,
    progress_bar,
    train,
    tuned_rate,
)
from rich.console import Console
from rich.table import Table

WAYS, SHOTS, QUERIES = 5, 1, 5
SIZES = (64, 64, 32, WAYS)
TASKS_PER_UPDATE = 16
INNER_GRAD_STEPS = 3
INNER_LEARNING_RATE = 0.1
OUTER_LEARNING_RATE = 0.003
#: After how many inner steps the networks are judged.
JUDGED_AFTER = (0, 1, 3, 5, 10)
RATES_TO_CHOOSE_FROM = (0.03, 0.1, 0.2, 0.3, 0.5, 1.0)


#: The images of each digit, [images, 64], 0 for white and 1 for black.
Classes = list[Any]


@dataclass(frozen=True)
class Trained:
    """A network and the share of query images that it labels correctly after each of `JUDGED_AFTER` steps."""

    name: str
    network: Network
    inner_learning_rate: float
    shares: tuple[float, ...]


def load(rng: np.random.Generator) -> tuple[Classes, Classes]:
    """Split the images of each digit into 70 % for training and the rest for judging."""
    from sklearn.datasets import load_digits

    everything = load_digits()
    by_digit = [rng.permutation(everything.data[everything.target == digit] / 16.0) for digit in range(10)]
    splits = [int(0.7 * len(images)) for images in by_digit]
    return (
        [images[:split] for images, split in zip(by_digit, splits, strict=True)],
        [images[split:] for images, split in zip(by_digit, splits, strict=True)],
    )


def sample_tasks(rng: np.random.Generator, classes: Classes, tasks: int, *, queries: int = QUERIES) -> Batch:
    """Draw tasks of five classes each; x: [tasks, images, 64], y: [tasks, images, ways], 1 for the right label."""

    def images(_: int) -> Any:
        chosen = [classes[index] for index in rng.permutation(len(classes))[:WAYS]]
        return np.stack([images[rng.permutation(len(images))[: SHOTS + queries]] for images in chosen])

    x = np.stack([images(task) for task in range(tasks)])  # [tasks, ways, images, 64]

    def part(x: Any) -> dict[str, Any]:
        labels = np.repeat(np.eye(WAYS), x.shape[2], axis=0)
        return {"x": x.reshape(tasks, -1, 64), "y": np.tile(labels, (tasks, 1, 1))}

    return {"support": part(x[:, :, :SHOTS]), "query": part(x[:, :, SHOTS:])}


def cross_entropy(batch: Any, network: Network) -> Any:
    """Return the mean cross-entropy of the labels over tasks and images."""
    scores = predict(network, batch["x"])
    scores = scores - np.max(scores, axis=-1, keepdims=True)
    log_likelihoods = scores - np.log(np.sum(np.exp(scores), axis=-1, keepdims=True))
    return -np.mean(np.sum(batch["y"] * log_likelihoods, axis=-1))


def labels(tasks: Batch, network: Network, steps: int, rate: float) -> Any:
    """Return the labels that the adapted networks give to the query images, [tasks, images]."""
    networks = adapted(tasks, cross_entropy, network, steps, rate)
    return np.argmax(predict(networks, tasks["query"]["x"]), axis=-1)


def accuracy(tasks: Batch, network: Network, steps: int, rate: float) -> float:
    """Return the share of query images that get the right label."""
    return float(np.mean(labels(tasks, network, steps, rate) == _right(tasks["query"])))


def run(updates: int, seed: int, console: Console) -> list[Trained]:
    """Train two networks from the same initial weights; judge them, and these weights, on the same new tasks."""
    training, judging = load(np.random.default_rng(seed))
    start = new_network(SIZES, np.random.default_rng([seed, 1]))
    with progress_bar(console) as progress:

        def trained(name: str, inner_grad_steps: int) -> Network:
            rng = np.random.default_rng([seed, 2])
            return train(
                start,
                lambda: sample_tasks(rng, training, TASKS_PER_UPDATE),
                cross_entropy,
                inner_grad_steps=inner_grad_steps,
                inner_learning_rate=INNER_LEARNING_RATE,
                learning_rate=OUTER_LEARNING_RATE,
                updates=updates,
                on_update=follow(progress, name, updates),
            )

        # Without inner steps, a first-order MAML step is a step of ordinary training.
        meta, joint = trained("meta-training", INNER_GRAD_STEPS), trained("training jointly", 0)
    for_tuning = sample_tasks(np.random.default_rng([seed, 3]), training, 100)
    new_tasks = sample_tasks(np.random.default_rng([seed, 4]), judging, 200, queries=10)

    def judged(name: str, network: Network, rate: float | None = None) -> Trained:
        rate = rate or tuned_rate(for_tuning, cross_entropy, network, JUDGED_AFTER[-1], RATES_TO_CHOOSE_FROM)
        shares = tuple(accuracy(new_tasks, network, steps, rate) for steps in JUDGED_AFTER)
        return Trained(name, network, rate, shares)

    return [
        judged("meta-trained", meta, INNER_LEARNING_RATE),
        judged("trained jointly", joint),
        judged("untrained", start),
    ]


def table_of(results: Sequence[Trained]) -> Table:
    """Return the shares of right labels, side by side."""
    table = Table(title="Right labels in 200 new tasks of 5 digits, from 1 image each")
    table.add_column("network", no_wrap=True)
    table.add_column("rate", justify="right")
    for steps in JUDGED_AFTER:
        table.add_column(f"{steps} step{'s' * (steps != 1)}", justify="right")
    for result in results:
        table.add_row(result.name, f"{result.inner_learning_rate:g}", *(f"{share:.1%}" for share in result.shares))
    return table


def draw(results: Sequence[Trained], seed: int, out: Path) -> None:
    """Draw one task before and after adapting, and the accuracies against the inner steps."""
    import matplotlib.pyplot as plt

    _, judging = load(np.random.default_rng(seed))
    task = _typical(sample_tasks(np.random.default_rng([seed, 5]), judging, 100, queries=5), results[:2])
    figure = plt.figure(figsize=(13.5, 6.2), layout="constrained")
    axes = figure.subplot_mosaic(
        [["support", "00", "01", "share"], ["support", "10", "11", "share"]], width_ratios=[0.25, 1.2, 1.2, 1.6]
    )
    _draw_images(axes["support"], task["support"]["x"][0], _right(task["support"])[0])
    axes["support"].set_title("learned\nfrom", fontsize=11)
    for row, result in enumerate(results[:2]):
        for column, steps in enumerate((0, JUDGED_AFTER[-1])):
            given, right = labels(task, result.network, steps, result.inner_learning_rate)[0], _right(task["query"])[0]
            axis = axes[f"{row}{column}"]
            _draw_images(axis, task["query"]["x"][0], given, right)
            when = f"after {steps} steps" if steps else "before adapting"
            axis.set_title(f"{result.name}, {when}:\n{np.sum(given == right)} of {len(right)} right", fontsize=11)
    _draw_shares(axes["share"], results)
    figure.suptitle("Five digits, one image of each: what a meta-trained network makes of them", fontsize=14)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _right(part: Any) -> Any:
    return np.argmax(part["y"], axis=-1)


def _typical(tasks: Batch, results: Sequence[Trained]) -> Batch:
    """Return the one of these tasks on which both networks do about as well as they do on average."""
    distance = np.zeros(len(tasks["query"]["x"]))
    for result in results:
        given = labels(tasks, result.network, JUDGED_AFTER[-1], result.inner_learning_rate)
        shares = np.mean(given == _right(tasks["query"]), axis=-1)
        distance = distance + np.abs(shares - np.mean(shares))
    index = int(np.argmin(distance))
    return {name: {key: leaf[index : index + 1] for key, leaf in part.items()} for name, part in tasks.items()}


def _draw_images(axis: Any, images: Any, given: Any, right: Any | None = None) -> None:
    """Lay the images out one row per digit, each above its label; a wrong one is crossed out."""
    columns, side, pitch = len(images) // WAYS, 0.84, 1.28
    for index, (image, label) in enumerate(zip(images, given, strict=True)):
        row, column = divmod(index, columns)
        wrong = right is not None and label != right[index]
        color = VERMILION if wrong else BLUE
        x, y = [column, column + side], [-row * pitch - side, -row * pitch]
        axis.imshow(image.reshape(8, 8), cmap="gray_r", extent=(*x, *y))
        axis.plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], color=color, linewidth=1.8)
        axis.text(x[0] + side / 2, y[0] - 0.06, "ABCDE"[label], color=color, ha="center", va="top", fontweight="bold")
        if wrong:
            axis.plot(x, y, color=color, linewidth=1.2)
    axis.set(xlim=(-0.08, columns - 0.08), ylim=(-WAYS * pitch, 0.08), aspect="equal")
    axis.axis("off")


def _draw_shares(axis: Any, results: Sequence[Trained]) -> None:
    for result, color, marker in zip(results, (BLUE, GREEN, ORANGE), "os^", strict=True):
        percent = [100 * share for share in result.shares]
        axis.plot(JUDGED_AFTER, percent, marker=marker, color=color, linewidth=2, label=result.name)
        last = (JUDGED_AFTER[-1], percent[-1])
        axis.annotate(
            f"{last[1]:.0f} %", last, textcoords="offset points", xytext=(8, -4), color=color, fontweight="bold"
        )
    axis.axhline(100 / WAYS, color="0.5", linewidth=1, linestyle=":", label="guessing")
    axis.set(xlabel="inner steps", ylabel="right labels (%)", xticks=JUDGED_AFTER, xlim=(-0.5, 11.9), ylim=(0, 101))
    axis.set_title("right labels in 200 new tasks", fontsize=11)
    axis.grid(alpha=0.25)
    axis.legend(loc="lower right")


@click.command(epilog="\b\nExamples:\n  python examples/digits.py\n  python examples/digits.py --steps 300 --seed 7")
@click.option("--steps", default=1500, show_default=True, type=click.IntRange(min=1), help="Updates of each network.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of weights and tasks.")
@click.option(
    "--out",
    default="digits.png",
    show_default=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Where to save the figure; its ending chooses the format (.png, .svg, .pdf).",
)
def main(steps: int, seed: int, out: Path) -> None:
    """Meta-train a classifier of digits with first-order MAML, and compare it with one trained jointly.

    Prints how many labels they get right after adapting to one image each of five digits, and saves a figure of one
    such task. The default run takes about a minute.
    """
    console = Console()
    results = run(steps, seed, console)
    console.print(table_of(results))
    wrong = [f"[bold]{1 - result.shares[-1]:.1%}[/bold] ({result.name})" for result in results]
    console.print(f"Wrong labels after {JUDGED_AFTER[-1]} steps: {', '.join(wrong)}.")
    draw(results, seed, out)
    console.print(f"Figure: {out}")


if __name__ == "__main__":
    main()
