"""Costs of variables in any container, that read alike for one task and for all tasks in one batch.

A batch is {"x": [tasks, examples, 3], "y": [tasks, examples]}. In batched mode every variable has a leading task axis,
in loop mode there is one task and none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verification.frameworks import framework
from verification.problems.families import Array, Data, Namespace
from verification.problems.trees import Tree, leaves

FEATURES = 3


@dataclass(frozen=True)
class GeneralCost:
    """A cost by its name, in the arrays of a framework: ``cost(batch, v)`` is a real scalar, the mean over tasks."""

    name: str
    framework: str = "autograd"

    def __call__(self, batch: Data, v: Tree) -> Array:
        """Return the cost of a batch at variables v; None in v is the place of a variable that is not selected."""
        xp = framework(self.framework).xp
        return COSTS[self.name](xp, batch, [leaf for leaf in leaves(v).values() if leaf is not None])


def _rows(xp: Namespace, leaf: Array, tasks: int) -> Array:
    return xp.reshape(leaf, (tasks, -1))


def _square(x: Array) -> Array:
    """x², as a product: before NumPy 2, x ** 2 of an array and of a box, by np.power, may differ in the last bit."""
    return x * x


def quadratic(xp: Namespace, batch: Data, v: list[Array]) -> Array:
    """½ mean |v − c|², averaged over the leaves, and ½ (mean of all leaves · x)², which couples them."""
    x = batch["x"]
    rows = [_rows(xp, leaf, x.shape[0]) for leaf in v]
    own = sum(xp.mean(_square(row - x[:, 0, n % 2][:, None]), axis=1) for n, row in enumerate(rows)) / len(rows)
    coupled = sum(xp.mean(row, axis=1) for row in rows) / len(rows) * x[:, 0, 2]
    return xp.mean(0.5 * own + 0.5 * _square(coupled))


def small_mlp(xp: Namespace, batch: Data, v: list[Array]) -> Array:
    """One hidden unit for each leaf, tanh(m·x + y) with the leaf's mean m; their mean is weighted by tanh(m_0)."""
    x, y = batch["x"], batch["y"]
    means = [xp.mean(_rows(xp, leaf, x.shape[0]), axis=1)[:, None] for leaf in v]
    hidden = sum(xp.tanh(m * x[:, :, n % FEATURES] + y) for n, m in enumerate(means)) / len(means)
    return xp.mean(_square(xp.tanh(means[0]) * hidden - y))


COSTS: dict[str, Callable[[Namespace, Data, list[Array]], Array]] = {"quadratic": quadratic, "small-mlp": small_mlp}
