"""First-order MAML in PyTorch with a mistake, on purpose: `torch_fomaml.py` with another `fomaml_step`.

    python examples/torch_fomaml_wrong.py
    refmaml verify examples/torch_fomaml_wrong.py:subject

The network's outputs are computed once, next to the copy, and the query set's are never computed again. The outer loss
is that of the parameters before adaptation, so that the whole inner loop has no effect on what is learned. Nothing
raises and the loss goes down. The toy example of learn2learn had the same line in the same place for years: one
``proposal = learner()`` before ``adapt``, and both losses from it (learnables/learn2learn#420).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_fomaml import Learner, Loss, Task, answer, train


def fomaml_step(
    model: nn.Module, tasks: Sequence[Task], inner_loss: Loss, outer_loss: Loss, steps: int, rate: float
) -> Tensor:
    """Add what should be the first-order meta-gradient to the `grad` of the parameters; return the mean loss."""
    losses = []
    for support, query in tasks:
        learner = Learner(model)
        fitted, predicted = learner(support.x), learner(query.x)
        for _ in range(steps):
            learner.adapt(inner_loss(fitted, support.y), rate)
            fitted = learner(support.x)
        loss = outer_loss(predicted, query.y)  # the mistake: `predicted` is from before the loop
        (loss / len(tasks)).backward()
        losses.append(loss.detach())
    return torch.stack(losses).mean()


def subject(problem: Any) -> tuple[Tensor, Any]:
    """Answer a problem with the wrong `fomaml_step`."""
    return answer(fomaml_step, problem)


if __name__ == "__main__":
    train(fomaml_step)
