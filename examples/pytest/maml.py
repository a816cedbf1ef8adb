"""First-order MAML for models whose parameters are nested dicts and lists, as a project of yours might have it."""


def map_leaves(function, *nested):
    """Apply a function to the leaves in the same place of several nested containers."""
    first = nested[0]
    if isinstance(first, dict):
        return {key: map_leaves(function, *(container[key] for container in nested)) for key in first}
    if isinstance(first, list | tuple):
        return type(first)(map_leaves(function, *entries) for entries in zip(*nested, strict=True))
    return function(*nested)


def adapt(gradient, theta, steps, rate):
    """Return the parameters after some steps of gradient descent on one task."""
    phi = theta
    for _ in range(steps):
        phi = map_leaves(lambda v, g: v - rate * g, phi, gradient(phi))
    return phi


def subject(problem, adapt=adapt):
    """Answer a problem of the judge: the mean outer cost, and the mean first-order gradient."""
    costs, gradients = [], []
    for support, query in problem.tasks():
        phi = adapt(
            lambda v, data=support: problem.inner_gradient(data, v),
            problem.variables,
            problem.inner_grad_steps,
            problem.inner_learning_rate,
        )
        costs.append(problem.outer_cost(query, phi))
        gradients.append(problem.outer_gradient(query, phi))
    return sum(costs) / len(costs), map_leaves(lambda *leaves: sum(leaves) / len(leaves), *gradients)
