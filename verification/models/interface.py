"""What the judge needs of a framework to judge a step on a model: losses as costs, a model in a precision, a call.

Each framework has an adapter behind these, in the files that begin with its name. All else in this folder knows none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from verification.faults.models import ModelCosts
from verification.oracles.view import FlatArray

#: Where the meta-gradient is after a call: in what it returned, in `.grad`, or in how the parameters moved.
Gives = Literal["gradients", "grad", "parameters"]
GIVES: tuple[Gives, ...] = ("gradients", "grad", "parameters")
#: Gradients by the names of parameters; None where none was there.
Gradients = dict[str, NDArray[Any] | None]


class LossCosts(ModelCosts, Protocol):
    """A loss on one batch as costs [P] of points [P, n], with its derivatives in the precision of its host."""

    def __call__(self, points: Any) -> Any:
        """Return the costs of points."""

    def gradient(self, phi: FlatArray) -> FlatArray:
        """Return ∇S(φ)."""

    def product(self, phi: FlatArray, u: FlatArray) -> FlatArray:
        """Return ∇²S(φ) u."""

    def uses(self, phi: FlatArray) -> set[str]:
        """Return the names of the parameters that the loss depends on."""

    def held(self, phi: FlatArray) -> NDArray[np.bool_]:
        """Return which coordinates the framework takes for constants in this loss, on purpose."""

    def disturbed(self, disturbance: Any) -> LossCosts:
        """Return the loss with the result of every operation disturbed."""

    def reads_what_changes(self, other: Any, phi: FlatArray) -> bool:
        """Return whether an evaluation of another loss changes this one's value."""


class Host(Protocol):
    """A model in a precision, which its losses are computed with; its parameters lie in a flat vector."""

    @property
    def dtype(self) -> str:
        """The precision: "float64" or "float32"."""

    def cast(self, batch: Any) -> Any:
        """Return a fresh copy of a batch in the precision."""

    def examples(self, batch: Any) -> int:
        """Return the number of examples of a batch."""

    def entries(self, batch: Any) -> int:
        """Return how many numbers the targets of a batch have, its last array."""

    def fewer(self, batch: Any, count: int) -> Any:
        """Return a batch with so many of its examples, evenly spaced."""

    def costs(self, loss: Callable[..., Any], batch: Any) -> LossCosts:
        """Return a loss on a batch that is cast."""

    def disturbance(self, delta: float, rng: np.random.Generator) -> Any:
        """Return a relative change of ±δ, with signs of its own for every operation."""

    def off_by_errors(self) -> Host | None:
        """Return a host whose products are off by their error estimates; None where they have none but rounding."""


@dataclass
class Watch:
    """What a call gave away: which random numbers it drew, and where."""

    random: dict[str, str] = field(default_factory=dict)

    def mode(self) -> AbstractContextManager[None]:
        """Watch what runs inside."""
        raise NotImplementedError


@dataclass(frozen=True)
class Parts:
    """What a model is made of: its parameters in float64 by name, each tied one once, and those that are trained.

    `all_names` has every name, those of tied ones included; `precision` is what the model runs in.
    """

    values: Mapping[str, NDArray[np.float64]]
    trained: tuple[str, ...]
    all_names: frozenset[str]
    precision: str


class Caller(Protocol):
    """A model that a step is called with in a precision, from θ anew each time."""

    @property
    def model(self) -> Any:
        """What the step gets as its model."""

    def begin(self, call: int) -> bool:
        """Bring everything to θ before a call; return whether that can be done."""

    def cast(self, tasks: Sequence[Any]) -> Any:
        """Return fresh copies of tasks in the precision."""

    def read(self, result: Any) -> Gradients | str:
        """Return the gradients that a call left; a sentence where there are none to be found.

        Raises:
            LowerPrecisionError: they came in float32 where all was given in float64.
        """

    def precisions(self, step: Callable[..., Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> set[str]:
        """Return the precisions that the operations of a call come in, as far as that can be seen."""

    def draws(self, step: Callable[..., Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> set[str]:
        """Return which operations of a call draw random numbers, where watching one does not show it."""


class LowerPrecisionError(Exception):
    """A step that works in float32 alone, whatever it is given."""


class Adapter(Protocol):
    """A framework, as far as the judge of models needs it."""

    #: Its name in reports.
    name: str
    #: What a model of it is, in words.
    model: str
    #: Where a step can leave its meta-gradient.
    gives: tuple[Gives, ...]
    #: Whether a seed fixes all random numbers; where it does not, a second call shows others.
    seeded: bool
    #: Whether the user may bring the gradients of losses.
    has_own_gradients: bool
    #: Whether a step that has the model from elsewhere has it in the precision of a call.
    in_place: bool
    #: Whether float32 among float64 is an error of its own, or silently part of the result.
    is_strict: bool

    def takes(self, model: Any, *, is_named: bool) -> bool:
        """Return whether a model is one of this framework; whether it may be one, where the user names it."""

    def cure(self, model: Any) -> str:
        """Say what a user does against random numbers in a step."""

    def hint(self, error: BaseException) -> str:
        """Say what helps against an error of the framework's, where that is known."""

    def parts_of(self, model: Any) -> Parts:
        """Return what a model is made of.

        Raises:
            ValueError: it cannot be judged.
        """

    def loss_of(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        """Return a loss(model, batch) of what a user calls a loss."""

    def optimizers_of(self, model: Any) -> tuple[Any, ...]:
        """Return the optimizers that hold a parameter of a model."""

    def copied(self, model: Any) -> Any:
        """Return a copy of a model that nothing else holds."""

    def left_by_block(self, model: Any) -> Callable[[], Any]:
        """Return what tells, after a block of code, the gradients that it left."""

    def kept(self, request: Any) -> AbstractContextManager[None]:
        """Put the user's program back as it was, to the last bit, after what runs inside."""

    def computing(self) -> AbstractContextManager[None]:
        """Have float64 while the judge computes, without which some frameworks are."""

    def seed(self, number: int) -> None:
        """Begin all random numbers anew that can be."""

    def caller(self, request: Any, dtype: str) -> Caller:
        """Return what calls a request's step in a precision; used within `kept`."""

    def calling(self, dtype: str) -> AbstractContextManager[None]:
        """Have the precision of a call, and otherwise what the user has."""

    def host(self, request: Any, dtype: str) -> Host:
        """Return a copy of a request's model in a precision."""

    def watch(self, step: Callable[..., Any]) -> Watch:
        """Return what watches a call of a step."""
