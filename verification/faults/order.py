"""Section A: the order of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from verification.faults.question import AnswerFunction, Method, Misreading, OneTask, Outcome, Question, each_task
from verification.faults.work import Points, Solved, Work, pull_back, solve
from verification.oracles.view import FlatArray
from verification.orders import Order

first_for_second = Misreading(lambda question: replace(question, order=1))
second_for_first = Misreading(lambda question: replace(question, order=2))


def _in_some_tasks(other: Order, has: Callable[[int, int], bool]) -> Method:
    """A01, A04: another order in those of T tasks that a rule chooses by their places."""

    def between(one_task: OneTask, question: Question) -> list[Solved]:
        changed = replace(question, order=other)
        return [
            one_task(work, changed if has(place, question.tasks) else question)
            for place, work in enumerate(question.works)
        ]

    return Method(between=between)


first_but_for_the_first_task = _in_some_tasks(1, lambda place, _: place > 0)
first_but_for_the_last_task = _in_some_tasks(1, lambda place, tasks: place < tasks - 1)
second_in_the_first_task = _in_some_tasks(2, lambda place, _: place == 0)
second_in_the_last_task = _in_some_tasks(2, lambda place, tasks: place == tasks - 1)


def written_back(question: Question) -> Outcome:
    """A02: fast weights are the parameters themselves; they keep the last task's values."""
    found = first_for_second(question)
    return replace(found, overwritten=found.adapted[-1])


def without(found: Outcome, where: Collection[str]) -> Outcome:
    """Return an outcome with None for the gradients of some variables."""
    gradients: dict[str, NDArray[np.float64] | None] = dict(found.gradients)
    gradients.update(dict.fromkeys([chain for chain in where if chain in gradients]))
    return replace(found, gradients=gradients)


#: The right answer, which a fault then spoils.
right = Method()


def detached_copy(question: Question) -> Outcome:
    """A03, A06: nothing connects the outer loss with θ."""
    found = right(question)
    return without(found, list(found.gradients))


def detached_parameters(question: Question) -> Outcome:
    """A05: φ_{k+1} = detach(φ_k) − α∇S: what adapts is cut off at the first step, the rest is not."""
    adapting = np.any([work.view.inner_mask for work in question.works], axis=0)
    cut = [chain for chain, spots in question.spots().items() if np.any(adapting[spots])]
    return without(right(question), cut if question.problem.inner_grad_steps else [])


def detached_in_the_loop(question: Question) -> Outcome:
    """A03: nothing connects the outer loss with θ after an inner step."""
    return detached_copy(question) if question.problem.inner_grad_steps else right(question)


def with_pull_back(through: Callable[[Work, Points, FlatArray], FlatArray]) -> AnswerFunction:
    """Make an answer of another Jacobian of the right inner loop."""
    return each_task(lambda work, question: solve(work, question.order, pull_back=through))


def last_steps_only(window: int) -> AnswerFunction:
    """A08: the Jacobians of the last steps alone, as many as `window`."""
    return with_pull_back(lambda work, points, u: pull_back(work, points, u, since=max(len(points) - window, 0)))


last_step_only, last_two_steps_only = last_steps_only(1), last_steps_only(2)


def by_differences(step: float, *, relative: bool, one_sided: bool = False) -> AnswerFunction:
    """A10: H u ≈ (∇S(φ + εu) − ∇S(φ − εu)) / 2ε, or (∇S(φ + εu) − ∇S(φ)) / ε; `relative` takes ε over ‖u‖."""

    def product(work: Work, phi: FlatArray, u: FlatArray) -> FlatArray:
        size = float(np.linalg.norm(u)) if relative else 1.0
        epsilon = u.dtype.type(step / size if size else step)
        ahead = work.inner_gradient(phi + epsilon * u)
        behind = work.inner_gradient(phi if one_sided else phi - epsilon * u)
        found: FlatArray = (ahead - behind) / (epsilon if one_sided else 2 * epsilon)
        return found

    def through(work: Work, points: Points, u: FlatArray) -> FlatArray:
        if work.view.update is not None:
            curved = replace(work, curve=lambda _, at: [partial(product, work, phi) for phi in at], memory={})
            return pull_back(curved, points, u)
        for phi in reversed(points):
            # (I − H D) u: what does not adapt has a part in the product, and none in its direction.
            rate = np.max(work.alpha, initial=0)
            u = u - rate * product(work, phi, u * (work.alpha / rate if rate else 0))
        return u

    return with_pull_back(through)


#: The steps of DARTS (Liu et al., 2019, section 2.3) and of code for Per-FedAvg (Fallah et al., 2020, HF).
by_relative_differences = by_differences(0.01, relative=True)
by_fixed_differences = by_differences(1e-3, relative=False)


def lost_beyond_first_step(question: Question) -> Outcome:
    """B08: two steps or more leave nothing that connects the outer loss with θ."""
    return detached_copy(question) if question.problem.inner_grad_steps >= 2 else right(question)
