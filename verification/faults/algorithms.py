"""Section O: inner optimizers and the other algorithms that an author can declare, wrongly done or not declared at all.

Each is a rule that changes the update of a step. Where the rule finds nothing to change, the answer is the right one,
so that one list serves every algorithm, plain descent included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

from verification.faults.question import Misreading, Outcome, Question, combined, misread
from verification.faults.work import Carried, Points, Solved, Work, descend_from, pull_back, pull_back_states, solve
from verification.oracles.hessian_free import HessianFree
from verification.oracles.updates import (
    BEFORE,
    UNDER,
    Adam,
    ClipByNorm,
    InnerUpdate,
    Momentum,
    Part,
    RMSProp,
    State,
)
from verification.oracles.view import FlatArray

P = TypeVar("P", bound=Part)
#: A part, to what stands in its place.
Change = Callable[[Part], tuple[Part, ...]]


def with_update(*parts: Part) -> Misreading:
    """O01: another inner update than is asked for; no parts are plain descent."""
    update = InnerUpdate(parts) if parts else None
    return misread(lambda work, _: work.changed(update=update))


def changing(change: Change) -> Misreading:
    """Make a misreading of what becomes of each part of the update."""

    def changed(work: Work, _: Question) -> Work:
        update = work.view.update
        if update is None:
            return work
        return work.changed(update=InnerUpdate(tuple(new for part in update.parts for new in change(part))))

    return misread(changed)


def as_kind(kind: type[P], part: Part, **changes: Any) -> P:
    """Return a part of another kind, with the numbers that both have, and some of its own."""
    shared = {entry.name: getattr(part, entry.name) for entry in fields(kind) if hasattr(part, entry.name)}
    return kind(**shared | changes)


def altered(kinds: type[Part] | tuple[type[Part], ...], **changes: Any) -> Misreading:
    """Make a misreading with other parameters in the parts of some kinds."""
    return changing(lambda part: (replace(part, **changes),) if isinstance(part, kinds) else (part,))


def without(*kinds: type[Part]) -> Misreading:
    """Make a misreading that leaves the parts of some kinds out."""
    return changing(lambda part: () if isinstance(part, kinds) else (part,))


def _other_momentum(part: Part) -> tuple[Part, ...]:
    return (replace(part, nesterov=not part.nesterov) if isinstance(part, Momentum) else part,)


def _dampened(part: Part) -> tuple[Part, ...]:
    return (replace(part, dampening=part.mu) if isinstance(part, Momentum) else part,)


other_momentum = changing(_other_momentum)
dampened = changing(_dampened)
uncorrected = altered(Adam, corrected=False)


def with_eps(eps: float) -> Misreading:
    """O04: another ε."""
    return altered((Adam, RMSProp), eps=eps)


eps_under_root = altered((Adam, RMSProp), place=UNDER)
eps_before_correction = altered(Adam, place=BEFORE)
without_clip_eps = altered(ClipByNorm, eps=0.0)
with_clip_eps = altered(ClipByNorm, eps=1e-6)
held = altered(Part, held=True)
differentiated = altered(Part, held=False)


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


@dataclass(frozen=True)
class _Loop:
    """A task's inner loop, from the states that the task before it left."""

    work: Work
    points: Points
    start: Carried | None

    def back(self, points: Points, u: FlatArray, states: tuple[State, ...] | None) -> tuple[FlatArray, Any]:
        """Return what arrives at θ, and at the states at the start."""
        return pull_back_states(self.work, points, u, states, carried=self.start)


def _back_through(loops: Sequence[_Loop], _: Work, points: Points, u: FlatArray) -> FlatArray:
    """Pull back through the last of some loops, and on through the states that it had from those before."""
    *earlier, last = loops
    found, states = last.back(points, u, None)
    for loop in reversed(earlier):
        more, states = loop.back(loop.points[:-1], 0 * u, states)
        found = found + more
    return found


def state_kept_whole(question: Question) -> Outcome:
    """E04: the same within each call with nothing cut off: a task's gradient goes back through those before it."""
    if question.order != 2 or not _has_state(question):
        return state_kept_within(question)
    solved, loops = list[Solved](), list[_Loop]()
    carried: Carried | None = None
    for work in question.works:
        start = carried
        points, carried = descend_from(work, start)
        loops.append(_Loop(work, points, start))
        back = partial(_back_through, tuple(loops))
        solved.append(solve(work, question.order, descend=lambda _: loops[-1].points, pull_back=back))
    return combined(question, solved)


def _differing(change: Callable[[HessianFree, float], dict[str, Any]]) -> Misreading:
    """O12: other differences in place of products with Hessians, where some are declared; there is one rate for all."""

    def changed(work: Work, _: Question) -> Work:
        declared = work.view.hessian_free
        if declared is None:
            return work
        return work.changed(hessian_free=replace(declared, **change(declared, float(work.view.rate.flat[0]))))

    return misread(changed)


def differences_of(**changes: Any) -> Misreading:
    """O12: differences with other numbers."""
    return _differing(lambda _, __: changes)


relative_differences = differences_of(relative=True)
one_sided_differences = differences_of(one_sided=True, over=1.0)
backward_differences = _differing(lambda declared, _: {"delta": -declared.delta, "one_sided": True, "over": 1.0})
differences_over_delta = differences_of(over=1.0)
differences_negated = differences_of(over=-2.0)
differences_without_rate = _differing(lambda _, rate: {"over": 2.0 * rate})
differences_at_rate = _differing(
    lambda declared, rate: {"delta": rate * declared.delta, "over": 2.0 / rate} if rate else {}
)
exact_products = misread(lambda work, _: work.changed(hessian_free=None))
