"""Section A: the order of the gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from verification.faults.question import Misreading, Outcome, Question, each_task
from verification.faults.work import Points, Solved, Work, pull_back, solve
from verification.oracles.view import Vector

first_for_second = Misreading(lambda asked: replace(asked, order=1))
second_for_first = Misreading(lambda asked: replace(asked, order=2))


def written_back(asked: Question) -> Outcome:
    """A02: fast weights are the parameters themselves; they keep the last task's values."""
    found = first_for_second(asked)
    return replace(found, overwritten=found.adapted[-1])


def _nothing(found: Outcome, where: list[str]) -> Outcome:
    gradients: dict[str, NDArray[np.float64] | None] = dict(found.gradients)
    gradients.update(dict.fromkeys([chain for chain in where if chain in gradients]))
    return replace(found, gradients=gradients)


def right(asked: Question) -> Outcome:
    """Return the right answer, which a fault then spoils."""
    return each_task(lambda work, question: solve(work, question.order))(asked)


def detached_copy(asked: Question) -> Outcome:
    """A03, A06: nothing connects the outer loss with θ."""
    found = right(asked)
    return _nothing(found, list(found.gradients))


def detached_parameters(asked: Question) -> Outcome:
    """A05: φ_{k+1} = detach(φ_k) − α∇S: what adapts is cut off at the first step, the rest is not."""
    adapting = np.any([work.view.inner_mask for work in asked.works], axis=0)
    cut = [chain for chain, spots in asked.spots().items() if np.any(adapting[spots])]
    return _nothing(right(asked), cut if asked.problem.inner_grad_steps else [])


def detached_in_the_loop(asked: Question) -> Outcome:
    """A03: nothing connects the outer loss with θ after an inner step."""
    return detached_copy(asked) if asked.problem.inner_grad_steps else right(asked)


def _last_jacobian(work: Work, points: Points, u: Vector) -> Vector:
    return pull_back(work, points[-1:], u)


def _last_step(work: Work, asked: Question) -> Solved:
    return solve(work, asked.order, pull_back=_last_jacobian)


last_step_only = each_task(_last_step)


def lost_beyond_first_step(asked: Question) -> Outcome:
    """B08: two steps or more leave nothing that connects the outer loss with θ."""
    return detached_copy(asked) if asked.problem.inner_grad_steps >= 2 else right(asked)


def no_such_gradient(asked: Question, chains: list[str]) -> Outcome:
    """Return the right answer with None for some leaves."""
    return _nothing(right(asked), chains)
