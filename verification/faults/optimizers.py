"""Other optimizers than gradient descent in the inner loop, as PyTorch has them: at α or a rate of their own, or kept.

They are rows of the parts of declared updates, and of two more that nobody can declare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verification.faults import algorithms
from verification.faults.question import AnswerFunction, Misreading, misread
from verification.oracles.updates import InnerUpdate, Part, RatesByStep, State, Vector


@dataclass(frozen=True, kw_only=True)
class AdaGrad(Part):
    """v ← v + g²; d = g/(√v + ε) (Duchi et al., 2011), with PyTorch's ε."""

    eps: float = 1e-10

    @property
    def vectors(self) -> int:
        """The sum of squares v."""
        return 1

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002  # parts differ in need
        """Return the sum of squares after a gradient."""
        return (state[0] + g**2,)

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient over the root of the sum of squares; 0 where every gradient was 0."""
        return g / (xp.sqrt(xp.where(state[0] > 0, state[0], 1.0)) + self.eps)


@dataclass(frozen=True, kw_only=True)
class DampenedMomentum(Part):
    """m ← μ m + (1 − τ) g after a first step with m = g, as PyTorch's `dampening` has it; d = m."""

    mu: float
    dampening: float

    @property
    def vectors(self) -> int:
        """The velocity m, and 1 from the first step on."""
        return 2

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return the velocity after a gradient."""
        velocity, begun = state
        return self.mu * velocity + (1 - self.dampening * begun) * g, 0 * begun + 1

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the velocity."""
        return state[0]


def at_rate(part: Part, rate: float) -> Misreading:
    """M05: an optimizer at a rate of its own, whatever α is."""
    return misread(
        lambda work, _: work.changed(update=InnerUpdate((part, RatesByStep(factors=(rate / work.view.rate,)))))
    )


def kept(part: Part, *, across_calls: bool) -> AnswerFunction:
    """E04: one optimizer for all tasks, and for all calls or one: its averages and its count of steps go on."""
    update = algorithms.with_update(part)
    answer = algorithms.state_kept if across_calls else algorithms.state_kept_within
    return lambda question: answer(update.change(question))
