"""One subject on PyTorch that answers each call with another kind of tensor, in turn."""

import torch
from hostile_subjects import right
from torch._subclasses.fake_tensor import FakeTensorMode


def _fake(leaf):
    with FakeTensorMode():
        return torch.zeros(leaf.shape)


#: What each kind makes of a right gradient.
KINDS = {
    "sparse": lambda leaf: leaf.to_sparse(),
    "meta": lambda leaf: leaf.to("meta"),
    "bfloat16": lambda leaf: leaf.to(torch.bfloat16),
    "fake": _fake,
    "complex": lambda leaf: leaf + 0j,
    "truths": lambda leaf: leaf > 0,
    "quantized": lambda leaf: torch.quantize_per_tensor(leaf.float(), 0.1, 0, torch.qint8),
    "expanded to 10¹² entries": lambda leaf: torch.ones(()).expand(10**6, 10**6),
    "a module": lambda leaf: torch.nn.Linear(2, 2),
    "requires a gradient, right": lambda leaf: leaf.detach().clone().requires_grad_(),
    "a negative view, right": lambda leaf: torch.complex(torch.zeros_like(leaf), -leaf).conj().imag,
    "default device": lambda leaf: (torch.set_default_device("meta"), leaf)[1],
}
CALLS = iter(KINDS)


def subject(problem):
    """Answer in the way whose turn it is."""
    kind = next(CALLS)
    cost, gradients = right(problem)
    return cost, {**gradients, "w1": KINDS[kind](gradients["w1"])}
