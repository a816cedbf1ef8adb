"""Wrong training steps in NumPy, each with one mistake of the catalogue as people make it."""

from __future__ import annotations

from typing import Any

from numpy_steps import (
    INNER_RATE,
    INNER_STEPS,
    OUTER_RATE,
    Params,
    Step,
    Task,
    adapt,
    first_order,
    gradient,
    hessian_product,
    mean,
    moved,
    second_order,
)


def without_products(params: Params, tasks: list[Task]) -> Params:
    """A01: second order is wanted, and the Jacobian of the inner steps is left out."""
    return first_order(params, tasks)


def with_products(params: Params, tasks: list[Task]) -> Params:
    """A04: first order is wanted, and the Jacobian of the inner steps is in it."""
    return second_order(params, tasks)


def one_step_fewer(params: Params, tasks: list[Task]) -> Params:
    """B02: the inner loop has one step too few."""
    return mean([gradient(adapt(params, support, INNER_STEPS - 1), query) for support, query in tasks])


def last_step_only(params: Params, tasks: list[Task]) -> Params:
    """A08: the Jacobian of the last inner step alone."""
    parts = []
    for support, query in tasks:
        before = adapt(params, support, INNER_STEPS - 1)
        back = gradient(adapt(params, support), query)
        parts.append(moved(back, hessian_product(before, support, back), INNER_RATE))
    return mean(parts)


def at_the_start(params: Params, tasks: list[Task]) -> Params:
    """B01: the gradient is taken at the parameters before adaptation."""
    return mean([gradient(params, query) for _, query in tasks])


def one_step_more(params: Params, tasks: list[Task]) -> Params:
    """B03: the inner loop has one step too many."""
    return mean([gradient(adapt(params, support, INNER_STEPS + 1), query) for support, query in tasks])


def exchanged(params: Params, tasks: list[Task]) -> Params:
    """C03: the batches of a task are taken in the other order."""
    return mean([gradient(adapt(params, query), support) for support, query in tasks])


def summed(params: Params, tasks: list[Task]) -> Params:
    """D01: the sum over tasks instead of the mean."""
    return {name: len(tasks) * leaf for name, leaf in first_order(params, tasks).items()}


def wrong_rate(params: Params, tasks: list[Task]) -> Params:
    """G10: the inner rate is divided by the number of inner steps."""
    ends = [adapt(params, support, rate=INNER_RATE / INNER_STEPS) for support, _ in tasks]
    return mean([gradient(end, query) for end, (_, query) in zip(ends, tasks, strict=True)])


def frozen_adapted(params: Params, tasks: list[Task]) -> Params:
    """M03: only the head should adapt, and everything does."""
    return first_order(params, tasks)


def never_put_back(params: Params, tasks: list[Task]) -> Any:
    """B10: the inner loop changes the parameters in place, and the outer step starts from where it ends."""
    slopes = first_order(params, tasks)
    end = adapt(params, tasks[-1][0])
    for name in params:
        params[name][...] = end[name] - OUTER_RATE * slopes[name]


#: The name of each mistake, its step, the order that it claims, what it gives, and what adapts if not everything.
WRONG: dict[str, tuple[str, Step, Any, str, list[str] | None]] = {
    "without_products": ("A01", without_products, 2, "gradients", None),
    "with_products": ("A04", with_products, 1, "gradients", None),
    "last_step_only": ("A08", last_step_only, 2, "gradients", None),
    "at_the_start": ("B01", at_the_start, 1, "gradients", None),
    "one_step_fewer": ("B02", one_step_fewer, 1, "gradients", None),
    "one_step_more": ("B03", one_step_more, 1, "gradients", None),
    "exchanged": ("C03", exchanged, 1, "gradients", None),
    "summed": ("D01", summed, 1, "gradients", None),
    "wrong_rate": ("G10", wrong_rate, 1, "gradients", None),
    "frozen_adapted": ("M03", frozen_adapted, 1, "gradients", ["head.w", "head.b"]),
    "never_put_back": ("B10", never_put_back, 1, "parameters", None),
}
