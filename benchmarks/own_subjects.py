"""First-order and second-order MAML on a network in functional PyTorch: right, and with one mistake each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.func import functional_call

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Step:
    """A training step; every field but the first that differs from its default is a mistake."""

    order: int
    is_switched: bool = False  # the graph of the inner gradients is kept at first order, and not at second
    more_steps: int = 0
    scale: float = 1.0  # of the inner gradient
    is_summed: bool = False  # the inner loss, over examples
    inner: int = 0  # which batch of a task the inner loop has
    outer: int = 1
    tasks: str = "mean"
    is_before_adaptation: bool = False
    is_at_start: bool = False  # every inner gradient is taken at θ
    is_from_start: bool = False  # every inner step begins at θ
    kept: str = ""  # what parameters that do not adapt begin with
    carries_over: bool = False
    decay: float = 0.0
    momentum: float = 0.0
    limit: float = 0.0  # of the norm of the inner gradient
    evaluates: bool = False  # the query loss is taken in evaluation mode
    is_of_all_points: bool = False

    def __call__(self, model: Any, tasks: Any, inner_loss: Any, inner_steps: int, inner_learning_rate: float) -> Any:
        """Return the gradients in the order of the parameters."""
        theta = dict(model.named_parameters())
        start, parts = theta, []
        for task in tasks:
            points = [start]
            velocity = [torch.zeros_like(leaf) for leaf in start.values()]
            for _ in range(inner_steps + self.more_steps):
                slopes = self._slopes(model, points, task[self.inner], inner_loss)
                velocity = [self.momentum * v + slope for v, slope in zip(velocity, slopes, strict=True)]
                leaves = zip((points[0] if self.is_from_start else points[-1]).items(), velocity, strict=True)
                points.append({name: leaf - inner_learning_rate * v for (name, leaf), v in leaves})
            start = points[-1] if self.carries_over else theta
            ends = points[1:] if self.is_of_all_points else [points[0 if self.is_before_adaptation else -1]]
            was = model.training
            model.train(was and not self.evaluates)
            slopes = [self._outer_slopes(theta, end, _loss(model, end, task[self.outer], inner_loss)) for end in ends]
            model.train(was)
            parts.append([sum(leaves) for leaves in zip(*slopes, strict=True)])
        return [self._reduced(leaves) for leaves in zip(*parts, strict=True)]

    @property
    def _has_graph(self) -> bool:
        return (self.order == 2) != self.is_switched

    def _slopes(self, model: Any, points: list[Weights], batch: Any, loss: Any) -> list[torch.Tensor]:
        at = points[0 if self.is_at_start else -1]
        value = _loss(model, at, batch, loss) * (len(batch[1]) if self.is_summed else 1)
        found = torch.autograd.grad(value, list(at.values()), create_graph=self._has_graph)
        slopes = [self.scale * slope + self.decay * leaf for slope, leaf in zip(found, at.values(), strict=True)]
        if self.limit:
            norm = torch.sqrt(sum((slope**2).sum() for slope in slopes))
            slopes = [slope * torch.clamp(self.limit / (norm + 1e-6), max=1.0) for slope in slopes]
        if self.kept:
            slopes = [0 * s if name.startswith(self.kept) else s for name, s in zip(at, slopes, strict=True)]
        return slopes

    def _outer_slopes(self, theta: Weights, end: Weights, value: torch.Tensor) -> Any:
        by = theta if self.order == 2 or self.is_switched else end
        return torch.autograd.grad(value, list(by.values()), retain_graph=True)

    def _reduced(self, leaves: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if self.tasks == "last":
            return leaves[-1]
        return sum(leaves) / {"mean": len(leaves), "sum": 1, "twice": len(leaves) ** 2}[self.tasks]


def _loss(model: Any, weights: Weights, batch: Any, loss: Any) -> torch.Tensor:
    """Return the loss with other weights; batch statistics are of the batch, and the model's own buffers stay."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return loss(lambda x: functional_call(model, {**weights, **buffers}, (x,)), batch)


def into_grad(model: Any, tasks: Any, inner_loss: Any, inner_steps: int, inner_learning_rate: float) -> None:
    """Leave the gradients of second-order MAML in `.grad`, one task after the other."""
    for task in tasks:
        found = Step(2)(model, [task], inner_loss, inner_steps, inner_learning_rate)
        for parameter, slope in zip(model.parameters(), found, strict=True):
            share = slope / len(tasks)
            parameter.grad = share if parameter.grad is None else parameter.grad + share


#: Mistakes by the name that the judge should give first: at first order, at second order where it is another one.
MISTAKES: dict[str, dict[str, Any]] = {
    "A04 A01": {"is_switched": True},
    "B01": {"is_before_adaptation": True},
    "B02": {"more_steps": -1},
    "B03": {"more_steps": 1},
    "B06": {"is_at_start": True},
    "B07": {"is_from_start": True},
    "C01": {"outer": 0},
    "C03": {"inner": 1, "outer": 0},
    "C04": {"inner": 1},
    "C05": {"is_summed": True},
    "D01": {"tasks": "sum"},
    "D02": {"tasks": "twice"},
    "D03": {"tasks": "last"},
    "E01": {"carries_over": True},
    "F03": {"kept": "LAST"},
    "G02": {"scale": -1.0},
    "G06": {"decay": 0.05},
    "G10": {"scale": 0.5},
    "M01": {"evaluates": True},
    "M02": {"limit": 0.5},
    "M04": {"momentum": 0.9},
    "M07": {"is_of_all_points": True},
}
