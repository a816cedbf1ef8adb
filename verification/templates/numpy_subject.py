"""First-order MAML in NumPy, in the form that refmaml judges.

    refmaml verify subject.py:subject

This file passes as it stands. Replace what is marked YOUR CODE. Your step need
not differentiate: a problem has the gradients of its costs.
"""

import numpy as np


# YOUR CODE: import your step here, and delete this one.
def fomaml_step(inner_grad, outer_cost, outer_grad, theta, tasks, steps, rate):
    """Return the mean cost on the query sets, and the first-order gradient."""
    costs, gradients = [], []
    for support, query in tasks:
        adapted = theta
        for _ in range(steps):
            adapted = adapted - rate * inner_grad(support, adapted)
        costs.append(outer_cost(query, adapted))
        gradients.append(outer_grad(query, adapted))
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
        branches = nested(vector, list(variables.values()))
        return dict(zip(variables, branches, strict=True))
    if isinstance(variables, (list, tuple)):
        ends = np.cumsum([len(flattened(branch)) for branch in variables])
        pairs = zip(np.split(vector, ends[:-1]), variables, strict=True)
        return type(variables)(nested(part, branch) for part, branch in pairs)
    return np.reshape(vector, np.shape(variables))


def subject(problem):
    """Return a problem's cost and its gradients, nested as its variables."""
    theta = problem.variables

    # The costs of a problem and their gradients take (batch, variables), and
    # its variables are dicts, lists and tuples of arrays. Write here what your
    # code calls: in these the variables are one vector.
    def inner_grad(batch, weights):
        return flattened(problem.inner_gradient(batch, nested(weights, theta)))

    def outer_cost(batch, weights):
        return problem.outer_cost(batch, nested(weights, theta))

    def outer_grad(batch, weights):
        return flattened(problem.outer_gradient(batch, nested(weights, theta)))

    # YOUR CODE: call your step here.
    cost, gradients = fomaml_step(
        inner_grad,
        outer_cost,
        outer_grad,
        flattened(theta),
        list(problem.tasks()),  # pairs of a support and a query batch
        problem.inner_grad_steps,
        problem.inner_learning_rate,
    )
    return cost, nested(gradients, theta)
