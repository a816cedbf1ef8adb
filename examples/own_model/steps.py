"""Right training steps on a network, in the ways in which people write them: each is called as step(model, tasks)."""

from __future__ import annotations

import copy

import torch
from network import INNER_RATE, INNER_STEPS, Task, loss
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

Weights = dict[str, torch.Tensor]


def loss_at(model: nn.Module, weights: Weights, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the loss with other weights; batch statistics are of the batch, and the model's own buffers stay."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    images, labels = batch
    return nn.functional.cross_entropy(functional_call(model, {**weights, **buffers}, (images,)), labels)


def adapt(model: nn.Module, weights: Weights, support: tuple[torch.Tensor, torch.Tensor], second: bool) -> Weights:
    """Return the weights after the inner loop, with its graph where second derivatives are wanted."""
    for _ in range(INNER_STEPS):
        value = loss_at(model, weights, support)
        slopes = torch.autograd.grad(value, list(weights.values()), create_graph=second)
        weights = {name: w - INNER_RATE * g for (name, w), g in zip(weights.items(), slopes, strict=True)}
    return weights


def mean_over_tasks(parts: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """Return the mean of the tasks' gradients."""
    return [sum(leaves) / len(parts) for leaves in zip(*parts, strict=True)]


def first_order(model: nn.Module, tasks: list[Task]) -> list[torch.Tensor]:
    """First-order MAML by functional calls."""
    parts = []
    for support, query in tasks:
        weights = adapt(model, dict(model.named_parameters()), support, second=False)
        parts.append(list(torch.autograd.grad(loss_at(model, weights, query), list(weights.values()))))
    return mean_over_tasks(parts)


def second_order(model: nn.Module, tasks: list[Task]) -> dict[str, torch.Tensor]:
    """Second-order MAML by functional calls: gradients by name."""
    theta = dict(model.named_parameters())
    total = sum(loss_at(model, adapt(model, theta, support, second=True), query) for support, query in tasks)
    slopes = torch.autograd.grad(total / len(tasks), list(theta.values()))
    return dict(zip(theta, slopes, strict=True))


def second_order_into_grad(model: nn.Module, tasks: list[Task]) -> None:
    """Second-order MAML that calls backward for each task, and leaves the gradients in `.grad`."""
    model.zero_grad()
    for support, query in tasks:
        weights = adapt(model, dict(model.named_parameters()), support, second=True)
        (loss_at(model, weights, query) / len(tasks)).backward()


def copies(model: nn.Module, tasks: list[Task]) -> list[torch.Tensor]:
    """First-order MAML with a copy of the network for each task, and an optimizer for the copy."""
    parts = []
    for support, query in tasks:
        learner = copy.deepcopy(model)
        optimizer = torch.optim.SGD(learner.parameters(), lr=INNER_RATE, foreach=True)
        for _ in range(INNER_STEPS):
            optimizer.zero_grad()
            loss(learner, support).backward()
            optimizer.step()
        parts.append(list(torch.autograd.grad(loss(learner, query), list(learner.parameters()))))
    return mean_over_tasks(parts)


def in_place(model: nn.Module, tasks: list[Task]) -> None:
    """First-order MAML that adapts the network itself and puts its weights back."""
    start = copy.deepcopy(model.state_dict())
    totals = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for support, query in tasks:
        for _ in range(INNER_STEPS):
            slopes = torch.autograd.grad(loss(model, support), list(model.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(model.parameters(), slopes, strict=True):
                    parameter.sub_(INNER_RATE * slope)
        slopes = torch.autograd.grad(loss(model, query), list(model.parameters()))
        totals = [total + slope / len(tasks) for total, slope in zip(totals, slopes, strict=True)]
        model.load_state_dict(start)
    for parameter, total in zip(model.parameters(), totals, strict=True):
        parameter.grad = total


def checkpointed(model: nn.Module, tasks: list[Task]) -> list[torch.Tensor]:
    """First-order MAML whose outer forward pass is computed again on the way back."""
    parts = []
    for support, query in tasks:
        weights = adapt(model, dict(model.named_parameters()), support, second=False)
        weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
        value = checkpoint(lambda w: loss_at(model, w, query), weights, use_reentrant=False)  # noqa: B023  # used at once
        parts.append(list(torch.autograd.grad(value, list(weights.values()))))
    return mean_over_tasks(parts)


#: The right steps by name, with the order that they claim and where their gradients are.
RIGHT = {
    "first_order": (first_order, 1, "gradients"),
    "second_order": (second_order, 2, "gradients"),
    "second_order_into_grad": (second_order_into_grad, 2, "grad"),
    "copies": (copies, 1, "gradients"),
    "in_place": (in_place, 1, "grad"),
    "checkpointed": (checkpointed, 1, "gradients"),
}
