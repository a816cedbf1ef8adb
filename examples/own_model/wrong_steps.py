"""Wrong training steps on a network, each with one mistake of the catalogue as people make it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from network import INNER_RATE, INNER_STEPS, Task, loss
from steps import Weights, adapt, loss_at, mean_over_tasks
from torch import nn

Slopes = list[torch.Tensor]
OUTER_RATE = 0.05


def slopes_at(model: nn.Module, weights: Weights, batch: Any) -> Slopes:
    """Return the gradient of the loss by the weights."""
    return list(torch.autograd.grad(loss_at(model, weights, batch), list(weights.values())))


def moved(weights: Weights, slopes: Slopes, rate: float = INNER_RATE) -> Weights:
    """Return the weights after one step."""
    return {name: w - rate * g for (name, w), g in zip(weights.items(), slopes, strict=True)}


def with_outer(outer: Callable[[nn.Module, Weights, Task], Slopes]) -> Callable[[nn.Module, list[Task]], Slopes]:
    """Return a step that averages what is done for each task."""
    return lambda model, tasks: mean_over_tasks([outer(model, dict(model.named_parameters()), task) for task in tasks])


def with_sgd(**options: Any) -> Callable[[nn.Module, list[Task]], Slopes]:
    """Return first-order MAML by copies, with an inner optimizer that has more than a rate."""

    def step(model: nn.Module, tasks: list[Task]) -> Slopes:
        parts = []
        for support, query in tasks:
            learner = copy.deepcopy(model)
            optimizer = torch.optim.SGD(learner.parameters(), lr=INNER_RATE, **options)
            for _ in range(INNER_STEPS):
                optimizer.zero_grad()
                loss(learner, support).backward()
                optimizer.step()
            parts.append(list(torch.autograd.grad(loss(learner, query), list(learner.parameters()))))
        return mean_over_tasks(parts)

    return step


def no_graph(model: nn.Module, tasks: list[Task]) -> Slopes:
    """A01: second order is wanted, and the inner gradients keep no graph."""
    theta = dict(model.named_parameters())
    total = sum(loss_at(model, adapt(model, theta, support, second=False), query) for support, query in tasks)
    return list(torch.autograd.grad(total / len(tasks), list(theta.values())))


def graph_kept(model: nn.Module, tasks: list[Task]) -> Slopes:
    """A04: first order is wanted, and create_graph=True is left in."""
    theta = dict(model.named_parameters())
    total = sum(loss_at(model, adapt(model, theta, support, second=True), query) for support, query in tasks)
    return list(torch.autograd.grad(total / len(tasks), list(theta.values())))


def before_adaptation(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """B01: the query loss is that of the initial weights."""
    adapt(model, theta, task[0], second=False)
    return slopes_at(model, theta, task[1])


def one_step_fewer(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """B02: the loop begins at 1."""
    weights = theta
    for _ in range(1, INNER_STEPS):
        weights = moved(weights, slopes_at(model, weights, task[0]))
    return slopes_at(model, weights, task[1])


def one_step_more(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """B03: a first update before the loop."""
    weights = moved(theta, slopes_at(model, theta, task[0]))
    return slopes_at(model, adapt(model, weights, task[0], second=False), task[1])


def all_at_start(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """B06: every inner gradient is taken at the initial weights."""
    weights = theta
    for _ in range(INNER_STEPS):
        weights = moved(weights, slopes_at(model, theta, task[0]))
    return slopes_at(model, weights, task[1])


def afresh(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """B07: the fast weights are made inside the loop."""
    for _ in range(INNER_STEPS):
        weights = moved(theta, slopes_at(model, theta, task[0]))
    return slopes_at(model, weights, task[1])


def query_is_support(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """C01: the outer loss is on the support batch."""
    return slopes_at(model, adapt(model, theta, task[0], second=False), task[0])


def exchanged(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """C03: support and query change places."""
    query, support = task
    return slopes_at(model, adapt(model, theta, support, second=False), query)


def adapted_on_query(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """C04: the inner loop has the query batch."""
    return slopes_at(model, adapt(model, theta, task[1], second=False), task[1])


def not_reduced(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """C05: the inner loss is a sum over the examples."""
    weights = theta
    for _ in range(INNER_STEPS):
        slopes = [len(task[0][1]) * slope for slope in slopes_at(model, weights, task[0])]
        weights = moved(weights, slopes)
    return slopes_at(model, weights, task[1])


def summed(model: nn.Module, tasks: list[Task]) -> Slopes:
    """D01: the tasks' gradients are summed."""
    mean = with_outer(lambda m, w, task: slopes_at(m, adapt(m, w, task[0], second=False), task[1]))(model, tasks)
    return [len(tasks) * leaf for leaf in mean]


def last_task(model: nn.Module, tasks: list[Task]) -> Slopes:
    """D03: the loop overwrites the gradients of the tasks before."""
    for support, query in tasks:
        weights = adapt(model, dict(model.named_parameters()), support, second=False)
        slopes = slopes_at(model, weights, query)
    return slopes


def left_in_grad(model: nn.Module, tasks: list[Task]) -> None:
    """D06: inner gradients stay in `.grad`, where the outer ones are added to them."""
    model.zero_grad()
    start = copy.deepcopy(model.state_dict())
    for support, query in tasks:
        for _ in range(INNER_STEPS):
            before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
            (loss(model, support) / len(tasks)).backward()
            with torch.no_grad():
                for parameter, other in zip(model.parameters(), before, strict=True):
                    parameter.sub_(INNER_RATE * len(tasks) * (parameter.grad - (0 if other is None else other)))
        (loss(model, query) / len(tasks)).backward()
        model.load_state_dict(start)


def carried_over(model: nn.Module, tasks: list[Task]) -> Slopes:
    """E01: the network is not put back between tasks."""
    weights, parts = dict(model.named_parameters()), []
    for support, query in tasks:
        weights = adapt(model, weights, support, second=False)
        parts.append(slopes_at(model, weights, query))
    return mean_over_tasks(parts)


def head_kept(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """F03: the head is not among the fast weights."""
    weights = theta
    for _ in range(INNER_STEPS):
        slopes = [
            torch.zeros_like(slope) if name.startswith("head") else slope
            for name, slope in zip(weights, slopes_at(model, weights, task[0]), strict=True)
        ]
        weights = moved(weights, slopes)
    return slopes_at(model, weights, task[1])


def ascent(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """G02: the inner loop climbs."""
    weights = theta
    for _ in range(INNER_STEPS):
        weights = moved(weights, slopes_at(model, weights, task[0]), -INNER_RATE)
    return slopes_at(model, weights, task[1])


def clipped(model: nn.Module, tasks: list[Task]) -> Slopes:
    """M02: the inner gradient is clipped."""
    parts = []
    for support, query in tasks:
        learner = copy.deepcopy(model)
        optimizer = torch.optim.SGD(learner.parameters(), lr=INNER_RATE)
        for _ in range(INNER_STEPS):
            optimizer.zero_grad()
            loss(learner, support).backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 0.5)
            optimizer.step()
        parts.append(list(torch.autograd.grad(loss(learner, query), list(learner.parameters()))))
    return mean_over_tasks(parts)


def query_in_eval_mode(model: nn.Module, tasks: list[Task]) -> Slopes:
    """M01: the query loss is taken in evaluation mode, with the running statistics."""
    parts = []
    for support, query in tasks:
        model.train()
        weights = adapt(model, dict(model.named_parameters()), support, second=False)
        model.eval()
        parts.append(slopes_at(model, weights, query))
    return mean_over_tasks(parts)


def all_points(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """M07: the query losses of all steps are summed."""
    weights, total = theta, None
    for _ in range(INNER_STEPS):
        weights = moved(weights, slopes_at(model, weights, task[0]))
        slopes = slopes_at(model, weights, task[1])
        total = slopes if total is None else [one + other for one, other in zip(total, slopes, strict=True)]
    return total


def autocast(model: nn.Module, theta: Weights, task: Task) -> Slopes:
    """G11: both loops run under autocast."""
    with torch.autocast("cpu", torch.bfloat16):
        return slopes_at(model, adapt(model, theta, task[0], second=False), task[1])


def on_adapted(model: nn.Module, tasks: list[Task]) -> None:
    """B10: the weights are not put back before the outer step."""
    totals = [torch.zeros_like(parameter) for parameter in model.parameters()]
    start = copy.deepcopy(model.state_dict())
    for support, query in tasks:
        model.load_state_dict(start)
        for _ in range(INNER_STEPS):
            slopes = torch.autograd.grad(loss(model, support), list(model.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(model.parameters(), slopes, strict=True):
                    parameter.sub_(INNER_RATE * slope)
        slopes = torch.autograd.grad(loss(model, query), list(model.parameters()))
        totals = [total + slope / len(tasks) for total, slope in zip(totals, slopes, strict=True)]
    with torch.no_grad():
        for parameter, total in zip(model.parameters(), totals, strict=True):
            parameter.sub_(OUTER_RATE * total)


def task_by_task(model: nn.Module, tasks: list[Task]) -> None:
    """D10: the outer step is taken after each task."""
    for support, query in tasks:
        weights = adapt(model, dict(model.named_parameters()), support, second=False)
        slopes = slopes_at(model, weights, query)
        with torch.no_grad():
            for parameter, slope in zip(model.parameters(), slopes, strict=True):
                parameter.sub_(OUTER_RATE * slope)


def stale_optimizer(model: nn.Module, tasks: list[Task]) -> None:
    """M06: the parameters are registered anew after the optimizer was made."""
    optimizer = torch.optim.SGD(model.parameters(), lr=OUTER_RATE)
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                setattr(module, name, nn.Parameter(parameter.detach().clone()))
    theta = dict(model.named_parameters())
    for support, query in tasks:
        weights = adapt(model, theta, support, second=False)
        (loss_at(model, weights, query) / len(tasks)).backward()
    optimizer.step()


#: The wrong steps: the name that the judge should give, the step, the order it claims, where its gradients are.
WRONG = {
    "no_graph": ("A01", no_graph, 2, "gradients"),
    "graph_kept": ("A04", graph_kept, 1, "gradients"),
    "before_adaptation": ("B01", with_outer(before_adaptation), 1, "gradients"),
    "one_step_fewer": ("B02", with_outer(one_step_fewer), 1, "gradients"),
    "one_step_more": ("B03", with_outer(one_step_more), 1, "gradients"),
    "all_at_start": ("B06", with_outer(all_at_start), 1, "gradients"),
    "afresh": ("B07", with_outer(afresh), 1, "gradients"),
    "query_is_support": ("C01", with_outer(query_is_support), 1, "gradients"),
    "exchanged": ("C03", with_outer(exchanged), 1, "gradients"),
    "adapted_on_query": ("C04", with_outer(adapted_on_query), 1, "gradients"),
    "not_reduced": ("C05", with_outer(not_reduced), 1, "gradients"),
    "summed": ("D01", summed, 1, "gradients"),
    "last_task": ("D03", last_task, 1, "gradients"),
    "left_in_grad": ("D06", left_in_grad, 1, "grad"),
    "carried_over": ("E01", carried_over, 1, "gradients"),
    "head_kept": ("F03", with_outer(head_kept), 1, "gradients"),
    "ascent": ("G02", with_outer(ascent), 1, "gradients"),
    "weight_decay": ("G06", with_sgd(weight_decay=0.01), 1, "gradients"),
    "autocast": ("G11", with_outer(autocast), 1, "gradients"),
    "query_in_eval_mode": ("M01", query_in_eval_mode, 1, "gradients"),
    "clipped": ("M02", clipped, 1, "gradients"),
    "momentum": ("M04", with_sgd(momentum=0.9), 1, "gradients"),
    "all_points": ("M07", with_outer(all_points), 1, "gradients"),
    "on_adapted": ("B10", on_adapted, 1, "parameters"),
    "task_by_task": ("D10", task_by_task, 1, "parameters"),
    "stale_optimizer": ("M06", stale_optimizer, 1, "parameters"),
}
