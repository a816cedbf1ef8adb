"""Parts of an update that nobody can declare: optimizers that PyTorch has beside those, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from autograd.tracer import getval

from verification.oracles.updates import Adam, Momentum, Part, RMSProp, State, Vector


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


@dataclass(frozen=True, kw_only=True)
class RMSPropFromFirst(RMSProp):
    """RMSProp whose mean of squares is g² after the first step."""

    @property
    def vectors(self) -> int:
        """The mean of squares v, and 1 from the first step on."""
        return 2

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return the mean of squares after a gradient."""
        squares, begun = state
        return self.rho * squares + (1 - self.rho * begun) * g**2, 0 * begun + 1


@dataclass(frozen=True, kw_only=True)
class RMSPropWithoutRoot(RMSProp):
    """d = g/(v + ε)."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient over the mean of squares itself."""
        return g / (state[0] + self.eps)


@dataclass(frozen=True, kw_only=True)
class AdamWithoutRoot(Adam):
    """d = m̂/(v̂ + ε)."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the first moment over the second one itself."""
        first, second = self.biases(age)
        return state[0] / first / (state[1] / second + self.eps)


@dataclass(frozen=True, kw_only=True)
class AdamOfHeldRoot(Adam):
    """Adam with the whole denominator, and nothing else, held where it is differentiated."""

    is_analytic: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction of Adam."""
        m, v = state
        return super().direction(xp, (m, getval(v)), g, phi, k, age)


@dataclass(frozen=True, kw_only=True)
class RMSPropOfHeldRoot(RMSProp):
    """RMSProp with the whole denominator held."""

    is_analytic: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction of RMSProp."""
        return super().direction(xp, (getval(state[0]),), g, phi, k, age)


@dataclass(frozen=True, kw_only=True)
class AMSGrad(Adam):
    """Adam with the largest v so far in the place of v (Reddi et al., 2018), as PyTorch has it."""

    is_analytic: ClassVar[bool] = False

    @property
    def vectors(self) -> int:
        """The moments m and v, and the largest v."""
        return 3

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:
        """Return the moments after a gradient, and the largest second one."""
        m, v = super().advance(xp, state[:2], g, phi)
        return m, v, xp.where(v > state[2], v, state[2])

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction of Adam with the largest second moment."""
        return super().direction(xp, (state[0], state[2]), g, phi, k, age)


@dataclass(frozen=True, kw_only=True)
class AdaMax(Adam):
    """u ← max(β₂ u, |g| + ε); d = m/(1 − β₁ᵗ)/u (Kingma and Ba, 2015, algorithm 2, with PyTorch's ε)."""

    is_analytic: ClassVar[bool] = False

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return the first moment and the largest entry, which fades."""
        m, u = state
        size = xp.abs(g) + self.eps
        return self.beta1 * m + (1 - self.beta1) * g, xp.where(self.beta2 * u > size, self.beta2 * u, size)

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the first moment over the largest entry."""
        return state[0] / (1 - self.beta1 ** (age + 1)) / state[1]


@dataclass(frozen=True, kw_only=True)
class NAdam(Adam):
    """d = (μ_{t+1} m/(1 − Π_{i≤t+1} μ_i) + (1 − μ_t) g/(1 − Π_{i≤t} μ_i))/(√v̂ + ε), as PyTorch has it (Dozat, 2016).

    μ_t is β₁ (1 − ½ · 0.96^(tψ)) with ψ = 0.004. PyTorch keeps the product in single precision.
    """

    decay: float = 0.004

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction of step t = age + 1."""
        *mus, following = (self.beta1 * (1 - 0.5 * 0.96 ** (t * self.decay)) for t in range(1, age + 3))
        product = np.float32(1)
        for mu in mus:
            product *= np.float32(mu)
        now, ahead = 1 - float(product), 1 - float(product) * following
        mixed = following / ahead * state[0] + (1 - mus[-1]) / now * g
        return super().direction(xp, (self.biases(age)[0] * mixed, state[1]), g, phi, k, age)


@dataclass(frozen=True, kw_only=True)
class RAdam(Adam):
    """Adam with its variance rectified, or m̂ alone in the first steps (Liu et al., 2020, algorithm 2)."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:
        """Return the direction of step t = age + 1."""
        t, most = age + 1, 2 / (1 - self.beta2) - 1
        length = most - 2 * t * self.beta2**t / (1 - self.beta2**t)
        if length <= 5:  # where PyTorch takes the variance for one that exists
            return state[0] / self.biases(age)[0]
        rectified = ((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) ** 0.5
        return rectified * super().direction(xp, state, g, phi, k, age)
