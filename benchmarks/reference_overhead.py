"""What the reference costs beside a bare autograd loop: `python benchmarks/reference_overhead.py [rounds]`.

The workload is the sinusoid regression of the MAML paper: a 1-40-40-1 relu network in float32, 25 tasks with 10 support
and 10 query shots, one and five inner steps. Both sides get the same arrays and have to agree before they are timed;
then they take turns, so that a busy machine slows both, and the ratio of their medians is compared with the bound.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import autograd.numpy as np
import numpy as onp
from autograd import value_and_grad
from rich.console import Console
from rich.progress import track
from rich.table import Table

from refmaml import fomaml_step

TASKS, SHOTS, RATE, BOUND = 25, 10, onp.float32(0.01), 1.3
Arrays = dict[str, Any]


def workload() -> tuple[Arrays, Arrays]:
    """Return the batch, x and y of shape [tasks, 2 · shots, 1], and the network's variables."""
    rng = onp.random.default_rng(2017)
    x = rng.uniform(-5, 5, size=(TASKS, 2 * SHOTS, 1))
    amplitude, phase = rng.uniform(0.1, 5, size=(TASKS, 1, 1)), rng.uniform(0, onp.pi, size=(TASKS, 1, 1))
    batch = {"x": x, "y": amplitude * onp.sin(x - phase)}
    sizes = (1, 40, 40, 1)
    variables = {}
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        variables[f"w{layer}"] = rng.normal(size=(rows, columns)) / onp.sqrt(rows)
        variables[f"b{layer}"] = rng.normal(size=columns) / 10
    return single(batch), single(variables)


def single(arrays: Arrays) -> Arrays:
    """Return the arrays in float32."""
    return {name: array.astype(onp.float32) for name, array in arrays.items()}


def cost(batch: Arrays, v: Arrays) -> Any:
    """Mean squared error of the network."""
    hidden = np.maximum(batch["x"] @ v["w0"] + v["b0"], 0)
    hidden = np.maximum(hidden @ v["w1"] + v["b1"], 0)
    return np.mean((hidden @ v["w2"] + v["b2"] - batch["y"]) ** 2)


def support(batch: Arrays) -> Arrays:
    """Return the first half of the shots."""
    return {name: array[:, :SHOTS] for name, array in batch.items()}


def query(batch: Arrays) -> Arrays:
    """Return the second half of the shots."""
    return {name: array[:, SHOTS:] for name, array in batch.items()}


def reference(batch: Arrays, variables: Arrays, inner_grad_steps: int) -> tuple[Any, Arrays]:
    """One step of `refmaml`."""
    cost_and_gradient: tuple[Any, Arrays] = fomaml_step(
        batch, cost, None, variables, inner_grad_steps, RATE, batched=False, inner_batch_fn=support,
        outer_batch_fn=query,
    )  # fmt: skip
    return cost_and_gradient


def bare_loop(batch: Arrays, variables: Arrays, inner_grad_steps: int) -> tuple[Any, Arrays]:
    """The same step, as one writes it on autograd for this network alone: no checks, no copies, no options."""
    cost_and_gradient = value_and_grad(cost, 1)
    total, gradient = 0.0, {name: onp.zeros_like(leaf) for name, leaf in variables.items()}
    for t in range(TASKS):
        task = {name: array[t : t + 1] for name, array in batch.items()}
        inner, outer, phi = support(task), query(task), variables
        for _ in range(inner_grad_steps):
            _, descent = cost_and_gradient(inner, phi)
            phi = {name: phi[name] - RATE * descent[name] for name in phi}
        task_cost, task_gradient = cost_and_gradient(outer, phi)
        total += task_cost
        gradient = {name: gradient[name] + task_gradient[name] for name in gradient}
    return total / TASKS, {name: leaf / TASKS for name, leaf in gradient.items()}


def compare(one: tuple[Any, Arrays], other: tuple[Any, Arrays]) -> None:
    """Stop where the two sides differ by more than float32 explains.

    They evaluate the same costs and differ in the mean over tasks alone: each side rounds a sum of T terms T times, so
    that sums differ by at most 2T units of rounding of Σ|term|, bounded here by T times the greatest element.
    """
    eps = float(onp.finfo(onp.float32).eps)
    for name, leaf in {**one[1], "cost": onp.asarray(one[0])}.items():
        reached = {**other[1], "cost": onp.asarray(other[0])}[name]
        bound = 2 * TASKS * eps * TASKS * float(onp.max(abs(leaf)))
        onp.testing.assert_allclose(leaf, reached, rtol=0, atol=bound, err_msg=name)


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(rounds: int) -> int:
    """Print the table, and return 0 where every ratio keeps the bound."""
    batch, variables = workload()
    table = Table("inner steps", "bare loop", "refmaml", "ratio of medians", "bound", title="Overhead of the reference")
    kept = True
    for inner_grad_steps in (1, 5):
        sides = [partial(side, batch, variables, inner_grad_steps) for side in (bare_loop, reference)]
        compare(*(side() for side in sides))
        turns = [[seconds(side) for side in sides] for _ in track(range(rounds), f"K = {inner_grad_steps}")]
        bare, ours = (median(times) for times in zip(*turns, strict=True))
        kept = kept and ours / bare <= BOUND
        cells = f"{1e3 * bare:.1f} ms", f"{1e3 * ours:.1f} ms", f"{ours / bare:.2f}", f"{BOUND}"
        table.add_row(str(inner_grad_steps), *cells)
    Console().print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
