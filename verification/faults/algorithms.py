"""Section O: inner optimizers and the other algorithms that an author can declare, wrongly done or not declared at all.

Each is a rule that changes the update of a step. Where the rule finds nothing to change, the answer is the right one,
so that one list serves every algorithm, plain descent included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from verification.faults.order import right
from verification.faults.parameters import adapting
from verification.faults.question import AnswerFunction, Misreading, Outcome, Question, combined, each_task, misread
from verification.faults.work import Carried, Points, Solved, Work, descend_from, pull_back, solve
from verification.oracles.updates import (
    BEFORE,
    UNDER,
    Adam,
    ClipByNorm,
    ClipByValue,
    InnerUpdate,
    Momentum,
    Part,
    RatesByStep,
    RMSProp,
    State,
    Vector,
    WeightDecay,
)
from verification.oracles.view import FlatArray

#: A part, to what stands in its place.
Change = Callable[[Part], tuple[Part, ...]]


def with_update(*parts: Part) -> Misreading:
    """O01: another inner update than is asked for; no parts are plain descent."""
    update = InnerUpdate(parts) if parts else None
    return misread(lambda work, _: work.changed(update=update))


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


def changing(change: Change) -> Misreading:
    """Make a misreading of what becomes of each part of the update."""

    def changed(work: Work, _: Question) -> Work:
        update = work.view.update
        if update is None:
            return work
        return work.changed(update=InnerUpdate(tuple(new for part in update.parts for new in change(part))))

    return misread(changed)


def _with(kinds: type[Part] | tuple[type[Part], ...], **changes: Any) -> Misreading:
    """Make a misreading with other parameters in the parts of some kinds."""
    return changing(lambda part: (replace(part, **changes),) if isinstance(part, kinds) else (part,))


def _without(*kinds: type[Part]) -> Misreading:
    return changing(lambda part: () if isinstance(part, kinds) else (part,))


def _other_momentum(part: Part) -> tuple[Part, ...]:
    return (replace(part, nesterov=not part.nesterov) if isinstance(part, Momentum) else part,)


def _dampened(part: Part) -> tuple[Part, ...]:
    return (replace(part, dampening=part.mu) if isinstance(part, Momentum) else part,)


other_momentum = changing(_other_momentum)
dampened = changing(_dampened)
uncorrected = _with(Adam, corrected=False)


def with_eps(eps: float) -> Misreading:
    """O04: another ε."""
    return _with((Adam, RMSProp), eps=eps)


eps_under_root = _with((Adam, RMSProp), place=UNDER)
eps_before_correction = _with(Adam, place=BEFORE)
without_clip_eps = _with(ClipByNorm, eps=0.0)
with_clip_eps = _with(ClipByNorm, eps=1e-6)
held = _with(Part, held=True)
differentiated = _with(Part, held=False)


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
    return _with(ClipByNorm, groups=groups)(question)


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
without_clip = _without(ClipByNorm, ClipByValue)
without_decay = _without(WeightDecay)


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
without_rates = _without(RatesByStep)


def moved(kinds: tuple[type[Part], ...], *, last: bool) -> Misreading:
    """Make a misreading with parts of some kinds after all others, or before them."""

    def changed(work: Work, _: Question) -> Work:
        update = work.view.update
        if update is None:
            return work
        those = tuple(part for part in update.parts if isinstance(part, kinds))
        others = tuple(part for part in update.parts if not isinstance(part, kinds))
        return work.changed(update=InnerUpdate((*others, *those) if last else (*those, *others)))

    return misread(changed)


decay_last = moved((WeightDecay,), last=True)
decay_first = moved((WeightDecay,), last=False)
clip_last = moved((ClipByNorm, ClipByValue), last=True)
clip_first = moved((ClipByNorm, ClipByValue), last=False)


def _next(part: Part) -> tuple[Part, ...]:
    return (replace(part, factors=part.factors[1:] or part.factors) if isinstance(part, RatesByStep) else part,)


def _first(part: Part) -> tuple[Part, ...]:
    return (replace(part, factors=part.factors[:1]) if isinstance(part, RatesByStep) else part,)


rates_of_next_step = changing(_next)
rate_of_first_step = changing(_first)


def _run(question: Question, carried: Carried | None, *, counts: bool = False) -> tuple[list[Solved], Carried | None]:
    """Answer task after task with the states that the one before left; a task's Jacobian ends where it began.

    With `counts` the number of steps goes on alone, and the vectors are fresh.
    """
    solved = []
    for work in question.works:
        start = carried
        carried = descend_from(work, start)[1]
        if counts and work.view.update is not None:
            carried = work.view.update.begin(work.theta), carried[1]
        solved.append(_from_states(work, question, start))
    return solved, carried


def _from_states(work: Work, question: Question, start: Carried | None) -> Solved:
    def descending(work: Work) -> Points:
        return descend_from(work, start)[0]

    return solve(work, question.order, descend=descending, pull_back=partial(pull_back, carried=start))


def _has_state(question: Question) -> bool:
    return any(work.view.update is not None and work.view.update.has_state for work in question.works)


def state_kept(question: Question) -> Outcome:
    """E04: what the update keeps from step to step goes on from task to task, and from call to call."""
    carried = None
    for _ in range(question.call if _has_state(question) else 0):
        carried = _run(question, carried)[1]
    return combined(question, _run(question, carried)[0])


def count_kept(question: Question) -> Outcome:
    """E04: how many steps the update has seen goes on from task to task, and from call to call."""
    carried = None
    for _ in range(question.call if _has_state(question) else 0):
        carried = _run(question, carried, counts=True)[1]
    return combined(question, _run(question, carried, counts=True)[0])


def count_kept_within(question: Question) -> Outcome:
    """E04: the same within each call."""
    return combined(question, _run(question, None, counts=True)[0])


def state_kept_within(question: Question) -> Outcome:
    """E04: the same within each call."""
    return combined(question, _run(question, None)[0])


def differences_of(**changes: Any) -> Misreading:
    """O12: other differences in place of products with Hessians, where some are declared."""

    def changed(work: Work, _: Question) -> Work:
        declared = work.view.hessian_free
        return work if declared is None else work.changed(hessian_free=replace(declared, **changes))

    return misread(changed)


relative_differences = differences_of(relative=True)
one_sided_differences = differences_of(one_sided=True, over=1.0)
differences_over_delta = differences_of(over=1.0)
differences_negated = differences_of(over=-2.0)


def _over_rate(work: Work, _: Question) -> Work:
    declared = work.view.hessian_free
    if declared is None:
        return work
    return work.changed(hessian_free=replace(declared, over=2.0 * float(work.view.rate.flat[0])))


#: O12: every coordinate has one rate there.
differences_without_rate = misread(_over_rate)
exact_products = misread(lambda work, _: work.changed(hessian_free=None))


#: O13: other variables adapt than those that are selected.
everything_adapts = misread(lambda work, _: work.changed(inner_mask=np.ones_like(work.view.inner_mask)))


def others_adapt(question: Question) -> Outcome:
    """O13: those that are not selected adapt in place of those that are, as in BOIL for ANIL."""
    if all(np.all(work.view.inner_mask) for work in question.works):
        return right(question)
    return misread(lambda work, _: work.changed(inner_mask=1 - work.view.inner_mask))(question)


def _at_rates(change: Callable[[dict[str, Any]], dict[str, Any]], of: AnswerFunction = right) -> AnswerFunction:
    """Make an answer with other gradients by the learned rates, and all else as another answer has it."""

    def answer(question: Question) -> Outcome:
        found = of(question)
        rates = {chain: leaf for chain, leaf in found.gradients.items() if chain in question.problem.learned_rates}
        return replace(found, gradients={**found.gradients, **change(rates)})

    return answer


def _as_one(rates: dict[str, Any], *, mean: bool) -> dict[str, Any]:
    """Return what one rate for all would have, in place of each: the sum of all, or their mean."""
    total, count = sum(leaf.sum() for leaf in rates.values()), sum(leaf.size for leaf in rates.values())
    return {chain: np.full_like(leaf, total / count if mean else total) for chain, leaf in rates.items()}


no_rates = _at_rates(dict.fromkeys)
rates_negated = _at_rates(lambda rates: {chain: -leaf for chain, leaf in rates.items()})
one_rate = _at_rates(partial(_as_one, mean=False))
one_mean_rate = _at_rates(partial(_as_one, mean=True))
rate_of_each_leaf = _at_rates(lambda rates: {chain: np.full_like(leaf, leaf.sum()) for chain, leaf in rates.items()})
mean_rate_of_each_leaf = _at_rates(
    lambda rates: {chain: np.full_like(leaf, leaf.mean()) for chain, leaf in rates.items()}
)


def rates_with_held_gradients(question: Question) -> Outcome:
    """O10: θ at second order, and the rates with all inner gradients held, as at first order."""
    first = right(replace(question, order=1))
    return _at_rates(lambda rates: {chain: first.gradients[chain] for chain in rates})(question)


def rates_of_last_step(question: Question) -> Outcome:
    """O10: −∇Q(φ_K) g_{K−1}: a copy of the rates is made for each step, and the last alone gets a gradient."""

    def last(work: Work) -> Solved:
        points = descend_from(work, None)[0]
        before = work.changed(theta=points[-2], steps=1, weights=None, average=False) if len(points) > 1 else work
        return solve(before, 1)

    if any(work.view.weights is not None or work.view.average for work in question.works):
        return right(question)
    ends = combined(question, [last(work) for work in question.works])
    return _at_rates(lambda rates: {chain: ends.gradients[chain] for chain in rates})(question)
