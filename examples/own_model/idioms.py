"""Steps as the users of three kinds of libraries write them: right ones, and wrong ones that the idiom invites.

The libraries clone a module and adapt the clone in place with its graph kept (as learn2learn does), call a module with
parameters of its own (as higher's patched copies do), or step an optimizer that can be differentiated (as higher and
TorchOpt do). What is needed of each stands here in a few lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from network import INNER_RATE, INNER_STEPS, Task, loss
from torch import nn
from torch.func import functional_call


def clone(module: nn.Module) -> nn.Module:
    """Return a module whose parameters are those of another, as results of an operation: gradients flow through."""
    twin = module.__new__(type(module))
    vars(twin).update(vars(module))
    twin._parameters = {name: None if p is None else p.clone() for name, p in module._parameters.items()}
    twin._buffers = {name: None if b is None else b.clone() for name, b in module._buffers.items()}
    twin._modules = {name: None if m is None else clone(m) for name, m in module._modules.items()}
    return twin


def parameters_of(module: nn.Module) -> list[tuple[dict[str, Any], str]]:
    """Return where the parameters of a module and its parts lie."""
    tables = [part._parameters for part in module.modules()]
    return [(table, name) for table in tables for name, parameter in table.items() if parameter is not None]


class Learner:
    """A clone that adapts."""

    def __init__(self, module: nn.Module, *, first_order: bool) -> None:
        self.module, self.first_order = clone(module), first_order

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.module(images)

    def adapt(self, value: torch.Tensor) -> None:
        """Take an inner step along the gradient of a loss."""
        places = parameters_of(self.module)
        leaves = [table[name] for table, name in places]
        slopes = torch.autograd.grad(value, leaves, create_graph=not self.first_order)
        for (table, name), leaf, slope in zip(places, leaves, slopes, strict=True):
            table[name] = leaf - INNER_RATE * slope


class PatchedCopy:
    """A module that is called with parameters of its own."""

    def __init__(self, module: nn.Module, *, copied: bool) -> None:
        self.module, named = module, dict(module.named_parameters())
        self.fast = {name: p.detach().clone().requires_grad_() if copied else p for name, p in named.items()}

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits; batch statistics are of the batch, and the module's own buffers stay."""
        buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        return functional_call(self.module, {**self.fast, **buffers}, (images,))


class DifferentiableSGD:
    """Gradient descent on a patched copy, whose steps stay in the graph where they are tracked."""

    def __init__(self, patched: PatchedCopy, *, tracked: bool, momentum: float = 0.0) -> None:
        self.patched, self.tracked, self.momentum = patched, tracked, momentum
        self.velocity: list[Any] = [0.0] * len(patched.fast)

    def step(self, value: torch.Tensor) -> None:
        """Take an inner step along the gradient of a loss."""
        fast = self.patched.fast
        slopes = torch.autograd.grad(value, list(fast.values()), create_graph=self.tracked)
        self.velocity = [self.momentum * v + slope for v, slope in zip(self.velocity, slopes, strict=True)]
        moved = {n: p - INNER_RATE * v for (n, p), v in zip(fast.items(), self.velocity, strict=True)}
        # Without a graph the parameters are leaves of their own: no gradient comes back to those of the module.
        self.patched.fast = moved if self.tracked else {n: p.detach().requires_grad_() for n, p in moved.items()}


Step = Callable[[nn.Module, list[Task]], None]


def by_clones(*, first_order: bool = False, early: bool = False, shared: bool = False) -> Step:
    """Return a step with a learner for each task; `early` predicts before it adapts, `shared` has one for all."""

    def step(model: nn.Module, tasks: list[Task]) -> None:
        learner = Learner(model, first_order=first_order)
        for support, query in tasks:
            if not shared:
                learner = Learner(model, first_order=first_order)
            predictions = learner(query[0])
            for _ in range(INNER_STEPS):
                learner.adapt(loss(learner, support))
            if not early:
                predictions = learner(query[0])
            (nn.functional.cross_entropy(predictions, query[1]) / len(tasks)).backward(retain_graph=shared)

    return step


def by_patched_copies(*, copied: bool = False) -> Step:
    """Return a step that takes the gradients of all tasks at once, by the parameters of the module."""

    def step(model: nn.Module, tasks: list[Task]) -> None:
        total = torch.zeros(())
        for support, query in tasks:
            patched = PatchedCopy(model, copied=copied)
            for _ in range(INNER_STEPS):
                slopes = torch.autograd.grad(loss(patched, support), list(patched.fast.values()), create_graph=True)
                patched.fast = {
                    name: p - INNER_RATE * slope for (name, p), slope in zip(patched.fast.items(), slopes, strict=True)
                }
            total = total + loss(patched, query) / len(tasks)
        total.backward()

    return step


def by_optimizers(*, tracked: bool = True, momentum: float = 0.0) -> Step:
    """Return a step whose inner loop is an optimizer."""

    def step(model: nn.Module, tasks: list[Task]) -> None:
        for support, query in tasks:
            patched = PatchedCopy(model, copied=False)
            optimizer = DifferentiableSGD(patched, tracked=tracked, momentum=momentum)
            for _ in range(INNER_STEPS):
                optimizer.step(loss(patched, support))
            (loss(patched, query) / len(tasks)).backward()

    return step


#: The right steps, each with the order that it claims; all leave the gradients in `.grad`.
RIGHT_IDIOMS: dict[str, tuple[Step, Any]] = {
    "clones": (by_clones(), 2),
    "first-order clones": (by_clones(first_order=True), 1),
    "patched copies": (by_patched_copies(), 2),
    "optimizers": (by_optimizers(), 2),
}
#: The wrong ones, each with the name of its mistake.
WRONG_IDIOMS: dict[str, tuple[str, Step, Any]] = {
    "clones, first-order where second is meant": ("A01", by_clones(first_order=True), 2),
    "clones, second-order where first is meant": ("A04", by_clones(), 1),
    "clones, predictions before adaptation": ("B01", by_clones(early=True), 2),
    "clones, one learner for all tasks": ("E01", by_clones(first_order=True, shared=True), 1),
    # No gradient reaches the module in these two, as in A05 and A06: they are named together.
    "patched copies of the initial weights": ("A03", by_patched_copies(copied=True), 2),
    "optimizers that are not tracked": ("A03", by_optimizers(tracked=False), 1),
    "optimizers with momentum": ("M04", by_optimizers(momentum=0.9), 2),
}
