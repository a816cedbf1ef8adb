"""Variables and gradients paired by their places: in the update or in the answer, with other mistakes beside."""

from __future__ import annotations

import pytest
from autograd import grad
from shared import verify

#: A problem whose costs ignore a variable between others of its shape, one of unequal shapes, and other numbers.
PROBLEMS = ("unused-between", "logistic-regression", "one-step", "one-task")
#: The variables that an inner cost ignores.
UNUSED = ("outer_only", "outer_gain")


def subject(problem, *, by_name=False, keys_by_name=False, drops=False, query=False, total=False, rate=1.0):
    """Answer first-order MAML with lists: `drops` leaves out zeros of the update, `by_name` sorts it by names.

    `keys_by_name` gives the gradients in the order of the names to variables as they stand.
    """
    names = list(problem.variables)
    update = sorted(names) if by_name else names

    def slopes(cost, batch, v):
        return grad(lambda v: cost(batch, v))(v)

    losses, gradients = [], []
    for support, batch in problem.tasks():
        fast = dict(problem.variables)
        for _ in range(problem.inner_grad_steps):
            found = slopes(problem.inner_cost, batch if query else support, fast)
            order = [name for name in update if not (drops and name in UNUSED)]
            pairs = zip(update, [found[name] for name in order])  # noqa: B905
            fast = fast | {name: fast[name] - rate * problem.inner_learning_rate * g for name, g in pairs}
        losses.append(problem.outer_cost(batch, fast))
        gradients.append(slopes(problem.outer_cost, batch, fast))
    count = 1 if total else len(losses)
    mean = {name: sum(g[name] for g in gradients) / count for name in names}
    if keys_by_name:
        mean = dict(zip(names, [mean[name] for name in sorted(names)], strict=True))
    return sum(losses) / count, mean


def judged(problems=PROBLEMS, **options):
    report = verify(
        lambda problem: subject(problem, **options),
        framework="autograd", kind="problem", problems=problems, dtypes=("float64",),
    )  # fmt: skip
    assert report.verdict == "fail"
    return report.diagnosis[0]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "F05"),
        ({"total": True}, "D01 + F05"),
        ({"query": True}, "C04 + F05"),
    ],
)
def test_an_update_without_none_is_named_in_the_order_of_the_names(options, name):
    """A zip of sorted variables and of their gradients without None is told, beside a sum over tasks or other data."""
    found = judged(("unused-between", "one-step", "bilinear"), by_name=True, drops=True, **options)
    assert found.name == name
    assert "after None was left out, by name" in found.evidence


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "F05"),
        ({"total": True}, "D01 + F05"),
        ({"rate": 0.1}, "G10 + F05"),
    ],
)
def test_an_answer_in_the_order_of_the_names_is_put_back(options, name):
    """Gradients in the order of the names under variables as they stand are told, and what else is wrong with them."""
    found = judged(keys_by_name=True, **options)
    assert found.name == name
    assert "in the answer, variables as they stand, gradients by name" in found.evidence
