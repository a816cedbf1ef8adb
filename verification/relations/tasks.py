"""Relations over tasks: the answer is a mean over tasks that do not know of each other.

Finn, Abbeel and Levine (2017), algorithm 1, lines 4 to 8: each task adapts from the same θ, and the outer loop adds up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verification.judging.tolerances import FACTOR
from verification.relations.answer import StepAnswer, mean, scaled
from verification.relations.bounds import compare, sensitivity
from verification.relations.case import Case, NotTested, per_task
from verification.relations.points import outer_cost
from verification.relations.result import Result


def permutation(case: Case) -> Result:
    """Tasks in another order: the same means, and the adapted variables in the other order.

    It breaks where a task starts from what another left behind, and where one task counts more than the others.
    """
    _require_tasks(case)
    order = np.roll(np.arange(case.tasks), 1)
    rolled = case.with_rows(order).answer
    back = None if rolled.adapted is None else {c: leaf[np.argsort(order)] for c, leaf in rolled.adapted.items()}
    got = StepAnswer(rolled.cost, rolled.gradients, back)
    wrong = _gradients_of(case.task(case.tasks - 1).answer)
    equation = "tasks in another order"
    return compare("permutation", case, got, case.answer, wrong, equation, moves=sensitivity(case))


def _require_tasks(case: Case) -> None:
    if case.tasks < 2:
        raise NotTested("the batch has one task")


def _gradients_of(answer: StepAnswer) -> StepAnswer:
    return StepAnswer(answer.cost, answer.gradients)


def duplication(case: Case) -> Result:
    """Every task twice: the same means, and the adapted variables twice.

    It breaks on sums for means, on a second division by T, and on one task taken for all.
    """
    twice = case.with_rows(np.tile(np.arange(case.tasks), 2)).answer
    adapted = case.answer.adapted
    rows = None if adapted is None else {c: np.concatenate([leaf, leaf]) for c, leaf in adapted.items()}
    expected = StepAnswer(case.answer.cost, case.answer.gradients, rows)
    wrong = _gradients_of(scaled(expected, 2.0))
    return compare("duplication", case, twice, expected, wrong, "every task twice", moves=sensitivity(case))


def linearity(case: Case) -> Result:
    """Each task alone: step(all tasks) = mean_t step(task t), and the adapted variables one after the other.

    It breaks on everything that lets one task touch another's result, and on a scale that depends on T.
    """
    _require_tasks(case)
    alone = [case.task(t).answer for t in range(case.tasks)]
    equation = "all tasks, compared with the mean of single tasks"
    wrong = _gradients_of(alone[0])
    return compare("linearity", case, case.answer, mean(alone), wrong, equation, moves=sensitivity(case))


def first_tasks(case: Case) -> Result:
    """`num_tasks` = n: the answer for the first n tasks.

    It breaks where the option is ignored, or counts from the other end.
    """
    _require_tasks(case)
    case.require("num_tasks")
    count = case.tasks - 1
    few = case.with_rows(np.arange(count))
    got = case.with_options(num_tasks=count, **_all_selections(case)).answer
    equation = f"num_tasks = {count} against a batch of {count}"
    wrong = _gradients_of(case.answer)
    return compare("first_tasks", case, got, few.answer, wrong, equation, moves=sensitivity(few))


def _all_selections(case: Case) -> dict[str, Any]:
    return {name: case.options[name] for name in ("inner_v", "outer_v") if name in case.options}


def batched_against_loop(case: Case) -> Result:
    """All tasks in one batch and one after the other: step(batched) = mean_t step(task t, not batched).

    The costs have to work both ways: that their value on T rows of variables is the mean of their values on each task
    is checked first, on the cost functions themselves. It breaks where a mean over tasks shortens the inner steps.
    """
    case.require("batched")
    case.forbid("inner_optimization_step")
    if any(per_task(case.options.get(name)) for name in ("inner_v", "outer_v")):
        raise NotTested("selections for each task have no batched form")
    together = case if case.batched else _tiled(case)
    alone = [_loop(case, t) for t in range(case.tasks)]
    _require_means(case, together, alone)
    expected = mean([single.answer for single in alone])
    equation = "all tasks in one batch against one after the other"
    shorter = together.but(rate=together.scaled_rate(1 / case.tasks)) if case.tasks > 1 else None
    wrong = _gradients_of(shorter.answer) if shorter and case.steps else None
    return compare("batched_against_loop", case, together.answer, expected, wrong, equation, moves=sensitivity(case))


def _tiled(case: Case) -> Case:
    rows = {chain: np.repeat(leaf[None], case.tasks, axis=0) for chain, leaf in case.theta.items()}
    return case.but(batched=True, variables=case.nested(rows))


def _loop(case: Case, t: int) -> Case:
    alone = case.task(t)
    if not case.batched:
        return alone
    return alone.but(batched=False, variables=alone.nested({c: leaf[0] for c, leaf in alone.theta.items()}))


def _require_means(case: Case, together: Case, alone: list[Case]) -> None:
    """Raise `NotTested` unless both costs on all rows are the mean of the costs on each, at rows that differ."""
    shift = 1 + 0.01 * np.arange(case.tasks)
    spread = together.but(
        variables=together.nested({c: (leaf.T * shift.astype(leaf.dtype)).T for c, leaf in together.theta.items()})
    )
    single = [
        one.but(variables=one.nested({c: leaf * shift[t].astype(leaf.dtype) for c, leaf in one.theta.items()}))
        for t, one in enumerate(alone)
    ]
    for name in ("inner", "outer"):
        try:
            whole = outer_cost(_as_outer(spread, name))
            parts = float(np.mean([outer_cost(_as_outer(one, name)) for one in single]))
        except Exception as error:
            raise NotTested(f"the {name} cost does not work with and without a leading task axis ({error})") from error
        if not abs(whole - parts) <= 16 * FACTOR * case.unit_roundoff * max(abs(whole), abs(parts)):
            raise NotTested(f"the {name} cost on variables with a leading task axis is not the mean over tasks")


def _as_outer(case: Case, name: str) -> Case:
    if name == "outer":
        return case
    options = {**case.options, "outer_batch_fn": case.options.get("inner_batch_fn")}
    return case.but(outer_cost=case.inner_cost, options=options)
