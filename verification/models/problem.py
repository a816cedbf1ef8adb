"""A problem whose costs are the losses of somebody's model, in one framework, at the model's own size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.oracles.view import FlatArray
from verification.orders import Order
from verification.problems.options import Options, Selection


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelProblem:
    """One meta-learning step on a model; its parameters lie one after the other in a flat vector.

    `theta` has the parameters' values by name, `adapts` the names of those that the inner loop moves, `trained` the
    names of those that the meta-gradient is taken by; `ignored_by_inner` and `ignored_by_outer` those that a loss does
    not use. `examples` is N of a task's support batch, and `query_examples` that of its query batch.
    """

    name: str
    order: Order
    theta: Mapping[str, NDArray[np.float64]]
    adapts: tuple[str, ...]
    trained: tuple[str, ...]
    inner_grad_steps: int
    inner_learning_rate: Any
    num_tasks: int
    examples: int
    query_examples: int
    outer_learning_rate: float | None = None
    ignored_by_inner: tuple[str, ...] = ()
    ignored_by_outer: tuple[str, ...] = ()
    learned_rates: tuple[str, ...] = ()  # no model is asked for them
    #: The parameters by key chain, which is their name.
    names: Mapping[str, str] = field(init=False, repr=False)
    _spots: Mapping[str, slice] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ends = np.cumsum([leaf.size for leaf in self.theta.values()])
        spots = {
            name: slice(end - leaf.size, end)
            for (name, leaf), end in zip(self.theta.items(), ends.tolist(), strict=True)
        }
        object.__setattr__(self, "names", {name: name for name in self.theta})
        object.__setattr__(self, "_spots", spots)

    @property
    def options(self) -> Options:
        """A plain step in a loop over tasks, on the parameters that adapt and those that are trained."""
        return Options(inner_v=Selection(meant=self.adapts), outer_v=Selection(meant=self.trained))

    @property
    def rows(self) -> int:
        """The length of a task's first support array: its examples."""
        return self.examples

    @property
    def is_built_in(self) -> bool:
        """It is nobody's but its author's."""
        return False

    def shape(self, chain: str) -> tuple[int, ...]:
        """Return the shape of a parameter."""
        return self.theta[chain].shape

    def split(self, vector: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Cut a flat vector into parameters by name."""
        return {name: vector[spot].reshape(self.shape(name)) for name, spot in self._spots.items()}

    def flat(self, leaves: Mapping[str, NDArray[Any]]) -> FlatArray:
        """Return parameters by name as one flat vector."""
        return np.concatenate([np.ravel(leaves[name]) for name in self.theta]).astype(np.float64)

    def mask(self, chosen: tuple[str, ...]) -> FlatArray:
        """Return 1 on the coordinates of the chosen parameters and 0 on the others; one number where all are chosen."""
        if set(self.theta) <= set(chosen):
            return self._everywhere(1.0)
        return self.flat({name: np.full(self.shape(name), float(name in chosen)) for name in self.theta})

    @property
    def rates(self) -> FlatArray:
        """α of each coordinate; 1 for a parameter that has none, since it does not adapt."""
        rate = self.inner_learning_rate
        if not isinstance(rate, Mapping) and set(self.theta) <= set(self.adapts):
            return self._everywhere(float(rate))
        by_name = rate if isinstance(rate, Mapping) else dict.fromkeys(self.theta, rate)
        return self.flat({name: np.full(self.shape(name), float(by_name.get(name, 1.0))) for name in self.theta})

    def _everywhere(self, value: float) -> FlatArray:
        """Return a number for each coordinate, without the memory of a vector."""
        return np.broadcast_to(np.float64(value), sum(leaf.size for leaf in self.theta.values()))
