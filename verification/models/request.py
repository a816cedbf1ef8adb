"""What a user hands to the judge: a training step, its model, losses and tasks, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.models.interface import Adapter, Gives
from verification.models.listening import Listener
from verification.orders import Order


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A training step on a model of one's own; made by `problem_of`."""

    adapter: Adapter
    step: Callable[..., Any]
    model: Any
    inner_loss: Callable[..., Any]
    outer_loss: Callable[..., Any]
    tasks: Sequence[tuple[Any, Any]]
    inner_steps: int
    inner_learning_rate: float | Mapping[str, float]
    order: Order
    adapts: tuple[str, ...]
    trained: tuple[str, ...]
    outer_learning_rate: float | None
    gives: Gives
    name: str
    #: The parameters' values in float64, each tied one once, by name; and all names, those of tied ones included.
    parameters: Mapping[str, NDArray[np.float64]]
    all_names: frozenset[str]
    #: What the model runs in: "float32" or "float64".
    precision: str
    #: The gradients of the two losses, where the user brings them: gradient(model, batch).
    own_gradients: Mapping[Callable[..., Any], Callable[..., Any]] = field(default_factory=dict)
    #: Whether the step only repeats what a run left, in the precision of that run.
    is_recorded: bool = False
    #: What an adapter keeps while a request is judged, such as functions that it has compiled.
    memory: dict[Any, Any] = field(default_factory=dict)
    #: The optimizers that hold a parameter of the model.
    optimizers: tuple[Any, ...] = ()
    #: The parameters that neither loss uses, found when the losses are first called.
    unused: set[str] = field(default_factory=set)
    #: Who is told before code of the user's is called.
    listener: Listener = field(default_factory=Listener)

    def matters(self, name: str) -> bool:
        """Return whether a loss uses a parameter."""
        return name not in self.unused
