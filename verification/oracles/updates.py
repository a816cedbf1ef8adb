"""Inner updates other than plain descent, on flat vectors: momentum, RMSProp, Adam, decay, clips, rates by step.

An update is a row of *parts*. A part takes the gradient that the one before it gave, has a state of a few vectors that
begins at 0 for each task, and gives a direction; the last direction d moves the point, φ_{k+1} = φ_k − α d. So the
order of the parts says what acts on what: weight decay before Adam is the penalty ½ λ ‖φ‖² of the cost, and after it
the decay of AdamW (Loshchilov and Hutter, 2019).

A part works in two stages, so that the derivative of either can be taken, and disturbed, by itself:

    s_{k+1} = advance(s_k, g_k, φ_k),        d_k = direction(s_{k+1}, g_k, φ_k)

Formulas are those of the documentation of `torch.optim` and of `torch.nn.utils`; `docs/mathematics.md` has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from operator import mul
from typing import Any, ClassVar, TypeAlias

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.tracer import getval

Vector: TypeAlias = Any  # [n], or [P, n] for many points at once, in an array namespace
State: TypeAlias = tuple[Vector, ...]
Disturb: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of an update; by itself it changes nothing.

    `held` takes what it keeps from earlier steps, or what it multiplies by, for a constant where it is differentiated.
    """

    held: bool = False
    #: Whether each entry goes its own way, so that entries of a large model can be differentiated piece by piece.
    is_elementwise: ClassVar[bool] = True
    #: Whether both of its stages are sums of what they get, each times a number: then so is what arrives at each.
    is_linear: ClassVar[bool] = False
    #: Whether each entry goes its own way through functions that take complex numbers.
    is_analytic: ClassVar[bool] = False

    @property
    def vectors(self) -> int:
        """The number of vectors in its state."""
        return 0

    def begin(self, theta: Vector) -> State:
        """Return the state before the first step: zeros."""
        return tuple(0 * getval(theta) for _ in range(self.vectors))

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002  # parts differ in need
        """Return the state after a gradient."""
        return state

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the direction from the state that the gradient has been put into.

        `k` counts the steps before this one in the task, `age` those that the state has seen: the same numbers, unless
        somebody keeps a state from one task to the next.
        """
        return g

    def arriving(self, back: Vector, k: int) -> Vector | None:  # noqa: ARG002
        """Return what arrives at the gradient from what arrives at the direction.

        None where that depends on more, or a direction on more than the gradient: then it is differentiated.
        """
        return None


@dataclass(frozen=True, kw_only=True)
class Momentum(Part):
    """m ← μ m + (1 − τ) g; d = m, or g + μ m for Nesterov's (Sutskever et al., 2013, in the form of PyTorch)."""

    mu: float
    nesterov: bool = False
    dampening: float = 0.0
    is_linear: ClassVar[bool] = True

    @property
    def vectors(self) -> int:
        """The velocity m."""
        return 1

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return the velocity after a gradient."""
        return (self.mu * _kept(state[0], held=self.held) + (1 - self.dampening) * g,)

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the velocity, or what it will have become by one more gradient of this kind."""
        return g + self.mu * state[0] if self.nesterov else state[0]


#: Where ε stands in g/(√v + ε): beside the root, under it, or beside the root of v before its bias is corrected.
BESIDE, UNDER, BEFORE = "beside the root", "under the root", "before the bias is corrected"


@dataclass(frozen=True, kw_only=True)
class RMSProp(Part):
    """v ← ρ v + (1 − ρ) g²; d = g/(√v + ε) (Tieleman and Hinton, 2012)."""

    rho: float = 0.99
    eps: float = 1e-8
    place: str = BESIDE
    is_analytic: ClassVar[bool] = True

    @property
    def vectors(self) -> int:
        """The mean of squares v."""
        return 1

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return the mean of squares after a gradient."""
        return (self.rho * _kept(state[0], held=self.held) + (1 - self.rho) * g**2,)

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient over the root of the mean of squares."""
        return g / _over(xp, state[0], self.eps, self.place, 1.0)


@dataclass(frozen=True, kw_only=True)
class Adam(Part):
    """m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²; d = m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Kingma and Ba, 2015, algorithm 1. Without `corrected` m and v stand for m̂ and v̂.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    corrected: bool = True
    place: str = BESIDE
    is_analytic: ClassVar[bool] = True

    @property
    def vectors(self) -> int:
        """The moments m and v."""
        return 2

    def advance(self, xp: Any, state: State, g: Vector, phi: Vector) -> State:  # noqa: ARG002
        """Return the moments after a gradient."""
        m, v = (_kept(moment, held=self.held) for moment in state)
        return self.beta1 * m + (1 - self.beta1) * g, self.beta2 * v + (1 - self.beta2) * g**2

    def biases(self, age: int) -> tuple[float, float]:
        """Return 1 − β₁ᵗ and 1 − β₂ᵗ in step t = age + 1, or ones where nothing is corrected."""
        first, second = (1 - beta ** (age + 1) if self.corrected else 1.0 for beta in (self.beta1, self.beta2))
        return first, second

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the first moment over the root of the second, both without the bias of their beginning at 0."""
        m, v = state
        first, second = self.biases(age)
        return m / first / _over(xp, v, self.eps, self.place, second)


@dataclass(frozen=True, kw_only=True)
class WeightDecay(Part):
    """d = g + λ φ."""

    strength: float
    is_linear: ClassVar[bool] = True

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient of the cost with ½ λ ‖φ‖² added to it."""
        return g + self.strength * phi


@dataclass(frozen=True, kw_only=True)
class Proximal(Part):
    """d = g + λ (φ − θ): the pull of ½ λ ‖φ − θ‖² towards where a task began."""

    strength: float
    is_linear: ClassVar[bool] = True

    @property
    def vectors(self) -> int:
        """Where the task began, θ."""
        return 1

    def begin(self, theta: Vector) -> State:
        """Return θ, a constant: what is differentiated through this pull is an implicit function, and no loop."""
        return (getval(theta),)

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient of the cost with ½ λ ‖φ − θ‖² added to it."""
        return g + self.strength * (phi - state[0])


@dataclass(frozen=True, kw_only=True)
class ClipByNorm(Part):
    """d = c g, c = min(1, limit/(‖g‖ + ε)): the norm over all leaves, or over each of several `groups` of entries."""

    limit: float
    eps: float = 1e-6
    groups: tuple[tuple[int, ...], ...] = ()
    is_elementwise: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, shortened where it is too long."""
        size = getval(g).shape[-1]
        members = np.zeros((len(self.groups) or 1, size), getval(g).dtype)
        for row, entries in zip(members, self.groups or (tuple(range(size)),), strict=True):
            row[list(entries)] = 1
        norms = _root(xp, xp.dot(g**2, members.T))
        factors = xp.dot(xp.minimum(self.limit / (norms + self.eps), np.ones(1, members.dtype)), members)
        return g * _kept(factors, held=self.held)


@dataclass(frozen=True, kw_only=True)
class ClipByValue(Part):
    """d = g with every entry within ±limit; `held` lets the derivative through where the clip acts."""

    limit: float

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, with its large entries cut."""
        if self.held:
            return g + (np.clip(getval(g), -self.limit, self.limit) - getval(g))
        return xp.clip(g, -self.limit, self.limit)


@dataclass(frozen=True, kw_only=True)
class RatesByStep(Part):
    """d = r_k g in step k, and with the last of the factors from there on."""

    factors: tuple[Any, ...]
    is_elementwise: ClassVar[bool] = False  # a factor may be an array

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient times the factor of this step."""
        return self.factors[min(k, len(self.factors) - 1)] * g

    def arriving(self, back: Vector, k: int) -> Vector:
        """Return the same multiple."""
        return self.factors[min(k, len(self.factors) - 1)] * back


@dataclass(frozen=True, kw_only=True)
class LearnedRates(Part):
    """d = r g, with the rates r among the variables of the outer loop: Meta-SGD (Li et al., 2017, section 3).

    The flat vector has θ and then the rates; entry i is multiplied by the entry `places[i]`. The inner loop leaves the
    rates where they are: an inner cost does not use them.
    """

    places: tuple[int, ...]
    is_elementwise: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, each entry times its rate."""
        return g * phi[..., np.array(self.places)]


def _kept(x: Any, *, held: bool) -> Any:
    """Return what it is, without its derivative where that is held."""
    return getval(x) if held else x


def _root(xp: Any, v: Any) -> Any:
    """Return √v, with the derivative 0 at 0: there v = g² has it, and ½ v^(−½) is infinite."""
    positive = xp.real(v) > 0
    return xp.sqrt(xp.where(positive, v, 1.0)) * positive


def _over(xp: Any, v: Any, eps: float, place: str, bias: float) -> Any:
    if place == UNDER:
        return xp.sqrt(v / bias + eps)
    if place == BEFORE:
        return (_root(xp, v) + eps) / bias**0.5
    return _root(xp, v / bias) + eps


def _exactly(array: Any) -> Any:
    return array


@dataclass(frozen=True)
class InnerUpdate:
    """The parts of an update, in the order in which a gradient goes through them."""

    parts: tuple[Part, ...]

    @property
    def has_state(self) -> bool:
        """Whether anything is kept from step to step."""
        return any(part.vectors for part in self.parts)

    @property
    def learns_rates(self) -> bool:
        """Whether the outer loop learns the inner rates too."""
        return any(isinstance(part, LearnedRates) for part in self.parts)

    def at_rates(self, taken: Sequence[tuple[Vector, Vector]], u: Vector) -> Vector:
        """Return what arrives at learned rates from u at φ_k, with the inner gradients of all steps held: −u Σ_j g_j.

        `taken` has (g_j, φ_j) of the steps j < k. First order takes ∂φ_k/∂θ for the identity, and ∂φ_k/∂r for this.
        """
        found = np.zeros_like(u)
        for g, phi in taken:
            states = self.begin(phi)
            found = found - self.pull_back(states, g, phi, 0, u, states)[1]
        return found

    def begin(self, theta: Vector) -> tuple[State, ...]:
        """Return the states before the first step."""
        return tuple(part.begin(theta) for part in self.parts)

    def step(
        self,
        xp: Any,
        states: Sequence[State],
        g: Vector,
        phi: Vector,
        k: int,
        age: int | None = None,
        disturb: Disturb = _exactly,
    ) -> tuple[Vector, tuple[State, ...]]:
        """Return the direction of step k at φ_k and the states after it."""
        news = []
        for part, state in zip(self.parts, states, strict=True):
            moved = tuple(disturb(vector) for vector in part.advance(xp, state, g, phi))
            g = disturb(part.direction(xp, moved, g, phi, k, k if age is None else age))
            news.append(moved)
        return g, tuple(news)

    def pull_back(
        self,
        states: Sequence[State],
        g: Vector,
        phi: Vector,
        k: int,
        back: Vector,
        states_back: Sequence[State],
        age: int | None = None,
        disturb: Disturb = _exactly,
    ) -> tuple[Vector, Vector, tuple[State, ...]]:
        """Return what arrives at g_k, at φ_k (beside its way through g_k) and at the states before step k.

        `back` arrives at the direction of the step and `states_back` at the states after it: the chain rule, backwards
        through the two stages of each part, with the derivatives of the stages themselves by autograd.
        """
        age = k if age is None else age
        entering, moved = [], []
        for part, state in zip(self.parts, states, strict=True):
            entering.append(g)
            moved.append(part.advance(np, state, g, phi))
            g = part.direction(np, moved[-1], g, phi, k, age)
        to_phi, before = np.zeros_like(phi), []
        for part, state, news, into, arriving in reversed(
            list(zip(self.parts, states, moved, entering, states_back, strict=True))
        ):
            known = part.arriving(back, k)
            *to_news, to_g, here = (
                _vjp(_Directing(part, k, age), (*news, into, phi), (back,))
                if known is None
                else (*(np.zeros_like(one) for one in news), known, np.zeros_like(phi))
            )
            to_news = [disturb(one) + other for one, other in zip(to_news, arriving, strict=True)]
            *to_state, more, there = _vjp(_Advancing(part), (*state, into, phi), tuple(to_news))
            back = disturb(to_g) + disturb(more)
            to_phi = to_phi + here + there
            before.append(tuple(disturb(one) for one in to_state))
        return back, to_phi, tuple(reversed(before))


@dataclass(frozen=True)
class _Advancing:
    """The first stage of a part, as a function of its state, g and φ."""

    part: Part

    def __call__(self, xp: Any, *x: Vector) -> State:
        return self.part.advance(xp, x[:-2], x[-2], x[-1])


@dataclass(frozen=True)
class _Directing:
    """The second stage of a part in one step, as a function of its new state, g and φ."""

    part: Part
    k: int
    age: int

    def __call__(self, xp: Any, *x: Vector) -> State:
        return (self.part.direction(xp, x[:-2], x[-2], x[-1], self.k, self.age),)


#: An imaginary part so small changes no real one: what comes out of it, over it, is a derivative to the last digits.
COMPLEX_STEP = 1e-100

#: So many entries are differentiated at once where they can be taken apart: what autograd keeps of them is small.
_PIECE = 2**18


def _vjp(stage: _Advancing | _Directing, arguments: State, back: State) -> list[Any]:
    """Return what arrives at each argument of a stage of a part from what arrives at each of its results."""
    part = stage.part
    if not back:
        return [np.zeros_like(argument) for argument in arguments]
    if part.is_linear and not part.held:
        numbers = _numbers(stage, len(arguments), arguments[0].dtype)
        return [sum(starmap(mul, zip(some, back, strict=True))) for some in numbers]
    is_complex = part.is_analytic and not part.held and arguments[0].dtype == np.float64
    differentiate = _by_complex_steps if is_complex else _by_autograd
    size = np.shape(arguments[0])[-1]
    if not part.is_elementwise or size <= _PIECE:
        return differentiate(stage, arguments, back)
    found = [np.empty_like(argument) for argument in arguments]
    for start in range(0, size, _PIECE):
        piece = np.s_[..., start : start + _PIECE]
        pieces = differentiate(stage, *(tuple(one[piece] for one in some) for some in (arguments, back)))
        for whole, one in zip(found, pieces, strict=True):
            whole[piece] = one
    return found


@lru_cache(maxsize=1024)
def _numbers(stage: _Advancing | _Directing, count: int, dtype: np.dtype[Any]) -> list[list[float]]:
    """Return by what a sum multiplies each of `count` arguments in each result: what it makes of a 1 among zeros."""
    units = np.eye(count, dtype=dtype)
    return [[float(number[0]) for number in stage(np, *unit[:, None])] for unit in units]


def _by_complex_steps(stage: _Advancing | _Directing, arguments: State, back: State) -> list[Any]:
    found = []
    for place, argument in enumerate(arguments):
        shifted = (*arguments[:place], argument + 1j * COMPLEX_STEP, *arguments[place + 1 :])
        slopes = [result.imag / COMPLEX_STEP for result in stage(np, *shifted)]
        found.append(sum(starmap(mul, zip(slopes, back, strict=True))))
    return found


def _by_autograd(stage: Callable[..., State], arguments: State, back: State) -> list[Any]:
    def along_back(given: Any) -> Any:
        results = stage(anp, *(given[index] for index in range(len(arguments))))
        return sum(anp.sum(result * arriving) for result, arriving in zip(results, back, strict=True))

    return list(grad(along_back)(tuple(arguments)))
