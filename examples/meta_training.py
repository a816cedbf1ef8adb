"""What the two meta-training examples share: a dense network, Adam, and the outer loop.

Everything here runs in the batched mode of `refmaml`: a network's weights carry a leading task axis, row t being task
t's copy, and one call of the cost function sees all tasks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import autograd.numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import refmaml

#: One layer is {"w": [inputs, outputs], "b": [outputs]}, or with a leading task axis inside a step.
Network = list[dict[str, Any]]
#: The arrays of some tasks, each [tasks, …].
Batch = dict[str, Any]
Cost = Callable[[Any, Network], Any]

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"


def new_network(sizes: Sequence[int], rng: np.random.Generator, *, bias: float = 0.0) -> Network:
    """Return a dense network with He's initial weights: normal, with variance 2 / inputs, and biases within ±bias."""

    def layer(inputs: int, outputs: int) -> dict[str, Any]:
        w = rng.normal(0.0, np.sqrt(2 / inputs), (inputs, outputs))
        return {"w": w, "b": bias * rng.uniform(-1.0, 1.0, outputs) / np.sqrt(inputs)}

    return [layer(inputs, outputs) for inputs, outputs in pairwise(sizes)]


def predict(network: Network, x: Any) -> Any:
    """Apply each task's network to its inputs; x: [tasks, shots, inputs] -> [tasks, shots, outputs]."""
    *hidden, last = network
    for layer in hidden:
        x = np.maximum(0.0, np.matmul(x, layer["w"]) + layer["b"][:, None, :])
    return np.matmul(x, last["w"]) + last["b"][:, None, :]


def one_row_per_task(network: Network, tasks: int) -> Network:
    """Repeat the weights along a new leading task axis."""
    return [{name: np.repeat(leaf[None], tasks, axis=0) for name, leaf in layer.items()} for layer in network]


@dataclass
class Adam:
    """The outer optimiser (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1)."""

    learning_rate: float
    decay: tuple[float, float] = (0.9, 0.999)
    moments: dict[tuple[int, str], tuple[Any, Any]] = field(default_factory=dict)
    steps: int = 0

    def update(self, network: Network, gradients: Network) -> Network:
        """Return the network after one step."""
        self.steps += 1
        return [
            {name: leaf - self._change((index, name), gradients[index][name]) for name, leaf in layer.items()}
            for index, layer in enumerate(network)
        ]

    def _change(self, key: tuple[int, str], gradient: Any) -> Any:
        first, second = self.moments.get(key, (0.0, 0.0))
        b1, b2 = self.decay
        first, second = b1 * first + (1 - b1) * gradient, b2 * second + (1 - b2) * gradient**2
        self.moments[key] = first, second
        mean, variance = first / (1 - b1**self.steps), second / (1 - b2**self.steps)
        return self.learning_rate * mean / (np.sqrt(variance) + 1e-8)


def support(batch: Batch) -> Any:
    """Return the data that a task adapts to."""
    return batch["support"]


def query(batch: Batch) -> Any:
    """Return the data that a task is judged on after adapting."""
    return batch["query"]


def step(batch: Batch, cost: Cost, network: Network, grad_steps: int, rate: float, **options: Any) -> tuple[Any, ...]:
    """Take one first-order MAML step that adapts on the support data and is judged on the query data."""
    tasks = len(batch["support"]["x"])
    rows = one_row_per_task(network, tasks)
    return refmaml.fomaml_step(
        batch, cost, None, rows, grad_steps, rate, inner_batch_fn=support, outer_batch_fn=query, **options
    )


def train(
    network: Network,
    sample: Callable[[], Batch],
    cost: Cost,
    *,
    inner_grad_steps: int,
    inner_learning_rate: float,
    learning_rate: float,
    updates: int,
    on_update: Callable[[float], None],
) -> Network:
    """Run the outer loop: draw tasks, take a step of first-order MAML, let Adam follow its gradients.

    With no inner steps this is ordinary training on all tasks together.
    """
    adam = Adam(learning_rate)
    for done in range(updates):
        # A rate that falls to zero lets the last updates average out the noise of the sampled tasks.
        adam.learning_rate = learning_rate * (1 - done / updates)
        query_cost, gradients = step(sample(), cost, network, inner_grad_steps, inner_learning_rate)
        network = adam.update(network, gradients)
        on_update(float(query_cost))
    return network


def adapted(batch: Batch, cost: Cost, network: Network, grad_steps: int, rate: float) -> Network:
    """Return each task's network after adapting to its support data, with a leading task axis."""
    result: Network = step(batch, cost, network, grad_steps, rate, return_inner_v="all")[2]
    return result


def tuned_rate(batch: Batch, cost: Cost, network: Network, grad_steps: int, rates: Sequence[float]) -> float:
    """Return the inner learning rate with the lowest query cost after adapting to these tasks."""
    with np.errstate(all="ignore"):  # too large a rate diverges, and loses
        costs = [float(step(batch, cost, network, grad_steps, rate)[0]) for rate in rates]
    return rates[int(np.argmin(np.nan_to_num(costs, nan=np.inf)))]


def progress_bar(console: Console) -> Progress:
    """Return a progress bar with the query cost of the latest tasks, smoothed, at its end."""
    return Progress(
        TextColumn("[bold]{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("query cost {task.fields[cost]:.3f}"),
        console=console,
    )


def follow(progress: Progress, description: str, updates: int) -> Callable[[float], None]:
    """Add a bar and return what moves it on: a function of each update's query cost."""
    bar = progress.add_task(description, total=updates, cost=float("nan"))
    smoothed: list[float] = []

    def on_update(cost: float) -> None:
        smoothed[:] = [cost if not smoothed else 0.98 * smoothed[0] + 0.02 * cost]
        progress.update(bar, advance=1, cost=smoothed[0])

    return on_update
