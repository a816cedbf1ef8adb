"""Correct steps, written differently: none of them may be found at fault.

Reordered sums, other formulas for the same thing, other precisions and frameworks, and what has been reported as a
fault and is none: a sum over tasks whose author declares it (H04), a dummy forward pass (H03), shadowed names (H01),
Reptile's sign left to a minimising optimiser (H02).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from verification.faults.question import AnswerFunction, Outcome, Question, combined, each_task, outcome
from verification.faults.subject import FaultySubject
from verification.faults.work import Points, Solved, Work, descend, hessian_product, mean, solve
from verification.oracles.view import FlatArray
from verification.orders import ORDERS, SPELLINGS, Order
from verification.problems.problem import Problem
from verification.problems.trees import leaves, nested
from verification.subjects import Kind


@dataclass(frozen=True)
class Variant:
    """A correct subject: how it differs, how it is made, its framework, what it declares, and what it can be."""

    name: str
    make: Callable[[Order], Callable[..., Any]]
    framework: str = "numpy"
    kind: Kind = "problem"
    orders: tuple[Order, ...] = ORDERS
    conventions: tuple[str, ...] = field(default=())


def _answering(answer: AnswerFunction) -> Callable[[Order], Callable[..., Any]]:
    return lambda _: FaultySubject(answer)


def _plainly(work: Work, question: Question) -> Solved:
    return solve(work, question.order)


def _backwards(question: Question) -> Outcome:
    """Take the tasks, and with them the terms of every mean, from the last to the first."""
    found = [solve(work, question.order) for work in reversed(question.works)]
    turned = combined(question, found)
    return Outcome(turned.cost, turned.gradients, turned.adapted[::-1])


def _accumulated(work: Work) -> Points:
    """φ_k = θ − α Σ ∇S(φ_j): the displacement is summed first, and taken from θ once."""
    points, total = [work.theta], np.zeros_like(work.theta)
    for _ in range(work.view.steps):
        total = total + work.inner_gradient(points[-1])
        points.append(work.theta - work.alpha * total)
    return points


def _by_products(work: Work, points: Points, u: FlatArray) -> FlatArray:
    """Pull back by Hessian-vector products, where the plain formula has whole Hessians."""
    for phi in reversed(points):
        u = u - hessian_product(work.view.inner_costs, phi, work.alpha * u)
    return u


def _by_one_matrix(work: Work, points: Points, u: FlatArray) -> FlatArray:
    """Multiply the Jacobians together from the first step on, and pull back by the product."""
    product = np.eye(work.theta.size, dtype=work.theta.dtype)
    for multiply in work.inner_products(points):
        product = (product - work.alpha[:, None] * multiply(product)).astype(product.dtype)
    return product.T @ u


def _expanded(work: Work, points: Points, u: FlatArray) -> FlatArray:
    """Accumulate the correction −Σ_k H_k D u_k apart from u, and add it last."""
    correction = np.zeros_like(u)
    for multiply in reversed(work.inner_products(points)):
        correction = correction - multiply(work.alpha * (u + correction))
    return u + correction


def _rates_first(work: Work) -> Points:
    """Scale the cost's gradient and the mask apart: (α ∇S) I instead of (α I) ∇S."""
    points = [work.theta]
    for _ in range(work.view.steps):
        points.append(points[-1] - (work.view.rate * work.inner_gradient(points[-1])) * work.view.inner_mask)
    return points


def _dummy_pass(work: Work, question: Question) -> Solved:
    """H03: the costs are evaluated once more than they are used."""
    work.outer_cost(work.theta)
    return solve(work, question.order)


def _shadowed(work: Work, question: Question) -> Solved:
    """H01: a comprehension shadows a name of the loop around it, which changes nothing."""
    phi = descend(work)[-1]
    _ = [phi.size for phi in (work.theta,)]
    found = solve(work, question.order)
    return Solved(found.cost, found.gradient, phi)


def _in_running_means(question: Question) -> Outcome:
    """M ← m + (g − m)/t, task by task."""
    solved = [solve(work, question.order) for work in question.works]
    gradient = solved[0].gradient
    for count, solution in enumerate(solved[1:], 2):
        gradient = gradient + (solution.gradient - gradient) / count
    same = [Solved(solution.cost, gradient, solution.adapted) for solution in solved]
    return combined(question, same)


def _summed(question: Question) -> Outcome:
    """H04: a sum over tasks, which is declared."""
    found = combined(question, [solve(work, question.order) for work in question.works])
    gradients = {
        chain: None if leaf is None else leaf * leaf.dtype.type(question.tasks)
        for chain, leaf in found.gradients.items()
    }
    return Outcome(found.cost, gradients, found.adapted)


def _negated_twice(work: Work, question: Question) -> Solved:
    """H02: the displacement φ_K − θ, negated for an optimiser that minimises."""
    found = solve(work, question.order)
    return Solved(found.cost, -((found.adapted - work.theta) / work.view.rate), found.adapted)


def _from_the_mean_point(question: Question) -> Outcome:
    """(θ − mean φ_K)/α: Reptile's weights are averaged first, and the mean of equal numbers is rounded."""
    solved = [solve(work, question.order) for work in question.works]
    if question.problem.options.batched:  # each task has θ of its own, and there is no one point to subtract from
        return combined(question, solved)
    end = mean([solution.adapted for solution in solved])
    found = outcome(question, 0.0, (question.works[0].theta - end) / question.works[0].view.rate, [])
    return replace(combined(question, solved), gradients=found.gradients)


class TorchSubject:
    """First- or second-order MAML and Reptile with torch.autograd, task by task."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def __call__(self, problem: Problem) -> tuple[Any, ...]:
        """Return (cost, gradients, adapted)."""
        import torch

        solved = [self._task(torch, problem, *data) for data in problem.tasks()]
        gradients = {chain: mean([solution[1][chain] for solution in solved]) for chain in problem.names}
        adapted = {chain: torch.stack([solution[2][chain] for solution in solved]) for chain in problem.names}
        nests = problem.variables
        return mean([solution[0] for solution in solved]), nested(gradients, nests), nested(adapted, nests)

    def _task(self, torch: Any, problem: Problem, support: Any, query: Any) -> tuple[Any, ...]:
        theta = {chain: leaf.clone().requires_grad_() for chain, leaf in leaves(problem.variables).items()}
        phi, costs = dict(theta), []
        for _ in range(problem.inner_grad_steps):
            cost = problem.inner_cost(support, phi)
            costs.append(cost.detach())
            slopes = self._slopes(torch, cost, phi, keep=self._order == 2)
            phi = {chain: phi[chain] - problem.inner_learning_rate * slopes[chain] for chain in phi}
        if self._order == "reptile":
            costs.append(problem.inner_cost(support, phi).detach())
            moved = {chain: (theta[chain] - phi[chain]).detach() / problem.inner_learning_rate for chain in phi}
            return mean(costs), moved, {chain: leaf.detach() for chain, leaf in phi.items()}
        cost = problem.outer_cost(query, phi)
        gradients = self._slopes(torch, cost, theta if self._order == 2 else phi, keep=False)
        return cost.detach(), gradients, {chain: leaf.detach() for chain, leaf in phi.items()}

    def _slopes(self, torch: Any, cost: Any, at: dict[str, Any], *, keep: bool) -> dict[str, Any]:
        found = torch.autograd.grad(
            cost, list(at.values()), create_graph=keep, retain_graph=True, materialize_grads=True
        )
        return dict(zip(at, found, strict=True))


def _steps_of(module: str) -> Callable[[Order], Callable[..., Any]]:
    """Return what takes the step of an order from one of our own modules; it is judged by the oracles alone."""
    return lambda order: getattr(import_module(module), SPELLINGS[order].function)


def variants() -> list[Variant]:
    """Return the correct variants that can run here; those of a framework that is missing are left out."""
    found = [
        Variant("refmaml, as a step", _steps_of("refmaml"), "autograd", "step"),
        Variant("task by task", _answering(each_task(_plainly))),
        Variant("tasks from the last to the first", _answering(_backwards)),
        Variant("displacement summed, then subtracted", _answering(_with(descend=_accumulated))),
        Variant("learning rate before the mask", _answering(_with(descend=_rates_first))),
        Variant("Hessian-vector products", _answering(_with(pull_back=_by_products)), orders=(2,)),
        Variant("one Jacobian, multiplied out", _answering(_with(pull_back=_by_one_matrix)), orders=(2,)),
        Variant("correction accumulated apart", _answering(_with(pull_back=_expanded)), orders=(2,)),
        Variant("running means over tasks", _answering(_in_running_means)),
        Variant("H01, shadowed names", _answering(each_task(_shadowed))),
        Variant("H02, Reptile's sign", _answering(each_task(_negated_twice)), orders=("reptile",)),
        Variant("adapted weights averaged, then subtracted", _answering(_from_the_mean_point), orders=("reptile",)),
        Variant("H03, a dummy forward pass", _answering(each_task(_dummy_pass))),
        Variant("H04, a declared sum over tasks", _answering(_summed), conventions=("sum-over-tasks",)),
    ]
    if find_spec("torch"):
        found.append(Variant("PyTorch, torch.autograd", TorchSubject, "torch"))
    if find_spec("numba"):
        found.append(Variant("refmaml, compiled", _steps_of("refmaml.compiled"), "autograd", "step"))
    return found


def _with(**parts: Any) -> AnswerFunction:
    return each_task(lambda work, question: solve(work, question.order, **parts))
