"""Other optimizers than gradient descent in the inner loop, as PyTorch has them: at α or a rate of their own, or kept.

They are rows of the parts of declared updates, and of those that nobody can declare.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from verification.faults import algorithms
from verification.faults.algorithms import as_kind
from verification.faults.parts import (
    AdaGrad,
    AdaMax,
    AdamOfHeldRoot,
    AdamWithoutRoot,
    AMSGrad,
    CenteredRMSProp,
    DampenedMomentum,
    DoubledMomentum,
    HalfCorrectedAdam,
    LaggingMomentum,
    LaterAdam,
    LookingAhead,
    NAdam,
    Normalised,
    RAdam,
    RMSPropFromFirst,
    RMSPropFromOne,
    RMSPropOfHeldRoot,
    RMSPropWithoutRoot,
    Sign,
    StuckAdam,
)
from verification.faults.question import AnswerFunction, Misreading, Question, each_task, misread
from verification.faults.work import Points, Solved, Work, mean, solve
from verification.oracles.updates import BEFORE, Adam, InnerUpdate, Momentum, Part, RatesByStep, RMSProp
from verification.oracles.view import FlatArray


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
_RMSPROP, _ADAM = "RMSprop", "Adam "
#: O02: a velocity that is a moving average of the gradients.
DAMPED = "damped, m ← μm + (1−μ)g"
#: Weights within a limit, a clip by leaf, and a dampened momentum, with the number that is fitted.
WITHIN = "the weights clipped to ±{} after each step"
CLIPPED_LEAVES = f"{_OF_GRADIENT}gradient of each leaf clipped to a norm of {{}}"
DAMPENED = f"{_DAMPENED} by {{}} as in PyTorch"
DAMPENED_BY_ITSELF = f"{_OF_ANY} {{0}} dampened by {{0}} as in PyTorch"
DAMPENED_BY = {tau: f"{_OF_ANY} {{}} dampened by {tau:g} as in PyTorch" for tau in (0.1, 0.5, 0.9)}
#: How the words begin for what cannot be declared.
NOT_DECLARABLE = (_ADAGRAD, _RMSPROP, _OF_GRADIENT, _DAMPENED, _OF_ANY, _ADAM, "AMSGrad", "AdaMax", "NAdam", "RAdam")
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
                               ("with v = 1 at first, as in TensorFlow 1", RMSPropFromOne),
                               ("with v = g² in the first step", RMSPropFromFirst),
                               ("g/(v + ε), without the root", RMSPropWithoutRoot)) for rho in (0.99, 0.9)},
        f"{_ADAM}with m̂/(v̂ + ε), without the root": algorithms.with_update(AdamWithoutRoot()),
        "AMSGrad": algorithms.with_update(AMSGrad()), "AdaMax": algorithms.with_update(AdaMax()),
        "NAdam": algorithms.with_update(NAdam()), "RAdam": algorithms.with_update(RAdam(place=BEFORE)),
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
    return algorithms.changing(lambda part: (as_kind(kind, part, **changes) if isinstance(part, Adam) else part,))


def _with_velocity(kind: type[Momentum], *, nesterov: bool) -> Misreading:
    """Make a misreading with another momentum for the declared one, Nesterov's or the plain one."""

    def changed(part: Part) -> tuple[Part, ...]:
        return (as_kind(kind, part) if isinstance(part, Momentum) and part.nesterov == nesterov else part,)

    return algorithms.changing(changed)


def _dampened(part: Part) -> tuple[Part, ...]:
    if not isinstance(part, Momentum) or part.nesterov:
        return (part,)
    return (DampenedMomentum(mu=part.mu, dampening=part.mu),)


def _with_held_root(part: Part) -> tuple[Part, ...]:
    kinds: dict[type[Part], type[Part]] = {Adam: AdamOfHeldRoot, RMSProp: RMSPropOfHeldRoot}
    return (as_kind(kinds[type(part)], part) if type(part) in kinds else part,)


#: O06: the denominator is a constant where it is differentiated, and the numerator is not.
with_held_root = algorithms.changing(_with_held_root)
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
        as_kind(LookingAhead, part, last=steps - 1) if isinstance(part, Momentum) else part for part in update.parts
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
