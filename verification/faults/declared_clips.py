"""O05: clips of the inner gradient by another rule than the declared one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from autograd.tracer import getval

from verification.faults import scales
from verification.faults.algorithms import altered, as_kind, changing, moved, without
from verification.faults.optimizers import within
from verification.faults.order import right
from verification.faults.question import Misreading, Outcome, Question, misread
from verification.faults.work import Work
from verification.oracles.updates import ClipByNorm, ClipByValue, InnerUpdate, Part, State, Vector


@dataclass(frozen=True, kw_only=True)
class ClipBySize(ClipByNorm):
    """d = c g, c = min(1, limit/(s + ε)), with another size s of g than its norm."""

    size: Callable[[Any, Vector], Vector]

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, shortened where its size is above the limit."""
        factors = xp.minimum(self.limit / (self.size(xp, g) + self.eps), np.ones(1, getval(g).dtype))
        return g * (getval(factors) if self.held else factors)


#: Sizes of a gradient over all its entries that are not its norm.
_SIZES: dict[str, Callable[[Any, Vector], Vector]] = {
    "its largest entry for its norm": lambda xp, g: xp.max(xp.abs(g), axis=-1, keepdims=True),
    "the sum of its entries' sizes for its norm": lambda xp, g: xp.sum(xp.abs(g), axis=-1, keepdims=True),
    "the square of its norm": lambda xp, g: xp.sum(g**2, axis=-1, keepdims=True),
}


@dataclass(frozen=True, kw_only=True)
class ClipAbove(ClipByValue):
    """d = min(g, limit) in every entry, which leaves what is negative as it is."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, with its large entries cut."""
        return xp.where(getval(g) > self.limit, getval(g) * 0 + self.limit, g)


@dataclass(frozen=True, kw_only=True)
class Squash(ClipByValue):
    """d = limit · tanh(g/limit), which clips softly."""

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient, bent towards the limit."""
        return self.limit * xp.tanh(g / self.limit)


def _other_clip(part: Part) -> tuple[Part, ...]:
    if isinstance(part, ClipByNorm):
        return (ClipByValue(limit=part.limit, held=part.held),)
    if isinstance(part, ClipByValue):
        return (ClipByNorm(limit=part.limit, held=part.held),)
    return (part,)


other_clip = changing(_other_clip)


def clip_of_each_leaf(question: Question) -> Outcome:
    """O05: the norm of each leaf at most c, in place of that of all."""
    groups = tuple(tuple(int(spot) for spot in spots.ravel()) for spots in question.spots().values())
    return altered(ClipByNorm, groups=groups)(question)


def _clipped_after_rate(work: Work, _: Question) -> Work:
    """Make c α g/(|α| ‖g‖ + ε) of a step what it is of g, with c/|α| and ε/|α|, where there is one rate for all."""
    update, rates = work.view.update, np.unique(work.view.rate[work.view.inner_mask != 0])
    if update is None or rates.size != 1 or not rates[0]:
        return work
    limited = (
        replace(
            part, **{key: value / float(abs(rates[0])) for key, value in vars(part).items() if key in ("limit", "eps")}
        )
        if isinstance(part, ClipByNorm | ClipByValue)
        else part
        for part in update.parts
    )
    return work.changed(update=InnerUpdate(tuple(limited)))


clip_of_step = misread(_clipped_after_rate)
without_clip = without(ClipByNorm, ClipByValue)
clip_last = moved((ClipByNorm, ClipByValue), last=True)
clip_first = moved((ClipByNorm, ClipByValue), last=False)


def _by_size(size: Callable[[Any, Vector], Vector]) -> Misreading:
    def changed(part: Part) -> tuple[Part, ...]:
        return (as_kind(ClipBySize, part, size=size) if isinstance(part, ClipByNorm) else part,)

    return changing(changed)


def _by_entry(kind: type[ClipByValue]) -> Misreading:
    return changing(lambda part: (as_kind(kind, part) if isinstance(part, ClipByValue) else part,))


clips_by_size = {words: _by_size(size) for words, size in _SIZES.items()}
clip_above = _by_entry(ClipAbove)
squashed = _by_entry(Squash)


def _declared(question: Question) -> list[Part]:
    updates = [work.view.update for work in question.works]
    parts = () if not updates or updates[0] is None else updates[0].parts
    return [part for part in parts if isinstance(part, ClipByNorm | ClipByValue)]


def clip_of_outer(question: Question) -> Outcome:
    """O05: the meta-gradient is clipped, and no inner one."""
    found, clips = without_clip(question), _declared(question)
    for part in clips:
        if isinstance(part, ClipByNorm):
            found = replace(found, gradients=scales.norm_clipped(found.gradients, part.limit, part.eps))
        elif isinstance(part, ClipByValue):
            found = replace(found, gradients=scales.clipped(found.gradients, part.limit))
    return found


def clip_of_weights(question: Question) -> Outcome:
    """O05: the entries of φ are clipped after each step, and no gradient."""
    clips, updates = _declared(question), [work.view.update for work in question.works]
    alone = all(update is not None and len(update.parts) == 1 for update in updates)
    if not (alone and clips and isinstance(clips[0], ClipByValue)):
        return right(question)
    plain = [work.changed(update=None) for work in question.works]
    return within(clips[0].limit)(replace(question, works=plain))
