"""Where a wrong gradient was taken: a first, coarse look at a failing answer.

The outer gradient of first-order MAML is ∇Q at φ_K. A wrong one is compared with ∇Q at the other iterates and with the
gradient of the other order, over all failing problems at once; what explains them all is said in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verification.answers import Arrays, assemble
from verification.oracles import TaskView
from verification.oracles.view import Order
from verification.problem import Problem
from verification.propagation import solve

_CLOSE = 1e-5  # of two gradients that agree: propagation is good to 1e-9, float32 to 1e-6


@dataclass(frozen=True)
class Place:
    """A wrong gradient: `applies` tells for which orders and step counts it differs from the right one."""

    sentence: str
    applies: Callable[[Problem], bool]
    view: Callable[[TaskView], TaskView]
    order: Callable[[Order], Order]


def _same(order: Order) -> Order:
    return order


PLACES = (
    Place(
        "the outer gradient is taken at φ_0, the variables before adaptation, and not at φ_K",
        lambda problem: problem.inner_grad_steps > 0 and problem.order in (1, 2),
        lambda view: replace(view, steps=0),
        _same,
    ),
    Place(
        "the outer gradient is taken one inner step too early, at φ_{K−1} and not at φ_K",
        lambda problem: problem.inner_grad_steps > 1 and problem.order in (1, 2),
        lambda view: replace(view, steps=view.steps - 1),
        _same,
    ),
    Place(
        "the outer gradient is taken one inner step too late, at φ_{K+1} and not at φ_K",
        lambda problem: problem.order in (1, 2),
        lambda view: replace(view, steps=view.steps + 1),
        _same,
    ),
    Place(
        "the outer gradient is the first-order one, without the inner loop's Jacobians",
        lambda problem: problem.inner_grad_steps > 0 and problem.order == 2,
        lambda view: view,
        lambda _: 1,
    ),
    Place(
        "the outer gradient is the second-order one, with the inner loop's Jacobians",
        lambda problem: problem.inner_grad_steps > 0 and problem.order == 1,
        lambda view: view,
        lambda _: 2,
    ),
)


def wrong_gradients(problem: Problem, place: Place) -> Arrays:
    """Return the gradients that a subject with this mistake would return."""
    order: Any = problem.order
    return assemble(problem, [solve(place.view(v), place.order(order)) for v in problem.views(np)]).gradients


def explain(failures: list[tuple[Problem, Arrays]]) -> list[str]:
    """Return a sentence for each place that explains every failing problem; there is at most one on most suites."""
    found = []
    for place in PLACES:
        matched = [_explains(place, problem, gradients) for problem, gradients in failures]
        if matched and all(matched):
            count = len(matched)
            found.append(f"On {count} of {count} failing problems {place.sentence}.")
    return found


def _explains(place: Place, problem: Problem, gradients: Arrays) -> bool:
    if not place.applies(problem) or not gradients:
        return False
    wrong = wrong_gradients(problem, place)
    return set(wrong) == set(gradients) and all(
        np.linalg.norm(gradients[chain] - leaf) <= _CLOSE * np.linalg.norm(leaf) for chain, leaf in wrong.items()
    )
