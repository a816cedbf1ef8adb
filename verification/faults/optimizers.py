"""Other optimizers than gradient descent in the inner loop, as PyTorch has them: at α or a rate of their own, or kept.

They are rows of the parts of declared updates, and of two more that nobody can declare.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from autograd.tracer import getval

from verification.faults import algorithms
from verification.faults.question import AnswerFunction, Misreading, Question, each_task, misread
from verification.faults.work import Points, Solved, Work, mean, solve
from verification.oracles.updates import Adam, InnerUpdate, Momentum, Part, RatesByStep, RMSProp, State, Vector
from verification.oracles.view import FlatArray


@dataclass(frozen=True, kw_only=True)
class AdaGrad(Part):
    """v ← v + g²; d = g/(√v + ε) (Duchi et al., 2011), with PyTorch's ε; `under` the root it is g/√(v + ε)."""

    eps: float = 1e-10
    under: bool = False

    @property
    def vectors(self) -> int:
        """The sum of squares v."""
        return 1

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002  # parts differ in need
        """Return the sum of squares after a gradient."""
        return (state[0] + g**2,)

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient over the root of the sum of squares; 0 where every gradient was 0."""
        if self.under:
            return g / xp.sqrt(state[0] + self.eps)
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


@dataclass(frozen=True, kw_only=True)
class StuckAdam(Adam):
    """Adam whose count of steps stays at 1: every moment is divided by 1 − β."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the direction of a first step."""
        return super().direction(xp, state, g, phi, k, 0)


@dataclass(frozen=True, kw_only=True)
class LaterAdam(Adam):
    """Adam whose count of steps begins at 2, as where it is increased before and counted from 1."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction of the step after this one."""
        return super().direction(xp, state, g, phi, k, age + 1)


@dataclass(frozen=True, kw_only=True)
class HalfCorrectedAdam(Adam):
    """Adam that corrects the bias of v alone, or of m alone where it is not `corrected`."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction with the other moment as it is."""
        found, bias = super().direction(xp, state, g, phi, k, age), 1 - self.beta1 ** (age + 1)
        return found * bias if self.corrected else found / bias


@dataclass(frozen=True, kw_only=True)
class CenteredRMSProp(Part):
    """d = g/(√(v − a²) + ε), with the mean of squares v and the mean a, as PyTorch's `centered` has it."""

    rho: float = 0.99
    eps: float = 1e-8

    @property
    def vectors(self) -> int:
        """The mean of squares v and the mean a."""
        return 2

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return both means after a gradient."""
        squares, mean = state
        return self.rho * squares + (1 - self.rho) * g**2, self.rho * mean + (1 - self.rho) * g

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient over the root of the variance; 0 where every gradient was 0."""
        variance = state[0] - state[1] ** 2
        return g / (xp.sqrt(xp.where(variance > 0, variance, 1.0)) + self.eps)


@dataclass(frozen=True, kw_only=True)
class RMSPropFromOne(RMSProp):
    """RMSProp whose mean of squares begins at 1, as TensorFlow 1 has it."""

    def begin(self, theta: Vector) -> State:
        """Return ones."""
        return (0 * getval(theta) + 1,)


@dataclass(frozen=True, kw_only=True)
class LaggingMomentum(Momentum):
    """d = the velocity before this gradient is in it."""

    @property
    def vectors(self) -> int:
        """The velocity, and what it was a step before."""
        return 2

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:
        """Return the velocity after a gradient, and before."""
        return (*super().advance(xp, state, g, phi), state[0])

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the velocity of the step before."""
        return state[1]


@dataclass(frozen=True, kw_only=True)
class DoubledMomentum(Momentum):
    """d = m + μ m, for Nesterov's g + μ m."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the velocity, and μ times the velocity."""
        return state[0] + self.mu * state[0]


@dataclass(frozen=True, kw_only=True)
class LookingAhead(Momentum):
    """The velocity of gradients at φ − αμm, where the next step would lead without a gradient (Nesterov, 1983).

    With ψ = φ − αμm the steps of ψ are those of Nesterov's momentum in PyTorch's form, and φ_K = ψ_K + αμm_K is
    ψ_{K−1} − αg: the last step, after so many others, has the gradient alone.
    """

    last: int

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return Nesterov's direction, or the gradient in the last step."""
        return g if k == self.last else g + self.mu * state[0]


@dataclass(frozen=True, kw_only=True)
class Normalised(Part):
    """d = g/(‖g‖ + ε), with the norm over all leaves, or over each of several `groups` of entries."""

    eps: float = 0.0
    groups: tuple[tuple[int, ...], ...] = ()
    is_elementwise: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient at a length of 1; 0 where it is 0."""
        members = np.zeros((len(self.groups) or 1, getval(g).shape[-1]), getval(g).dtype)
        for row, entries in zip(members, self.groups or (slice(None),), strict=True):
            row[list(entries) if isinstance(entries, tuple) else entries] = 1
        squares = xp.dot(g**2, members.T)
        factors = xp.dot(1 / (xp.sqrt(xp.where(squares > 0, squares, 1.0)) + self.eps), members)
        return g * (getval(factors) if self.held else factors)


@dataclass(frozen=True, kw_only=True)
class Sign(Part):
    """d = sign g, whose derivative is 0."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the sign of each entry."""
        return xp.sign(g) + 0 * g  # autograd warns of what does not depend on its input


def normalised_by_leaf(eps: float, *, held: bool) -> Misreading:
    """O01: the gradient of each leaf at a length of 1."""

    def change(work: Work, question: Question) -> Work:
        groups = tuple(tuple(int(spot) for spot in spots.ravel()) for spots in question.spots().values())
        return work.changed(update=InnerUpdate((Normalised(eps=eps, groups=groups, held=held),)))

    return misread(change)


def within(limit: float) -> AnswerFunction:
    """O01: φ_{k+1} = clip(φ_k − α∇S, −c, c), in each entry that adapts; what is clipped passes no gradient."""

    def moved(work: Work, phi: FlatArray) -> FlatArray:
        found: FlatArray = phi - work.alpha * work.inner_gradient(phi)
        return found

    def descending(work: Work) -> Points:
        points, adapts = [work.theta], work.view.inner_mask != 0
        for _ in range(work.view.steps):
            free = moved(work, points[-1])
            points.append(np.where(adapts, np.clip(free, -limit, limit), free))
        return points

    def pulling_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
        adapts = work.view.inner_mask != 0
        for phi, curved in zip(reversed(points), reversed(work.inner_products(points)), strict=True):
            u = np.where(adapts & (np.abs(moved(work, phi)) > limit), 0, u)
            u = u - curved(work.alpha * u)
        return u

    return each_task(lambda work, question: solve(work, question.order, descend=descending, pull_back=pulling_back))


_ADAGRAD, _OF_GRADIENT, _DAMPENED, _OF_ANY = "AdaGrad", "the ", "momentum(0.9) dampened", "a momentum of"
_RMSPROP = "RMSprop"
#: O02: a velocity that is a moving average of the gradients.
DAMPED = "damped, m ← μm + (1−μ)g"
#: Weights within a limit, a clip by leaf, and a dampened momentum, with the number that is fitted.
WITHIN = "the weights clipped to ±{} after each step"
CLIPPED_LEAVES = f"{_OF_GRADIENT}gradient of each leaf clipped to a norm of {{}}"
DAMPENED = f"{_DAMPENED} by {{}} as in PyTorch"
DAMPENED_BY_ITSELF = f"{_OF_ANY} {{0}} dampened by {{0}} as in PyTorch"
DAMPENED_BY = {tau: f"{_OF_ANY} {{}} dampened by {tau:g} as in PyTorch" for tau in (0.1, 0.5, 0.9)}
#: How the words begin for what cannot be declared.
NOT_DECLARABLE = (_ADAGRAD, _RMSPROP, _OF_GRADIENT, _DAMPENED, _OF_ANY)
_EPSILONS = {0.0: "", **{eps: f" + {eps:g}" for eps in (1e-12, 1e-10, 1e-8, 1e-6)}}


def _undeclarable() -> dict[str, AnswerFunction]:
    """Return updates that nobody can declare, in words: what they are, and how they are differentiated."""
    found: dict[str, AnswerFunction] = {
        "AdaGrad": algorithms.with_update(AdaGrad()),
        **{f"AdaGrad, ε = {eps:g}": algorithms.with_update(AdaGrad(eps=eps)) for eps in (0.0, 1e-8, 1e-7)},
        **{f"AdaGrad, ε = {eps:g} under the root": algorithms.with_update(AdaGrad(eps=eps, under=True))
           for eps in (1e-10, 1e-8, 1e-7)},
        "the sign of the gradient": algorithms.with_update(Sign()),
        **{f"{_RMSPROP}, ρ = {rho:g}, {words}": algorithms.with_update(kind(rho=rho))
           for words, kind in (("centered, as in PyTorch", CenteredRMSProp),
                               ("with v = 1 at first, as in TensorFlow 1", RMSPropFromOne)) for rho in (0.99, 0.9)},
    }  # fmt: skip
    for held, (eps, epsilon) in product((False, True), _EPSILONS.items()):
        words = f"{epsilon}{', held' * held}"
        found[f"the gradient over its norm{words}"] = algorithms.with_update(Normalised(eps=eps, held=held))
        found[f"the gradient of each leaf over its norm{words}"] = normalised_by_leaf(eps, held=held)
    for tau in (0.9, 0.1, 0.5):
        part = DampenedMomentum(mu=0.9, dampening=tau)
        found[DAMPENED.format(f"{tau:g}")] = algorithms.with_update(part)
    found[WITHIN.format("0.5")] = within(0.5)
    return found


#: O01: what stands in code and is no ingredient of an algorithm.
UNDECLARABLE = _undeclarable()


def _with_adam(kind: type[Adam], **changes: Any) -> Misreading:
    """Make a misreading with another Adam for the declared one."""
    return algorithms.changing(lambda part: (kind(**vars(part) | changes) if isinstance(part, Adam) else part,))


def _with_velocity(kind: type[Momentum], *, nesterov: bool) -> Misreading:
    """Make a misreading with another momentum for the declared one, Nesterov's or the plain one."""

    def changed(part: Part) -> tuple[Part, ...]:
        return (kind(**vars(part)) if isinstance(part, Momentum) and part.nesterov == nesterov else part,)

    return algorithms.changing(changed)


def _dampened(part: Part) -> tuple[Part, ...]:
    if not isinstance(part, Momentum) or part.nesterov:
        return (part,)
    return (DampenedMomentum(mu=part.mu, dampening=part.mu),)


#: O03: the bias of the first step is corrected in every step.
correction_stuck = _with_adam(StuckAdam)
#: O03: the count of steps is one ahead; the bias of one moment alone is corrected.
correction_ahead = _with_adam(LaterAdam)
first_corrected = _with_adam(HalfCorrectedAdam, corrected=False)
second_corrected = _with_adam(HalfCorrectedAdam)


def _looking_ahead(work: Work, question: Question) -> Solved:
    update, steps = work.view.update, work.view.steps
    if update is None or not any(isinstance(part, Momentum) for part in update.parts):
        return solve(work, question.order)
    if work.view.average:
        parts = [_looking_ahead(work.changed(steps=k, average=False), question) for k in range(steps + 1)]
        return Solved(mean([part.cost for part in parts]), mean([part.gradient for part in parts]), parts[-1].adapted)
    ahead = (
        LookingAhead(**vars(part), last=steps - 1) if isinstance(part, Momentum) else part for part in update.parts
    )
    return solve(work.changed(update=InnerUpdate(tuple(ahead))), question.order)


#: O02: the gradient where the velocity would lead.
looking_ahead = each_task(_looking_ahead)
#: O02: the velocity of the step before; the velocity twice in Nesterov's.
velocity_before = _with_velocity(LaggingMomentum, nesterov=False)
velocity_twice = _with_velocity(DoubledMomentum, nesterov=True)
#: O02: the velocity dampened by 1 − μ from the second step on, as `torch.optim.SGD(dampening=μ)` has it.
dampened_as_in_pytorch = algorithms.changing(_dampened)


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
