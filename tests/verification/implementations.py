"""Implementations for the judge to judge, right ones and ones that are wrong on purpose, in each framework.

They are written as a user writes them, with descent by hand on the leaves of a container.
"""

from __future__ import annotations

import numpy as np

import refmaml


def map_leaves(function, first, *others):
    """Apply `function` to the leaves at the same place of nested dicts, lists and tuples."""
    if isinstance(first, dict):
        return {key: map_leaves(function, first[key], *(other[key] for other in others)) for key in first}
    if isinstance(first, list | tuple):
        return type(first)(map_leaves(function, *parts) for parts in zip(first, *others, strict=True))
    return function(first, *others)


# Steps, with the interface of refmaml.fomaml_step


def right_step(*arguments, **options):
    """First-order MAML."""
    return refmaml.fomaml_step(*arguments, **options)


def step_at_start(*arguments, **options):
    """The outer gradient at φ_0; cost and adapted variables are right."""
    cost, _, adapted = refmaml.fomaml_step(*arguments, **options)
    return cost, refmaml.fomaml_step(*arguments[:4], 0, arguments[5], **options)[1], adapted


def step_one_too_few(*arguments, **options):
    """The outer gradient at φ_{K−1}; cost and adapted variables are right."""
    cost, _, adapted = refmaml.fomaml_step(*arguments, **options)
    return cost, refmaml.fomaml_step(*arguments[:4], max(arguments[4] - 1, 0), arguments[5], **options)[1], adapted


def step_one_too_many(*arguments, **options):
    """The outer gradient at φ_{K+1}; cost and adapted variables are right."""
    cost, _, adapted = refmaml.fomaml_step(*arguments, **options)
    return cost, refmaml.fomaml_step(*arguments[:4], arguments[4] + 1, arguments[5], **options)[1], adapted


def step_with_jacobians(*arguments, **options):
    """The second-order gradient where the first-order one is claimed."""
    return refmaml.maml_step(*arguments, **options)


def step_with_scaled_gradient(*arguments, **options):
    """Gradients too large by one part in ten thousand."""
    cost, gradients, adapted = refmaml.fomaml_step(*arguments, **options)
    return cost, map_leaves(lambda leaf: np.asarray(1.0001 * leaf, leaf.dtype), gradients), adapted


def step_with_wrong_cost(*arguments, **options):
    """The cost before adaptation; gradients and adapted variables are right."""
    _, gradients, adapted = refmaml.fomaml_step(*arguments, **options)
    return refmaml.fomaml_step(*arguments[:4], 0, arguments[5], **options)[0], gradients, adapted


def step_with_wrong_adaptation(*arguments, **options):
    """The variables before adaptation as the adapted ones; cost and gradients are right."""
    cost, gradients, _ = refmaml.fomaml_step(*arguments, **options)
    return cost, gradients, refmaml.fomaml_step(*arguments[:4], 0, arguments[5], **options)[2]


# Problem subjects for NumPy


def _descend(problem, inner, variables, steps):
    rate = problem.inner_learning_rate
    for _ in range(steps):
        variables = map_leaves(lambda w, g: w - rate * g, variables, problem.inner_gradient(inner, variables))
    return variables


def _mean(containers):
    return map_leaves(lambda *leaves: sum(leaves) / len(leaves), *containers)


def numpy_subject(problem):
    """First-order MAML."""
    costs, gradients = [], []
    for inner, outer in problem.tasks():
        adapted = _descend(problem, inner, problem.variables, problem.inner_grad_steps)
        costs.append(problem.outer_cost(outer, adapted))
        gradients.append(problem.outer_gradient(outer, adapted))
    return sum(costs) / problem.num_tasks, _mean(gradients)


def numpy_subject_on_support(problem):
    """The outer loop asks for the gradient of Q on the inner batch."""
    cost, _ = numpy_subject(problem)
    gradients = [
        problem.outer_gradient(inner, _descend(problem, inner, problem.variables, problem.inner_grad_steps))
        for inner, _ in problem.tasks()
    ]
    return cost, _mean(gradients)


def numpy_subject_with_options(problem):
    """First-order MAML that can also average over the inner loop's points and take a rate for each leaf."""
    if isinstance(problem.inner_learning_rate, dict):
        rates = problem.inner_learning_rate
    else:
        rates = map_leaves(lambda _: problem.inner_learning_rate, problem.variables)
    costs, gradients, finals = [], [], []
    for inner, outer in problem.tasks():
        points = [problem.variables]
        for _ in range(problem.inner_grad_steps):
            gradient = problem.inner_gradient(inner, points[-1])
            points.append(map_leaves(lambda w, g, rate: w - rate * g, points[-1], gradient, rates))
        finals.append(points[-1])
        used = points if problem.options.average_across_steps else points[-1:]
        costs.append(sum(problem.outer_cost(outer, point) for point in used) / len(used))
        gradients.append(_mean([problem.outer_gradient(outer, point) for point in used]))
    adapted = map_leaves(lambda *rows: np.stack(rows), *finals)
    return sum(costs) / problem.num_tasks, _mean(gradients), adapted


numpy_subject_with_options.supports = ("averaging", "leaf-rates")


# Problem subjects for torch


def torch_func_subject(problem):
    """First-order MAML with torch.func."""
    import torch

    gradient = torch.func.grad
    costs, gradients = [], []
    for inner, outer in problem.tasks():
        phi = problem.variables
        for _ in range(problem.inner_grad_steps):
            step = gradient(problem.inner_cost, argnums=1)(inner, phi)
            phi = map_leaves(lambda w, g: w - problem.inner_learning_rate * g, phi, step)
        gradients.append(gradient(problem.outer_cost, argnums=1)(outer, phi))
        costs.append(problem.outer_cost(outer, phi))
    return sum(costs) / problem.num_tasks, _mean(gradients)


def _torch_autograd_subject(problem, *, create_graph, wrong_start=False):
    import torch

    flat = []
    theta = map_leaves(lambda leaf: flat.append(leaf.requires_grad_()) or flat[-1], problem.variables)
    total = 0.0
    for inner, outer in problem.tasks():
        phi = theta
        for _ in range(problem.inner_grad_steps):
            leaves = []
            map_leaves(leaves.append, phi)
            found = torch.autograd.grad(
                problem.inner_cost(inner, phi), leaves, create_graph=create_graph, allow_unused=True
            )
            steps = iter([torch.zeros_like(w) if g is None else g for w, g in zip(leaves, found, strict=True)])
            phi = map_leaves(lambda w, steps=steps: w - problem.inner_learning_rate * next(steps), phi)
        total = total + problem.outer_cost(outer, theta if wrong_start else phi) / problem.num_tasks
    grads = torch.autograd.grad(total, flat, allow_unused=True)
    left = iter([torch.zeros_like(w) if g is None else g for w, g in zip(flat, grads, strict=True)])
    return total, map_leaves(lambda _: next(left), theta)


def torch_autograd_subject(problem):
    """First-order MAML with torch.autograd: the inner gradients are constants of the outer graph."""
    return _torch_autograd_subject(problem, create_graph=False)


def torch_second_order_subject(problem):
    """Second-order MAML: the inner gradients stay in the outer graph."""
    return _torch_autograd_subject(problem, create_graph=True)


def torch_unadapted_subject(problem):
    """The outer cost, and with it the outer gradient, at θ."""
    return _torch_autograd_subject(problem, create_graph=False, wrong_start=True)
