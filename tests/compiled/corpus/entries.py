"""The corpus: realistic costs in the style in which people write them, with a little problem for each.

A cost sees the batch of one task, with a leading axis of length 1, unless it is written for batched mode too, where
the variables have the task axis. `ENTRIES` has all of them once the modules beside this one are imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

TASKS = 3
ENTRIES: dict[str, "Entry"] = {}


@dataclass(frozen=True)
class Entry:
    """A cost with its problem; `refused`: what the message says where it cannot be compiled, with what to write."""

    function: Callable[..., Any]
    batch: dict[str, Any]
    variables: Any
    batched: bool
    orders: tuple[int, ...]
    rate: float
    refused: str | None

    @property
    def runs(self) -> list[tuple[int, bool]]:
        """Return (order, batched) of every run."""
        modes = (False, True) if self.batched else (False,)
        return [(order, batched) for order in self.orders for batched in modes]


def cost(batch, variables, *, batched=False, orders=(1, 2), rate=0.05, refused=None):
    """Register the decorated cost under its name; `batch` and `variables` map names to shapes or arrays."""

    def register(function):
        name = function.__name__
        assert name not in ENTRIES, name
        rng = np.random.default_rng(len(ENTRIES))
        data = {key: _array(spec, rng, (TASKS,)) for key, spec in batch.items()}
        theta = {key: _array(spec, rng, (), 0.5) for key, spec in variables.items()}
        ENTRIES[name] = Entry(function, data, theta, batched, tuple(orders), rate, refused)
        return function

    return register


def _array(spec, rng, lead, scale=1.0):
    if callable(spec):
        return spec(rng, lead)
    return scale * rng.normal(size=(*lead, *spec)) + 0.05


def labels(classes, *shape):
    """Return integers below `classes`."""
    return lambda rng, lead: rng.integers(0, classes, (*lead, *shape))


def positive(*shape):
    """Return positive numbers, neither tiny nor large."""
    return lambda rng, lead: rng.uniform(0.5, 2.0, (*lead, *shape))


def truths(*shape):
    """Return truth values, the first ones of a row both kinds."""

    def made(rng, lead):
        found = rng.uniform(size=(*lead, *shape)) < 0.6
        found[..., 0], found[..., 1] = True, False
        return found

    return made


def with_gaps(*shape):
    """Return numbers with a NaN in some places."""

    def made(rng, lead):
        found = rng.normal(size=(*lead, *shape))
        found[rng.uniform(size=found.shape) < 0.2] = np.nan
        return found

    return made


def counts(highest, *shape):
    """Return counts from 0 to `highest`, as numbers with a point."""
    return lambda rng, lead: rng.integers(0, highest + 1, (*lead, *shape)).astype(float)


def constant(array):
    """Return the same array whatever is drawn; for the batch it gets the task axis."""
    return lambda rng, lead: np.broadcast_to(np.asarray(array), (*lead, *np.shape(array))).copy()
