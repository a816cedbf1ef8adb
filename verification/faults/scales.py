"""Section G: rates, signs and scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults.data import at_rate
from verification.faults.order import right
from verification.faults.parameters import adapting
from verification.faults.place import scaled
from verification.faults.question import (
    AnswerFunction,
    Method,
    Misreading,
    OneTask,
    Outcome,
    Question,
    each_task,
    misread,
)
from verification.faults.work import Points, Solved, Work, descend, mean, pull_back, solve
from verification.oracles.updates import InnerUpdate, RatesByStep
from verification.oracles.view import Costs, FlatArray

OUTER_RATE = 0.01
_LOSS_SCALE = 0.4
_DECAY = 0.98
_CLIP = 0.1
_NORM = 0.25


def with_rate(rate: float) -> AnswerFunction:
    """G01: another inner rate, one for every variable and problem; what divides by α still has the right one."""
    return misread(lambda work, _: _with_factor(work, rate / work.view.rate))


def _with_factor(work: Work, factor: Any) -> Work:
    """Return a task at a multiple of its rate, whatever its update makes of a gradient."""
    if work.view.update is None:
        return at_rate(work, factor)
    # An update may give the same direction whatever multiplies the gradient: the rate comes after it.
    factors = (np.asarray(factor, work.theta.dtype),)
    return work.changed(update=InnerUpdate((*work.view.update.parts, RatesByStep(factors=factors))))


def _exchanged(work: Work, _: Question) -> Work:
    known = np.unique(work.view.rate[work.view.inner_mask != 0])
    if known.size != 2:
        return work
    return at_rate(work, np.where(work.view.rate == known[0], known[1], known[0]) / work.view.rate)


#: G10: each variable at the rate of the others, where there are two.
with_rates_exchanged = misread(_exchanged)


def with_scaled_loss(factor: float) -> AnswerFunction:
    """G10, G02: α_eff = cα."""
    return misread(lambda work, _: at_rate(work, factor))


#: G10: α_eff = α², a gradient that has the rate already and gets it again.
with_rate_twice = misread(lambda work, _: _with_factor(work, work.view.rate))


def with_rates_by_step(factors: Callable[[int], Sequence[float]]) -> Misreading:
    """G02, G10: step k at the rate c_k α, with the factors c_0, …, c_{K−1} of K steps."""

    def change(work: Work, _: Question) -> Work:
        steps = work.view.steps
        rates = RatesByStep(factors=tuple(work.theta.dtype.type(factor) for factor in factors(steps)) or (1.0,))
        before = () if work.view.update is None else work.view.update.parts
        return work.changed(update=InnerUpdate((*before, rates)))

    return misread(change)


def in_the_last_step(factor: float) -> Misreading:
    """G02, G10: the last step at another rate, cα."""
    return with_rates_by_step(lambda steps: [1.0] * (steps - 1) + [factor])


def in_the_first_step(factor: float) -> Misreading:
    """G10: the first step at another rate, cα."""
    return with_rates_by_step(lambda steps: [factor] + [1.0] * (steps - 1))


def falling(share: float) -> Misreading:
    """G10: the rate α γᵏ in step k."""
    return with_rates_by_step(lambda steps: [share**k for k in range(steps)])


def with_rates_by_task(factors: Callable[[int], Sequence[float]]) -> Misreading:
    """G10: task t at the rate c_t α, with the factors of T tasks."""

    def change(question: Question) -> Question:
        shares = factors(question.tasks)
        works = [_with_factor(work, share) for work, share in zip(question.works, shares, strict=True)]
        return replace(question, works=works)

    return Misreading(change)


def falling_by_task(share: float) -> Misreading:
    """G10: the rate α γᵗ⁻¹ in task t, as of a scheduler that each task moves on."""
    return with_rates_by_task(lambda tasks: [share**t for t in range(tasks)])


another_rate = with_rate(OUTER_RATE)
over_task_count = with_rates_by_task(lambda tasks: [1 / (t + 1) for t in range(tasks)])
times_task_count = with_rates_by_task(lambda tasks: [t + 1.0 for t in range(tasks)])
over_step_count = with_rates_by_step(lambda steps: [1 / (k + 1) for k in range(steps)])
over_root_of_step_count = with_rates_by_step(lambda steps: [(k + 1) ** -0.5 for k in range(steps)])
last_ascent = in_the_last_step(-1.0)
ascent = with_scaled_loss(-1.0)
scaled_loss = with_scaled_loss(_LOSS_SCALE)
loss_over_steps = misread(lambda work, _: at_rate(work, 1 / max(work.view.steps, 1)))
loss_over_tasks = misread(lambda work, question: at_rate(work, 1 / question.tasks))


def with_decay(keep: float) -> AnswerFunction:
    """G06: φ_{k+1} = γφ_k − α∇S on what adapts."""
    return _shrinking(
        lambda work, _: np.where(work.view.inner_mask != 0, work.theta.dtype.type(keep), work.theta.dtype.type(1))
    )


def with_weight_decay(strength: float) -> AnswerFunction:
    """G06: φ_{k+1} = φ_k − α(∇S + λφ_k), as optimizers have it: γ = 1 − αλ."""
    return _shrinking(lambda work, _: 1 - work.alpha * work.theta.dtype.type(strength))


def with_weight_decay_of_used(strength: float) -> AnswerFunction:
    """G06: the same, as in PyTorch, whose optimizers pass over a variable that has no gradient."""

    def shrink(work: Work, question: Question) -> FlatArray:
        used = np.zeros_like(work.theta)
        for chain in adapting(question):
            used[question.spots()[chain]] = 1
        return 1 - used * work.alpha * work.theta.dtype.type(strength)

    return _shrinking(shrink)


def _shrinking(shrink: Callable[[Work, Question], FlatArray]) -> AnswerFunction:
    def one_task(work: Work, question: Question) -> Solved:
        kept = shrink(work, question)

        def descending(work: Work) -> Points:
            points = [work.theta]
            for _ in range(work.view.steps):
                points.append(kept * points[-1] - work.alpha * work.inner_gradient(points[-1]))
            return points

        def shrinking_pull_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
            for product in reversed(work.inner_products(points)):
                u = kept * u - product(work.alpha * u)
            return u

        return solve(work, question.order, descend=descending, pull_back=shrinking_pull_back)

    return each_task(one_task)


decayed = with_decay(_DECAY)


def with_pull(strength: float, *, held: bool = False) -> AnswerFunction:
    """G06: φ_{k+1} = φ_k − α(∇S + λ(φ_k − θ)); `held`, the θ in it is a constant."""

    def descending(work: Work) -> Points:
        points = [work.theta]
        for _ in range(work.view.steps):
            slope = work.inner_gradient(points[-1]) + strength * (points[-1] - work.theta)
            points.append(points[-1] - work.alpha * slope)
        return points

    def pulling_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
        kept = np.zeros_like(u)
        for product in reversed(work.inner_products(points) if points else []):
            moved = work.alpha * u
            kept = kept + (0.0 if held else strength) * moved
            u = u - product(moved) - strength * moved
        return kept + u

    return each_task(lambda work, question: solve(work, question.order, descend=descending, pull_back=pulling_back))


def of_some_leaves(has: Callable[[Sequence[tuple[str, int]], int], bool], factor: float) -> Misreading:
    """G10: another rate, cα, for the variables that a rule chooses, by (name, axes) of all that adapt and a place."""

    def change(work: Work, question: Question) -> Work:
        known = [(chain, len(question.problem.shape(chain))) for chain in adapting(question)]
        mask = work.view.inner_mask.copy()
        for place, (chain, _) in enumerate(known):
            if has(known, place):
                mask[question.spots()[chain]] *= mask.dtype.type(factor)
        return work.changed(inner_mask=mask)

    return misread(change)


Gradients = dict[str, NDArray[Any] | None]


def _on_gradients(change: Callable[[Gradients], Gradients]) -> AnswerFunction:
    return Method(finish=lambda found, _: replace(found, gradients=change(found.gradients)))


def clipped(leaves: Gradients, limit: float) -> Gradients:
    """Return every entry within ±limit."""
    return {chain: None if leaf is None else np.clip(leaf, -limit, limit) for chain, leaf in leaves.items()}


#: What `torch.nn.utils.clip_grad_norm_` adds to the norm that it divides by.
PYTORCH_CLIP = 1e-6


def norm_clipped(leaves: Gradients, limit: float, added: float = 0.0) -> Gradients:
    """Return g · min(1, limit/(‖g‖ + added)), with the norm over all leaves together."""
    present = [leaf for leaf in leaves.values() if leaf is not None]
    size = float(np.sqrt(sum(float(np.sum(np.square(leaf, dtype=np.float64))) for leaf in present)))
    return _multiplied(leaves, _shortened(size, limit, added))


def _multiplied(leaves: Gradients, factor: float) -> Gradients:
    return {chain: None if leaf is None else leaf * leaf.dtype.type(factor) for chain, leaf in leaves.items()}


def _shortened(size: float, limit: float, added: float) -> float:
    return min(1.0, limit / (size + added)) if size else 1.0


def clip_by_value(limit: float) -> AnswerFunction:
    """G07: every entry of the meta-gradient within ±c."""
    return _on_gradients(lambda leaves: clipped(leaves, limit))


def clip_by_norm(limit: float, added: float = 0.0) -> AnswerFunction:
    """G07: g · min(1, c/‖g‖), or as in PyTorch g · min(1, c/(‖g‖ + 1e-6))."""
    return _on_gradients(lambda leaves: norm_clipped(leaves, limit, added))


def set_norm(limit: float, added: float = 0.0) -> AnswerFunction:
    """G07: g · c/(‖g‖ + ε), whatever the norm is."""

    def change(leaves: Gradients) -> Gradients:
        size = np.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in leaves.values() if leaf is not None))
        return _multiplied(leaves, limit / (size + added) if size else 1.0)

    return _on_gradients(change)


def clip_by_largest(limit: float, added: float = 0.0) -> AnswerFunction:
    """G07: g · min(1, c/max |g|), over all leaves together."""

    def change(leaves: Gradients) -> Gradients:
        present = [leaf for leaf in leaves.values() if leaf is not None and leaf.size]
        size = max((float(np.max(np.abs(leaf))) for leaf in present), default=0.0)
        return _multiplied(leaves, _shortened(size, limit, added))

    return _on_gradients(change)


def clip_leaves_by_norm(limit: float, added: float = 0.0) -> AnswerFunction:
    """G07: the norm of each leaf at most c."""
    return _on_gradients(
        lambda leaves: {chain: norm_clipped({chain: leaf}, limit, added)[chain] for chain, leaf in leaves.items()}
    )


def clip_each_by_value(limit: float) -> AnswerFunction:
    """G07: every entry of each task's gradient within ±c, before the mean over tasks."""
    return _each_gradient(lambda gradient: np.clip(gradient, -limit, limit))


def clip_each_by_norm(limit: float, added: float = 0.0) -> AnswerFunction:
    """G07: the norm of each task's gradient at most c, before the mean over tasks."""

    def change(gradient: FlatArray) -> FlatArray:
        return gradient * gradient.dtype.type(_shortened(float(np.linalg.norm(gradient)), limit, added))

    return _each_gradient(change)


def _each_gradient(change: Callable[[FlatArray], FlatArray]) -> AnswerFunction:
    return _on_each(lambda _, found: change(found.gradient))


def _on_each(change: Callable[[Work, Solved], FlatArray]) -> AnswerFunction:
    """Make an answer with another gradient of each task, of what is known of it when its inner loop is done."""

    def around(solved: OneTask) -> OneTask:
        def one_task(work: Work, question: Question) -> Solved:
            found = solved(work, question)
            return replace(found, gradient=change(work, found))

        return one_task

    return Method(around=around)


clipped_by_value = clip_by_value(_CLIP)
clipped_by_norm = clip_by_norm(_NORM)


def _hessian_shifted(work: Work, points: Points, u: FlatArray) -> FlatArray:
    """H_k taken at φ_{k+1}: the fast weights have moved on before the product is evaluated."""
    return pull_back(work, [phi - work.alpha * work.inner_gradient(phi) for phi in points], u)


def _hessian_at_end(work: Work, points: Points, u: FlatArray) -> FlatArray:
    last = [phi - work.alpha * work.inner_gradient(phi) for phi in points[-1:]]
    return pull_back(work, last * len(points), u)


def _hessian_at_start(work: Work, points: Points, u: FlatArray) -> FlatArray:
    return pull_back(work, [work.theta] * len(points), u)


hessian_at_end = each_task(lambda work, question: solve(work, question.order, pull_back=_hessian_at_end))
hessian_at_start = each_task(lambda work, question: solve(work, question.order, pull_back=_hessian_at_start))
hessian_shifted = each_task(lambda work, question: solve(work, question.order, pull_back=_hessian_shifted))


def _hessian_of(costs: Callable[[Work], Costs]) -> AnswerFunction:
    """G09: the Hessians of other costs along the right inner loop."""

    def through(work: Work, points: Points, u: FlatArray) -> FlatArray:
        return pull_back(work.changed(inner_costs=costs(work)), points, u)

    return each_task(lambda work, question: solve(work, question.order, pull_back=through))


hessian_of_query = _hessian_of(lambda work: work.view.inner_costs_on_query)
hessian_of_outer_cost = _hessian_of(lambda work: work.view.outer_costs)


def half_precision(question: Question) -> Outcome:
    """G11: everything in float16."""
    # Costs beyond 65,504 are infinite there, and the ε of an inner optimizer is 0.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return right(question.posed_in(np.float16))


def single_precision(question: Question) -> Outcome:
    """G11: everything in float32, whatever the variables are."""
    return right(question.posed_in(np.float32))


def _end_in(dtype: Any) -> AnswerFunction:
    """G11: the outer gradient at φ_K rounded to a lower precision, where averaged at every φ_k; the loop is right."""

    def descending(work: Work) -> Points:
        points = descend(work)
        with np.errstate(over="ignore"):
            return [*points[:-1], points[-1].astype(dtype).astype(points[-1].dtype)]

    def one_task(work: Work, question: Question) -> Solved:
        if question.order == "reptile" or not work.view.average:
            return solve(work, question.order, descend=descending)
        parts = [one_task(work.changed(steps=k, average=False), question) for k in range(work.view.steps + 1)]
        return Solved(mean([part.cost for part in parts]), mean([part.gradient for part in parts]), parts[-1].adapted)

    return each_task(one_task)


#: G11: what a formula gives, while the errors of all other lower precisions are known by their size alone.
ENDS_IN_LOWER_PRECISION: dict[str, AnswerFunction] = {
    "φ_K alone, in single precision": _end_in(np.float32),
    "φ_K alone, in half precision": _end_in(np.float16),
}


def displaced(answer: AnswerFunction) -> AnswerFunction:
    """Return an answer times α, for each variable its own: Reptile's θ − φ_K."""
    return lambda question: by_rates(answer(question), question)


def by_rates(found: Outcome, question: Question) -> Outcome:
    """Return an outcome with each gradient times its variable's α."""
    rates = question.problem.split(question.works[0].view.rate)

    def rate_of(chain: str, leaf: NDArray[Any]) -> Any:
        rate = rates[chain]
        if leaf.shape[max(leaf.ndim - rate.ndim, 0) :] == rate.shape:
            return rate
        return rate.flat[0] if rate.size else 1  # a fault has changed the shape: one entry of α stands for all

    gradients = {
        chain: None if leaf is None else leaf * rate_of(chain, leaf) for chain, leaf in found.gradients.items()
    }
    return replace(found, gradients=gradients)


def _mean_of_gradients(work: Work, question: Question) -> Solved:
    gradient = mean([work.inner_gradient(phi) for phi in descend(work)]) / work.view.rate
    return replace(solve(work, question.order), gradient=gradient)


reptile_undivided = _on_each(lambda work, found: work.theta - found.adapted)
reptile_over_steps = Method(finish=lambda found, question: scaled(found, 1 / max(question.problem.inner_grad_steps, 1)))
reptile_of_gradients = each_task(_mean_of_gradients)
reptile_is_fomaml = _on_each(lambda work, found: work.inner_gradient(found.adapted))
