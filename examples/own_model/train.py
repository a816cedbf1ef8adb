"""First-order MAML with a network, as many people write it; the judge imports it and trains nothing.

python examples/own_model/train.py
refmaml check examples/own_model/train.py:problem
"""

from __future__ import annotations

import copy

import torch
from network import INNER_RATE, INNER_STEPS, Task, loss, make_model, make_tasks

import verification

OUTER_RATE = 0.05


class Learner:
    """First-order MAML: adapt a copy of the network to each task, and sum the gradients of the copies."""

    def __init__(self, seed: int = 0) -> None:
        self.network = make_model(seed)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=OUTER_RATE)

    def step(self, tasks: list[Task]) -> float:
        """Take one outer step, and return the mean query loss."""
        self.optimizer.zero_grad()
        total = 0.0
        for support, query in tasks:
            adapted = copy.deepcopy(self.network)
            inner = torch.optim.SGD(adapted.parameters(), lr=INNER_RATE)
            for _ in range(INNER_STEPS):
                inner.zero_grad()
                loss(adapted, support).backward()
                inner.step()
            inner.zero_grad()
            query_loss = loss(adapted, query)
            query_loss.backward()
            for parameter, other in zip(self.network.parameters(), adapted.parameters(), strict=True):
                share = other.grad / len(tasks)
                parameter.grad = share if parameter.grad is None else parameter.grad + share
            total += query_loss.item() / len(tasks)
        self.optimizer.step()
        return total


learner = Learner()
problem = verification.problem_of(
    learner.step,
    model=learner.network,
    inner_loss=loss,
    tasks=make_tasks(0),
    inner_steps=INNER_STEPS,
    inner_learning_rate=INNER_RATE,
    order=1,
    gives="parameters",
    outer_learning_rate=OUTER_RATE,
)

if __name__ == "__main__":
    for iteration in range(20):
        print(f"{iteration:3d}  query loss {learner.step(make_tasks(iteration)):.3f}")
