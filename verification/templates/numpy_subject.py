"""First-order MAML in NumPy, in the form that refmaml judges.

    refmaml verify subject.py:subject

This file passes as it stands. Replace what is marked YOUR CODE. Your step need not differentiate: a problem has the
gradients of its costs.
"""

import numpy as np


# YOUR CODE: import your step here, and delete this one.
def fomaml_step(inner_gradient, outer_cost, outer_gradient, weights, tasks, steps, rate):
    """Return the mean cost on the query sets after adaptation, and the first-order meta-gradient."""
    costs, gradients = [], []
    for support, query in tasks:
        adapted = weights
        for _ in range(steps):
            adapted = adapted - rate * inner_gradient(support, adapted)
        costs.append(outer_cost(query, adapted))
        gradients.append(outer_gradient(query, adapted))
    return np.mean(costs), np.mean(gradients, axis=0)


def flattened(variables):
    """Return nested variables as one vector."""
    if isinstance(variables, dict):
        variables = list(variables.values())
    if isinstance(variables, (list, tuple)):
        return np.concatenate([flattened(branch) for branch in variables])
    return np.ravel(variables)


def nested(vector, variables):
    """Return a vector nested as the variables."""
    if isinstance(variables, dict):
        return dict(zip(variables, nested(vector, list(variables.values())), strict=True))
    if isinstance(variables, (list, tuple)):
        ends = np.cumsum([len(flattened(branch)) for branch in variables])
        parts = np.split(vector, ends[:-1])
        return type(variables)(nested(part, branch) for part, branch in zip(parts, variables, strict=True))
    return np.reshape(vector, np.shape(variables))


def subject(problem):
    """Return the cost of a problem and its gradients, which are nested as `problem.variables`."""

    # The costs of a problem and their gradients take (batch, variables), and its variables are dicts, lists and tuples
    # of arrays. Write here what your code calls: in these the variables are one vector.
    def inner_gradient(batch, weights):
        return flattened(problem.inner_gradient(batch, nested(weights, problem.variables)))

    def outer_cost(batch, weights):
        return problem.outer_cost(batch, nested(weights, problem.variables))

    def outer_gradient(batch, weights):
        return flattened(problem.outer_gradient(batch, nested(weights, problem.variables)))

    # YOUR CODE: call your step here.
    cost, gradients = fomaml_step(
        inner_gradient,
        outer_cost,
        outer_gradient,
        flattened(problem.variables),
        list(problem.tasks()),  # pairs of a support and a query batch
        problem.inner_grad_steps,
        problem.inner_learning_rate,
    )
    return cost, nested(gradients, problem.variables)
