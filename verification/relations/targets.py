"""Taylor tests of a step: whether its gradients are those of the function that it claims to differentiate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verification.frameworks import framework as framework_named
from verification.problems.problem import Problem
from verification.relations.answer import Array, Arrays
from verification.relations.case import Case, NotTested, StepError, case_of, make_case, per_task
from verification.relations.costs import three_parameters
from verification.relations.points import outer_cost, separately
from verification.relations.taylor import TaylorResult, taylor_test

Function = Callable[[Array], float]
TARGETS = ("surrogate", "meta-objective")


def check_taylor(
    step: Callable[..., Any],
    batch: Any,
    inner_cost: Callable[..., Any],
    outer_cost: Callable[..., Any] | None,
    variables: Any,
    inner_grad_steps: int,
    inner_learning_rate: Any,
    *,
    target: str,
    framework: str = "autograd",
    **options: Any,
) -> TaylorResult:
    """Test the gradients of a step against a declared function, on a user's own costs and sizes.

    Args:
        step: an implementation with the interface of `refmaml.fomaml_step`, called with what follows.
        batch: container of arrays with a leading task axis.
        inner_cost: S, as the step takes it.
        outer_cost: Q, or None for the inner cost function.
        variables: θ, a container of float arrays.
        inner_grad_steps: K.
        inner_learning_rate: α.
        target: "surrogate", θ ↦ mean_t Q_t(θ + (φ_K − θ)) with the displacement held fixed, of which a first-order
            gradient is the gradient; or "meta-objective", θ ↦ mean_t Q_t(φ_K(θ)), of which a second-order one is.
        framework: the arrays that the step works on.
        options: keywords that the step is called with.

    Returns:
        The result, with its verdict, a sentence, and the order of the remainder along each direction.

    Raises:
        ValueError: the target is neither of the two.
        NotTested: the step or the costs cannot be asked this; the message says why.
        StepError: the step raised.
    """
    case = make_case(
        step, framework_named(framework), batch, inner_cost, outer_cost, variables, inner_grad_steps,
        inner_learning_rate, **options,
    )  # fmt: skip
    return taylor_of_case(case, target)


def taylor_of_problem(step: Callable[..., Any], problem: Problem, target: str) -> TaylorResult:
    """Test a step's gradients on one of the built-in problems."""
    return taylor_of_case(case_of(step, problem), target)


def taylor_of_case(case: Case, target: str) -> TaylorResult:
    """Test the gradients of a case against a target."""
    if target not in TARGETS:
        raise ValueError(f"target: expected one of {', '.join(TARGETS)}, but got {target!r}.")
    case.forbid("average_across_steps")
    if per_task(case.options.get("outer_v")):
        raise NotTested("each task has its own outer variables")
    point = _flat({c: _single(case, leaf) for c, leaf in case.theta.items() if c in case.answer.gradients})
    function = _surrogate(case, point) if target == "surrogate" else _meta_objective(case, point)
    gradient = _flat({c: case.answer.gradients[c] for c in case.theta if c in case.answer.gradients})
    return taylor_test(function, gradient, point, target=target, unit_roundoff=case.unit_roundoff)


def _single(case: Case, leaf: Array) -> Array:
    return leaf[0] if case.batched else leaf


def _flat(arrays: Arrays) -> Array:
    return np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in arrays.values()])


def _shift(case: Case, vector: Array) -> Arrays:
    """Cut a vector over the outer variables into leaves, zero for the others."""
    leaves, start = {}, 0
    for chain, leaf in case.theta.items():
        size = _single(case, leaf).size if chain in case.answer.gradients else 0
        part = vector[start : start + size] if size else np.zeros(_single(case, leaf).size)
        leaves[chain] = part.reshape(_single(case, leaf).shape)
        start += size
    return leaves


def _meta_objective(case: Case, point: Array) -> Function:
    return lambda at: case.moved(_shift(case, at - point), 1.0).answer.cost


def _surrogate(case: Case, point: Array) -> Function:
    """Return θ ↦ mean_t Q_t(θ + (φ_K − θ_0)), from the cost function and the adapted variables alone."""
    case.require("return_inner_v")
    if three_parameters(case.query_cost):
        raise NotTested("a cost of three parameters takes what the step selects, and cannot be called from outside")
    tasks = separately(case)
    adapted = [task.answer.adapted for task in tasks]

    def function(at: Array) -> float:
        shift = _shift(case, at - point)
        return float(np.mean([_moved_cost(task, phi, shift) for task, phi in zip(tasks, adapted, strict=True)]))

    return function


def _moved_cost(case: Case, phi: Arrays | None, shift: Arrays) -> float:
    if phi is None:
        raise StepError("expected the adapted variables as a third result with return_inner_v=True, but got two")
    return outer_cost(case.starting_at({chain: leaf + shift[chain] for chain, leaf in phi.items()}))
