"""What makes a problem awkward, checked: a problem on which a wrong step looks right is no problem.

Every check is a sentence with a number. They use gradients by differences, so that no
implementation has a part in choosing what it is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.oracles import TaskView
from verification.oracles.finite_differences import complex_step_gradients
from verification.oracles.propagation import solve
from verification.problems.problem import Problem
from verification.problems.trees import leaves

_APART = 1e-3  # relative distance below which two answers count as alike
_KINK = 0.02  # how near a hidden unit may come to the kink of relu: differences need room to either side


def assert_awkward(problem: Problem) -> None:
    """Raise an AssertionError, with the reason, unless the problem shows what it is there to show."""
    views = problem.views(np)
    for chain, leaf in leaves(problem.variables).items():
        _require(problem, bool(np.all(np.abs(leaf) > 0.05)), f"the variable {chain} has entries at or near zero")
    _require(problem, _unequal(views), "two of its tasks have nearly the same gradient")
    _require(problem, _sizes_differ(problem), "support and query set have the same number of examples")
    _require(problem, _clear_of_kinks(problem, views), "a hidden unit comes near the kink of relu")
    if problem.order == "reptile" or not problem.inner_grad_steps:
        return
    adapted, start = _gradient(views), _gradient([_with_steps(view, 0) for view in views])
    fewer = _gradient([_with_steps(view, view.steps - 1) for view in views])
    _require(problem, _apart(adapted, start), "its gradients before and after adaptation are alike")
    _require(problem, _apart(adapted, fewer), "its gradients at the last two inner iterates are alike")
    _require(problem, _apart(adapted, _gradient(views, 2)), "its first- and second-order gradients are alike")


def _require(problem: Problem, holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(f"The problem {problem.name} is not awkward enough: {sentence}. Choose another seed.")


def _gradient(views: list[TaskView], order: Any = 1) -> NDArray[Any]:
    mean: NDArray[Any] = np.mean([solve(view, order).gradient for view in views], axis=0)
    return mean


def _with_steps(view: TaskView, steps: int) -> TaskView:
    return replace(view, steps=steps, average=False)


def _apart(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(np.linalg.norm(one - other) > _APART * np.linalg.norm(one))


def _unequal(views: list[TaskView]) -> bool:
    full = [replace(view, outer_mask=np.ones_like(view.outer_mask)) for view in views]
    gradients = [solve(view, 1).gradient for view in full]
    return all(_apart(a, b) for i, a in enumerate(gradients) for b in gradients[:i])


def _sizes_differ(problem: Problem) -> bool:
    if problem.family.name.startswith("quadratic"):
        return True  # its data are matrices, not examples
    support, query = problem.batch["support"], problem.batch["query"]
    return bool(support["x"].shape[1] != query["x"].shape[1])


def _clear_of_kinks(problem: Problem, views: list[TaskView]) -> bool:
    return all(np.all(problem.kink_distances(t, _iterates(view)) > _KINK) for t, view in enumerate(views))


def _iterates(view: TaskView) -> NDArray[Any]:
    """Return φ_0, …, φ_K as rows."""
    points = [view.theta]
    for _ in range(view.steps):
        gradient = complex_step_gradients(view.inner_costs, points[-1][None])[0]
        points.append(points[-1] - view.step_size * gradient)
    return np.stack(points)
