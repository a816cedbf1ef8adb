"""What frameworks share in which a model, a state of an optimizer and gradients are values that functions return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from verification.models import python_state
from verification.models.interface import Gives
from verification.models.request import Request


class OfValues:
    """The part of an adapter that is the same for all of them."""

    gives: tuple[Gives, ...] = ("gradients", "parameters")
    seeded = False
    in_place = False
    is_strict = False

    def loss_of(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        """Return the loss itself."""
        return loss

    def optimizers_of(self, model: Any) -> tuple[Any, ...]:  # noqa: ARG002  # frameworks differ in need
        """Return nothing: the states of optimizers are values."""
        return ()

    def left_by_block(self, model: Any) -> Callable[[], Any]:  # noqa: ARG002
        """Return what says that a block leaves nothing by itself."""
        return _nothing_left

    @contextmanager
    def kept(self, request: Request) -> Iterator[None]:
        """Put random numbers, the model's containers and arrays, and what the step keeps back."""
        restores = [python_state.random_numbers(), *python_state.held_by(request.step, request.model)]
        try:
            yield
        finally:
            for restore in restores:
                restore()

    def seed(self, number: int) -> None:
        """Begin the random numbers of Python and NumPy anew; a key of JAX is a value."""
        python_state.seed(number)


def _nothing_left() -> Any:
    raise ValueError("gradients: expected them to be set on what `observe` gives, since nothing has a `.grad` here.")
