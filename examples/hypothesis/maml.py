"""First-order MAML on lists of arrays, with autograd, as a project of yours might have it."""

from autograd import grad


def gradients(cost, leaves):
    """Return the gradient of cost(leaf, leaf, …) by each leaf."""
    return grad(cost, argnum=tuple(range(len(leaves))))(*leaves)


def adapt(cost, theta, steps, rate):
    """Return the parameters after some steps of gradient descent on one task."""
    phi = theta
    for _ in range(steps):
        phi = [v - rate * g for v, g in zip(phi, gradients(cost, phi), strict=True)]
    return phi


def leaves_of(nested):
    """Return the arrays in nested containers, in order."""
    branches = nested.values() if isinstance(nested, dict) else nested if isinstance(nested, list | tuple) else None
    return [nested] if branches is None else [leaf for branch in branches for leaf in leaves_of(branch)]


def nest_like(nested, leaves):
    """Return containers like these with other leaves, which an iterator gives."""
    if isinstance(nested, dict):
        return {key: nest_like(branch, leaves) for key, branch in nested.items()}
    if isinstance(nested, list | tuple):
        return type(nested)(nest_like(branch, leaves) for branch in nested)
    return next(leaves)


def subject(problem, adapt=adapt):
    """Answer a problem of the judge: the mean outer cost, and the mean first-order gradient."""
    theta, costs, parts = leaves_of(problem.variables), [], []
    for support, query in problem.tasks():

        def inner(*leaves, data=support):
            return problem.inner_cost(data, nest_like(problem.variables, iter(leaves)))

        def outer(*leaves, data=query):
            return problem.outer_cost(data, nest_like(problem.variables, iter(leaves)))

        phi = adapt(inner, theta, problem.inner_grad_steps, problem.inner_learning_rate)
        costs.append(outer(*phi))
        parts.append(gradients(outer, phi))
    mean = [sum(leaves) / len(leaves) for leaves in zip(*parts, strict=True)]
    return sum(costs) / len(costs), nest_like(problem.variables, iter(mean))
