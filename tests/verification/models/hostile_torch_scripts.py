"""Training steps on a model of PyTorch that do harm: each is right, but for what the name of its problem says."""

import os
import threading

import torch

import verification

RATE, STEPS = 0.125, 2
torch.manual_seed(0)
MODEL = torch.nn.Linear(2, 1)
TASKS = [tuple((torch.randn(4, 2), torch.randn(4, 1)) for _ in range(2)) for _ in range(3)]


def loss(model, batch):
    """Return the mean square error."""
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def gradients(parameters, batch):
    """Return the gradients of the loss at some parameters."""
    weight, bias = (leaf.detach().requires_grad_() for leaf in parameters)
    cost = ((batch[0] @ weight.T + bias - batch[1]) ** 2).mean()
    return torch.autograd.grad(cost, (weight, bias))


def right(model, tasks):
    """Return the right first-order meta-gradient."""
    total = [torch.zeros_like(leaf) for leaf in model.parameters()]
    for support, query in tasks:
        fast = list(model.parameters())
        for _ in range(STEPS):
            fast = [leaf - RATE * slope for leaf, slope in zip(fast, gradients(fast, support), strict=True)]
        total = [one + slope / len(tasks) for one, slope in zip(total, gradients(fast, query), strict=True)]
    return total


def problem_of(step):
    """Return the problem of a step."""
    return verification.problem_of(
        step, model=MODEL, inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE, order=1
    )


def after(harm):
    """Return the problem of a step that does something once it has its answer."""

    def step(model, tasks):
        found = right(model, tasks)
        harm()
        return found

    return problem_of(step)


def changed(change):
    """Return the problem of a step that returns its answer changed."""
    return problem_of(lambda model, tasks: [change(leaf) for leaf in right(model, tasks)])


def exits_in_backward():
    leaf = torch.ones(1, requires_grad=True)
    leaf.register_hook(lambda _: os._exit(0))
    (leaf * 2).backward()


sets_the_default_device = after(lambda: torch.set_default_device("meta"))
sets_the_default_dtype = after(lambda: torch.set_default_dtype(torch.float16))
switches_gradients_off = after(lambda: torch.set_grad_enabled(False))
exits_in_a_backward_pass = after(exits_in_backward)
exits_from_a_thread = after(lambda: threading.Thread(target=os._exit, args=(0,)).start() or threading.Event().wait(9))
returns_complex_numbers = changed(lambda leaf: torch.complex(leaf, torch.ones_like(leaf)))
returns_tensors_without_numbers = changed(lambda leaf: leaf.to("meta"))
returns_sparse_tensors = changed(lambda leaf: leaf.to_sparse())
returns_views_of_absurd_size = changed(lambda leaf: torch.zeros(1).expand(2**40))
