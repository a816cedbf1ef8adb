"""What the named faults answer: each a definition of its own, by changing the rule, the data or the tasks of a step.

The names are those of docs/vectors.md. A fault is a function of a `Setting` that returns gradients by variable: None
in place of an array where an implementation has nothing or no number (None, a missing leaf, NaN). It returns None as a
whole where the fault cannot occur: a problem with one task has no sum over tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from verification.vectors.generator.balls import Scalar, exact, flint
from verification.vectors.generator.costs import Point, total
from verification.vectors.generator.layout import Array, variable_shapes
from verification.vectors.generator.setting import Gradients, Setting, Wrong, many, when
from verification.vectors.generator.step import (
    GAIN_COPY,
    Task,
    added,
    displacement,
    iterates,
    mean_point,
    outer_gradient,
    outer_union,
    selected,
    solve,
)  # fmt: skip

OUTER_RATE = 2.0**-10  # stands for the outer learning rate, which a step is not told
LOSS_SCALE = 2.0
DECAY = 1 - 2.0**-7
CLIP = 10.0
MISSING_RATE = 0.01


def zeros(s: Setting) -> Gradients:
    """Return no gradient at all, as zeros."""
    zero = flint.arb(0)
    return s.shaped({name: [zero] * len(leaf) for name, leaf in s.tasks[0].theta.items()})


def scaled(s: Setting, factor: Scalar) -> Gradients:
    """Return the right gradients times a factor."""
    return {
        name: Array(leaf.shape, [factor * value for value in leaf.values]) for name, leaf in s.under().items() if leaf
    }


def one_task(t: int, share: int) -> Wrong:
    """Return one task alone; with `share` over the number of tasks."""

    def wrong(s: Setting) -> Gradients:
        gradient = s.by_task()[t]
        count = len(s.tasks) if share else 1
        return s.shaped({name: [entry / count for entry in leaf] for name, leaf in gradient.items()})

    return when(many, wrong)


def without_start(s: Setting) -> Gradients:
    """1/K Σ_{k=1..K} of the terms."""

    def gradient(task: Task) -> Point:
        points, outer = iterates(task, s.rule), task.outer_cost(s.rule)
        return mean_point([outer_gradient(task, s.rule, points, k, outer) for k in range(1, s.steps + 1)])

    return s.of_tasks(gradient)


def support_in_average(s: Setting) -> Gradients | None:
    """The terms k < K on support data, the term K on query data."""
    if not (s.rule.average and s.kind == "fomaml" and s.steps and _same_function(s)):
        return None

    def gradient(task: Task) -> Point:
        points = iterates(task, s.rule)
        data = ["support"] * s.steps + ["query"]
        return mean_point([task.outer_cost(s.rule, d).gradient(p) for d, p in zip(data, points, strict=True)])

    return s.of_tasks(gradient)


def _same_function(s: Setting) -> bool:
    names = s.problem["variables"]
    return bool(s.problem["same_cost"]) or not any(name.startswith(("inner_", "outer_")) for name in names)


def accumulated(s: Setting) -> Gradients:
    """Inner gradients left in the accumulator: Σ_{k<K} ∇_I S(φ_k) on top."""

    def gradient(task: Task) -> Point:
        result, cost = solve(task, s.rule).gradient, task.inner_cost(s.rule)
        for point in iterates(task, s.rule)[:-1]:
            result = added(result, selected(cost.gradient(point), task.inner_names))
        return result

    return s.of_tasks(gradient)


def first_axis_summed(s: Setting) -> Gradients | None:
    """Return each gradient summed over its own first axis."""
    right = s.under()
    if not any(leaf and leaf.shape and leaf.shape[0] > 1 for leaf in right.values()):
        return None
    return {name: _summed(leaf) if leaf and leaf.shape else leaf for name, leaf in right.items()}


def _summed(leaf: Array) -> Array:
    size = prod(leaf.shape[1:])
    return Array(leaf.shape[1:], [total(leaf.values[j::size]) for j in range(size)])


def path_twice(s: Setting) -> Gradients | None:
    """The path of the outer gain through ½ g² counted twice: its gradient at each point has g once more."""
    if s.kind != "fomaml" or s.problem["same_cost"] or "outer_gain" not in outer_union(s.tasks):
        return None

    def gradient(task: Task) -> Point:
        right, points = solve(task, s.rule).gradient, iterates(task, s.rule)
        at = points if s.rule.average else points[-1:]
        extra = total([point["outer_gain"][0] for point in at]) / len(at)
        return {**right, "outer_gain": [right["outer_gain"][0] + extra]}

    return s.of_tasks(gradient)


def leaking(s: Setting) -> Gradients:
    """φ_K of a task starts the next one."""
    tasks, start = [], s.tasks[0].theta
    for task in s.tasks:
        tasks.append(replace(task, theta=start))
        start = solve(tasks[-1], s.rule).adapted
    return s.under(tasks)


def untied(s: Setting) -> Gradients | None:
    """The inner gain adapted as two variables, one for each place where it enters."""
    if s.kind == "reptile" or not all("inner_gain" in t.inner_names for t in s.tasks) or s.problem["same_cost"]:
        return None
    tasks = [
        replace(
            task,
            theta={**task.theta, GAIN_COPY: task.theta["inner_gain"]},
            inner_names=(*task.inner_names, GAIN_COPY),
            outer_names=(*task.outer_names, GAIN_COPY),
            rates={**task.rates, GAIN_COPY: task.rates["inner_gain"]},
        )
        for task in s.tasks
    ]
    gradient = mean_point([solve(task, s.rule).gradient for task in tasks])
    gradient["inner_gain"] = [gradient["inner_gain"][0] + gradient[GAIN_COPY][0]]
    return s.shaped(gradient)


def unused_missing(s: Setting) -> Gradients | None:
    """Return nothing for the variables whose gradient is exactly 0."""
    right = s.under()
    unused = [name for name, leaf in right.items() if leaf and all(value.is_zero() for value in leaf.values)]
    return {name: None if name in unused else leaf for name, leaf in right.items()} if unused else None


def one_frozen(s: Setting) -> Gradients | None:
    """Return the gradients where the first adapted variable stays."""
    names = s.tasks[0].inner_names
    return s.under(frozen=names[0]) if len(names) > 1 else None


def exchanged_selections(s: Setting) -> Gradients | None:
    """Return the gradients of the inner selection, adapted on the outer one."""
    if all(task.inner_names == task.outer_names for task in s.tasks):
        return None
    tasks = [replace(task, inner_names=task.outer_names, outer_names=task.inner_names) for task in s.tasks]
    exchanged = replace(s, tasks=tasks)
    return exchanged.under()


def swapped_updates(s: Setting) -> Gradients | None:
    """The updates of the first two adapted variables of equal shape change places."""
    shapes, names = variable_shapes(s.problem), s.tasks[0].inner_names
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if shapes[a] == shapes[b]]
    if not pairs or any(task.inner_names != names for task in s.tasks):
        return None
    return s.under(swapped=pairs[0])


def displacement_over(factor: Callable[[Setting, Scalar], Scalar]) -> Wrong:
    """Return the fault of (θ − φ_K)/α times a factor."""

    def wrong(s: Setting) -> Gradients:
        def gradient(task: Task) -> Point:
            moved = displacement(task, iterates(task, s.rule))
            return {name: [entry * factor(s, task.rates[name]) for entry in leaf] for name, leaf in moved.items()}

        return s.of_tasks(gradient)

    return wrong


def mean_gradient_over_rate(s: Setting) -> Gradients:
    """The mean of the K + 1 gradients at φ_0, …, φ_K, divided by α."""

    def gradient(task: Task) -> Point:
        cost = task.inner_cost(s.rule)
        average = mean_point([cost.gradient(point) for point in iterates(task, s.rule)])
        return {name: [entry / task.rates[name] for entry in leaf] for name, leaf in average.items()}

    return s.of_tasks(gradient)


def last_gradient(s: Setting) -> Gradients:
    """Return ∇S(φ_K)."""
    return s.of_tasks(lambda task: task.inner_cost(s.rule).gradient(iterates(task, s.rule)[-1]))


def clipped(s: Setting) -> Gradients | None:
    """Return the right gradients with each entry clipped."""
    right, high = s.under(), exact(CLIP)
    if not any(leaf and any(abs(float(value)) > CLIP for value in leaf.values) for leaf in right.values()):
        return None
    return {
        name: Array(leaf.shape, [_clip(value, high) for value in leaf.values]) for name, leaf in right.items() if leaf
    }


def _clip(entry: Scalar, high: Scalar) -> Scalar:
    return high if entry > high else -high if entry < -high else entry
