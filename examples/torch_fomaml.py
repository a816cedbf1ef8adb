"""First-order MAML in PyTorch, and the adapter by which it is verified.

    python examples/torch_fomaml.py
    refmaml verify examples/torch_fomaml.py:subject

The first part is meta-learning as a project of its own would have it, and knows nothing of `refmaml`: a `Learner` that
adapts a copy of a module's parameters, `fomaml_step`, and the sinusoid regression of Finn, Abbeel and Levine (2017,
section 5.1) in small. The second part is all that verifying it takes: `Variables` and `subject`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import mse_loss
from torch.utils._pytree import tree_flatten, tree_unflatten


class Batch(NamedTuple):
    """Examples of one task: inputs and targets."""

    x: Any
    y: Any


Task: TypeAlias = tuple[Batch, Batch]  # support set and query set
Loss: TypeAlias = Callable[[Any, Any], Tensor]  # of a module's output and the targets
Step: TypeAlias = Callable[[nn.Module, Sequence[Task], Loss, Loss, int, float], Tensor]


class Learner:
    """A copy of a module's parameters that adapts to one task and leaves the module as it is."""

    def __init__(self, module: nn.Module) -> None:
        """Copy the parameters with `clone`, which gradients pass through: the outer loss reaches the module's own."""
        self.module = module
        self.weights = {name: parameter.clone() for name, parameter in module.named_parameters()}

    def __call__(self, x: Any) -> Any:
        """Return the module's output with the weights of the learner."""
        return functional_call(self.module, self.weights, (x,))

    def adapt(self, loss: Tensor, rate: float) -> None:
        """Descend along the gradient of `loss`, which is a constant here: that makes the method first-order."""
        gradients = torch.autograd.grad(loss, list(self.weights.values()), allow_unused=True)
        self.weights = {
            name: weight if gradient is None else weight - rate * gradient
            for (name, weight), gradient in zip(self.weights.items(), gradients, strict=True)
        }


def fomaml_step(
    model: nn.Module, tasks: Sequence[Task], inner_loss: Loss, outer_loss: Loss, steps: int, rate: float
) -> Tensor:
    """Add the first-order meta-gradient to the `grad` of the model's parameters; return the mean outer loss."""
    losses = []
    for support, query in tasks:
        learner = Learner(model)
        for _ in range(steps):
            learner.adapt(inner_loss(learner(support.x), support.y), rate)
        loss = outer_loss(learner(query.x), query.y)
        (loss / len(tasks)).backward()
        losses.append(loss.detach())
    return torch.stack(losses).mean()


# The sinusoid tasks, in small


def sinusoids(count: int, generator: torch.Generator) -> list[Task]:
    """Return regression tasks y = a sin(x + p) with random amplitude and phase, ten examples in each set."""
    tasks = []
    for amplitude, phase in torch.rand(count, 2, generator=generator):
        x = 10 * torch.rand(2, 10, 1, generator=generator) - 5
        y = (0.1 + 4.9 * amplitude) * torch.sin(x + math.pi * phase)
        tasks.append((Batch(x[0], y[0]), Batch(x[1], y[1])))
    return tasks


def train(step: Step, iterations: int = 150, steps: int = 3, rate: float = 0.02) -> None:
    """Meta-train a small network with `step` and print its loss on new tasks, after adaptation, before and after."""
    torch.manual_seed(1)
    data, held_out = torch.Generator().manual_seed(2), sinusoids(50, torch.Generator().manual_seed(3))
    model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    print(f"before meta-training: {adapted_loss(model, held_out, steps, rate):.3f}")
    for _ in range(iterations):
        optimizer.zero_grad()
        step(model, sinusoids(4, data), mse_loss, mse_loss, steps, rate)
        optimizer.step()
    print(f"after meta-training:  {adapted_loss(model, held_out, steps, rate):.3f}")


def adapted_loss(model: nn.Module, tasks: Sequence[Task], steps: int, rate: float) -> float:
    """Return the mean loss on the query sets of `tasks`, each after adaptation to its support set."""
    losses = []
    for support, query in tasks:
        learner = Learner(model)
        for _ in range(steps):
            learner.adapt(mse_loss(learner(support.x), support.y), rate)
        losses.append(mse_loss(learner(query.x), query.y).item())
    return sum(losses) / len(losses)


# The adapter


class Variables(nn.Module):
    """A problem's nested variables as a module without inputs, whose output is the variables."""

    def __init__(self, variables: Any) -> None:
        super().__init__()
        leaves, self.nesting = tree_flatten(variables)
        self.leaves = nn.ParameterList(leaves)

    def forward(self, _: None) -> Any:
        """Return the variables, nested as they were given."""
        return tree_unflatten(list(self.leaves), self.nesting)

    def gradients(self) -> Any:
        """Return what was accumulated, nested likewise; PyTorch has None where no loss uses a parameter: that is 0."""
        return tree_unflatten([torch.zeros_like(p) if p.grad is None else p.grad for p in self.leaves], self.nesting)


def answer(step: Step, problem: Any) -> tuple[Tensor, Any]:
    """Put a problem to `step`. Its costs want whole batches and variables: these pass as targets and as outputs."""
    model = Variables(problem.variables)
    tasks = [(Batch(None, support), Batch(None, query)) for support, query in problem.tasks()]

    def inner_loss(v: Any, batch: Any) -> Any:
        return problem.inner_cost(batch, v)

    def outer_loss(v: Any, batch: Any) -> Any:
        return problem.outer_cost(batch, v)

    cost = step(model, tasks, inner_loss, outer_loss, problem.inner_grad_steps, problem.inner_learning_rate)
    return cost, model.gradients()


def subject(problem: Any) -> tuple[Tensor, Any]:
    """Answer a problem with `fomaml_step`."""
    return answer(fomaml_step, problem)


if __name__ == "__main__":
    train(fomaml_step)
