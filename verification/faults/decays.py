"""O07: weight decay in another form than the declared one; O01: one that is not declared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from autograd.tracer import getval

from verification.faults.algorithms import changing, moved, without
from verification.faults.parameters import adapting
from verification.faults.question import Misreading, Question, each_task, misread
from verification.faults.work import Solved, Work, solve
from verification.oracles.updates import InnerUpdate, Part, State, Vector, WeightDecay
from verification.oracles.view import FlatArray


@dataclass(frozen=True, kw_only=True)
class DecayOfSome(WeightDecay):
    """d = g + λ φ in `some` entries, which have a 1 there, and d = g in the others, which have a 0."""

    some: FlatArray
    is_linear: ClassVar[bool] = False  # its numbers are one for each entry
    is_elementwise: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, and the decay where there is one."""
        return g + self.strength * self.some * phi


def with_decay_of_used(strength: float, before: tuple[Part, ...] = (), after: tuple[Part, ...] = ()) -> Misreading:
    """O01: a weight decay as in PyTorch, whose optimizers pass over a variable that has no gradient."""

    def change(work: Work, question: Question) -> Work:
        used = np.zeros_like(work.theta)
        for chain in adapting(question):
            used[question.spots()[chain]] = 1
        return work.changed(update=InnerUpdate((*before, DecayOfSome(strength=strength, some=used), *after)))

    return misread(change)


without_decay = without(WeightDecay)


def _decay_of_matrices(work: Work, question: Question) -> Work:
    update, spots = work.view.update, question.spots().values()
    if update is None:
        return work
    whole = np.zeros_like(work.theta)
    for where in spots:
        whole[where] = where.ndim > 1
    parts = (
        DecayOfSome(strength=part.strength, some=whole) if isinstance(part, WeightDecay) else part
        for part in update.parts
    )
    return work.changed(update=InnerUpdate(tuple(parts)))


@dataclass(frozen=True, kw_only=True)
class DecayOfNew(Part):
    """d = (1 − αλ) g + λ φ: the decay of the weights that a step has moved, ψ − αλψ with ψ = φ − αg."""

    strength: float
    rate: float
    is_linear: ClassVar[bool] = True

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the step and the decay after it, together."""
        return (1 - self.rate * self.strength) * g + self.strength * phi


def _decay_of_new(work: Work, _: Question) -> Work:
    update, rates = work.view.update, np.unique(work.view.rate[work.view.inner_mask != 0])
    if update is None or rates.size != 1 or not isinstance(update.parts[-1], WeightDecay):
        return work
    last = DecayOfNew(strength=update.parts[-1].strength, rate=float(rates[0]))
    return work.changed(update=InnerUpdate((*update.parts[:-1], last)))


def _differentiated(work: Work, question: Question) -> Solved:
    if question.order != 1 or work.view.update is None:
        return solve(work, question.order)
    flat = replace(work, curve=lambda _, points: [np.zeros_like] * len(points), memory={})
    return solve(flat, 2)


#: O07: at first order, a decay whose φ is no number but the variable: each step multiplies what comes back by 1 − αλ.
decay_differentiated = each_task(_differentiated)
decay_of_matrices = misread(_decay_of_matrices)
decay_of_new = misread(_decay_of_new)
decay_last = moved((WeightDecay,), last=True)
decay_first = moved((WeightDecay,), last=False)


@dataclass(frozen=True, kw_only=True)
class AbsoluteDecay(WeightDecay):
    """d = g + λ sign φ, the gradient of the cost with λ Σ|φ| added to it."""

    is_linear: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, and λ towards 0."""
        return g + self.strength * xp.sign(getval(phi))

    def arriving(self, back: Vector, k: int) -> Vector:  # noqa: ARG002
        """Return what arrives at g: nothing arrives at φ, where a sign is a constant."""
        return back


@dataclass(frozen=True, kw_only=True)
class HeldDecay(WeightDecay):
    """d = g + λ φ, with this φ held where it is differentiated."""

    is_linear: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the direction of weight decay."""
        return g + self.strength * getval(phi)

    def arriving(self, back: Vector, k: int) -> Vector:  # noqa: ARG002
        """Return what arrives at g; nothing arrives at φ."""
        return back


def _by(kind: type[WeightDecay], factor: float = 1.0) -> Misreading:
    def changed(part: Part) -> tuple[Part, ...]:
        return (kind(strength=factor * part.strength, held=part.held) if isinstance(part, WeightDecay) else part,)

    return changing(changed)


decay_of_sizes = _by(AbsoluteDecay)
decay_held = _by(HeldDecay)
decay_negated = _by(WeightDecay, -1.0)


def _with_penalty(work: Work, _: Question) -> Work:
    update = work.view.update
    strength = sum(part.strength for part in update.parts if isinstance(part, WeightDecay)) if update else 0.0
    costs = work.view.outer_costs
    if not strength:
        return work
    return work.changed(outer_costs=lambda points: costs(points) + strength / 2 * (points**2).sum(-1))


#: O07: ½ λ ‖φ‖² in the outer loss as well.
decay_in_both = misread(_with_penalty)
