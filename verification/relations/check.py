"""Asking every relation of one step on one set of data, variables and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from verification.frameworks import framework as framework_named
from verification.problems.problem import Problem
from verification.relations import calls, curvature, points, tasks
from verification.relations.case import Case, NotTested, StepError, case_of, make_case
from verification.relations.result import RelationsReport, Result

Relation = Callable[[Case], Result]

#: Every relation by name, in the order of the tests: the simplest questions first.
RELATIONS: dict[str, Relation] = {
    relation.__name__: relation
    for relation in (
        calls.purity,
        calls.second_call,
        points.no_steps,
        points.no_steps_gradient,
        points.zero_rate,
        points.linear_inner_cost,
        points.composition,
        calls.cost_scale,
        calls.batch_functions,
        calls.keep_complement,
        tasks.permutation,
        tasks.duplication,
        tasks.linearity,
        tasks.first_tasks,
        tasks.batched_against_loop,
        curvature.hessian_blindness,
        curvature.one_step_gap,
        curvature.all_steps_gap,
        curvature.gap_order,
    )
}


def check_relations(
    step: Callable[..., Any],
    batch: Any,
    inner_cost: Callable[..., Any],
    outer_cost: Callable[..., Any] | None,
    variables: Any,
    inner_grad_steps: int,
    inner_learning_rate: Any,
    *,
    framework: str = "autograd",
    order: int = 1,
    relations: Iterable[str] | None = None,
    **options: Any,
) -> RelationsReport:
    """Check what must hold without an expected value, on a user's own data, costs and sizes.

    Args:
        step: an implementation with the interface of `refmaml.fomaml_step`, called with what follows.
        batch: container of arrays with a leading task axis.
        inner_cost: S, as the step takes it.
        outer_cost: Q, or None for the inner cost function.
        variables: θ, a container of float arrays; with a leading task axis in batched mode.
        inner_grad_steps: K.
        inner_learning_rate: α, a number or a container.
        framework: the arrays that the step works on: "autograd", "numpy", "torch", "jax" or "tensorflow".
        order: what the step claims to be: 1 (first-order MAML) or 2 (second-order MAML).
        relations: names of those to ask, by default all of `RELATIONS`.
        options: keywords that the step is called with, `batched` among them: its default is the step's own.

    Returns:
        A report: ``report.verdict`` is "pass", "fail" or "inconclusive", ``report.results`` has a result for each
        relation that was tested, and ``report.not_tested`` the reason for each that was not.

    Raises:
        ValueError: `order` or a name in `relations` is not one of its values, or a leading task axis is missing or of
            another length than the batch's; in batched mode, the default of `refmaml`'s steps, variables have one too.
    """
    if order not in (1, 2):
        raise ValueError(f"order: expected 1 or 2, but got {order!r}.")
    case = make_case(
        step, framework_named(framework), batch, inner_cost, outer_cost, variables, inner_grad_steps,
        inner_learning_rate, order=order, **options,
    )  # fmt: skip
    return check_case(case, relations)


def check_problem(
    step: Callable[..., Any], problem: Problem, relations: Iterable[str] | None = None, *, until_broken: bool = False
) -> RelationsReport:
    """Check a step's relations on one of the built-in problems, of order 1 or 2."""
    return check_case(case_of(step, problem), relations, until_broken=until_broken)


def check_case(case: Case, relations: Iterable[str] | None = None, *, until_broken: bool = False) -> RelationsReport:
    """Check relations of a case, or no more than up to the first that is broken.

    A step that raises or returns what cannot be read breaks the relation that called it.
    """
    results: list[Result] = []
    not_tested: dict[str, str] = {}
    for name in _known(RELATIONS if relations is None else relations):
        found = _result(name, case)
        if isinstance(found, Result):
            results.append(found)
            if until_broken and found.verdict == "fail":
                break
        else:
            not_tested[name] = found
    return RelationsReport(results, not_tested)


def _result(name: str, case: Case) -> Result | str:
    """Return the result of one relation, or the reason why it has none."""
    try:
        return RELATIONS[name](case)
    except NotTested as reason:
        return str(reason)
    except StepError as error:
        return Result(name, "fail", np.inf, 0.0, f"{error}.")


def _known(names: Iterable[str]) -> list[str]:
    listed = list(names)
    unknown = [name for name in listed if name not in RELATIONS]
    if unknown:
        raise ValueError(f"relations: expected names among {', '.join(RELATIONS)}, but got {', '.join(unknown)}.")
    return listed
