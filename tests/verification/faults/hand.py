"""Three tasks with two variables, every gradient of which is written out here in NumPy.

S(v) = mean_i ½ (v − x_i)ᵀ A (v − x_i) + (c/6) Σ_j v_j³, so that ∇S = A (v − x̄) + (c/2) v² and H = A + c diag(v);
Q(v) = mean_i ½ (v − x_i)ᵀ B (v − x_i), so that ∇Q = B (v − x̄). x̄ is the mean of a task's examples.
"""

from __future__ import annotations

import numpy as np

from verification.frameworks import framework
from verification.problems.families import Family
from verification.problems.options import Options
from verification.problems.problem import Problem

A = np.array([[2.0, 0.5], [0.5, 1.0]])
B = np.array([[1.0, -0.25], [-0.25, 3.0]])
CUBE = 0.5
THETA = np.array([0.75, -0.5])
ALPHA, STEPS, TASKS, EXAMPLES = 0.125, 3, 3, 4
SUPPORT = np.array(
    [
        [[1.0, 0.5], [2.0, -1.0], [0.25, 1.5], [-0.5, 0.75]],
        [[-1.0, 2.0], [0.5, 0.5], [1.5, -0.25], [0.75, 1.0]],
        [[0.5, -1.5], [1.25, 0.25], [-2.0, 1.0], [1.0, -0.75]],
    ]
)
QUERY = np.array([[[1.5, -0.5], [-0.25, 2.0]], [[0.5, 1.25], [2.0, -1.0]], [[-1.5, 0.5], [0.75, 0.25]]])


def cost_of(matrix, cube):
    def costs(xp, data, v):
        both = xp.concatenate([v["a"], v["b"]], axis=1)
        off = both[:, None, :] - data["x"]
        square = 0.5 * xp.mean(xp.sum(off * (off @ matrix), axis=-1), axis=-1)
        return square + cube / 6 * xp.sum(both**3, axis=-1)

    return costs


FAMILY = Family("by hand", "", {"a": (1,), "b": (1,)}, cost_of(A, CUBE), cost_of(B, 0.0))


def problem(order=1, *, steps=STEPS, family=FAMILY, **options):
    """Return the three tasks as a problem; in batched mode each task has the same θ."""
    rows = (TASKS, 1) if options.get("batched") else (1,)
    return Problem(
        name="by hand",
        family=family,
        nest={"a": "a", "b": "b"},
        batch={"support": {"x": SUPPORT}, "query": {"x": QUERY}},
        variables={"a": np.full(rows, THETA[0]), "b": np.full(rows, THETA[1])},
        inner_grad_steps=steps,
        inner_learning_rate=ALPHA,
        options=Options(**options),
        framework=framework("numpy"),
        order=order,
    )


# By hand: t is the task; `x` the data that a gradient is taken on


def grad_s(v, t, x=SUPPORT):
    """∇S."""
    return A @ (v - x[t].mean(axis=0)) + CUBE / 2 * v**2


def grad_q(v, t, x=QUERY):
    """∇Q."""
    return B @ (v - x[t].mean(axis=0))


def hessian(v):
    """The Hessian of S, which is the same on all data."""
    return A + CUBE * np.diag(v)


def path(t, steps=STEPS, rate=ALPHA, start=THETA, x=SUPPORT, keep=1.0):
    """φ_0, …, φ_K."""
    points = [start]
    for _ in range(steps):
        points.append(keep * points[-1] - rate * grad_s(points[-1], t, x))
    return points


def jacobian(points, rate=ALPHA, keep=1.0):
    """(keep I − αH_0) ⋯ (keep I − αH_{k−1}) over the points that a step starts from."""
    product = np.eye(2)
    for phi in points:
        product = product @ (keep * np.eye(2) - rate * hessian(phi))
    return product


def over_tasks(of_task):
    """The mean over tasks."""
    return sum(of_task(t) for t in range(TASKS)) / TASKS
