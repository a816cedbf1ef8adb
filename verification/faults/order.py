"""Section A: the order of the gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from verification.faults.question import Misreading, Outcome, Question, each_task
from verification.faults.work import Points, Solved, Work, pull_back, solve
from verification.oracles.view import FlatArray

first_for_second = Misreading(lambda question: replace(question, order=1))
second_for_first = Misreading(lambda question: replace(question, order=2))


def written_back(question: Question) -> Outcome:
    """A02: fast weights are the parameters themselves; they keep the last task's values."""
    found = first_for_second(question)
    return replace(found, overwritten=found.adapted[-1])


def _nothing(found: Outcome, where: list[str]) -> Outcome:
    gradients: dict[str, NDArray[np.float64] | None] = dict(found.gradients)
    gradients.update(dict.fromkeys([chain for chain in where if chain in gradients]))
    return replace(found, gradients=gradients)


def right(question: Question) -> Outcome:
    """Return the right answer, which a fault then spoils."""
    return each_task(lambda work, question: solve(work, question.order))(question)


def detached_copy(question: Question) -> Outcome:
    """A03, A06: nothing connects the outer loss with θ."""
    found = right(question)
    return _nothing(found, list(found.gradients))


def detached_parameters(question: Question) -> Outcome:
    """A05: φ_{k+1} = detach(φ_k) − α∇S: what adapts is cut off at the first step, the rest is not."""
    adapting = np.any([work.view.inner_mask for work in question.works], axis=0)
    cut = [chain for chain, spots in question.spots().items() if np.any(adapting[spots])]
    return _nothing(right(question), cut if question.problem.inner_grad_steps else [])


def detached_in_the_loop(question: Question) -> Outcome:
    """A03: nothing connects the outer loss with θ after an inner step."""
    return detached_copy(question) if question.problem.inner_grad_steps else right(question)


def _last_jacobian(work: Work, points: Points, u: FlatArray) -> FlatArray:
    return pull_back(work, points[-1:], u)


def _last_step(work: Work, question: Question) -> Solved:
    return solve(work, question.order, pull_back=_last_jacobian)


last_step_only = each_task(_last_step)


def lost_beyond_first_step(question: Question) -> Outcome:
    """B08: two steps or more leave nothing that connects the outer loss with θ."""
    return detached_copy(question) if question.problem.inner_grad_steps >= 2 else right(question)


def no_such_gradient(question: Question, chains: list[str]) -> Outcome:
    """Return the right answer with None for some leaves."""
    return _nothing(right(question), chains)
