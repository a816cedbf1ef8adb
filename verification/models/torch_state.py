"""The state of a PyTorch program, put back as it was to the last bit.

What is put back: the model's parameters, their storage and `.grad`, its buffers, its modes and whatever else its
modules hold; every optimizer that holds one of its parameters; the random numbers of Python, NumPy and PyTorch.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from verification.frameworks.base import optional
from verification.models import python_state
from verification.models.python_state import Restore


@contextmanager
def kept(model: Any, optimizers: Sequence[Any]) -> Iterator[None]:
    """Put everything back afterwards, whatever happened."""
    restores = [_module(module) for module in model.modules()]
    restores += [_tensor(tensor) for tensor in _tensors(model)]
    restores += [_optimizer(found) for found in optimizers]
    restores += [random_numbers(), _precision()]
    try:
        yield
    finally:
        for restore in restores:
            restore()


def optimizers_of(model: Any) -> list[Any]:
    """Return every optimizer that is alive and holds a parameter of the model: a look at all objects that there are."""
    torch = optional("torch", "torch")
    held = {id(parameter) for parameter in model.parameters()}
    kinds = _kinds_of(torch.optim.Optimizer)
    return [
        found
        for found in gc.get_objects()
        if type(found) in kinds  # an `isinstance` takes longer, and asks proxies that may raise
        and any(id(parameter) in held for group in found.param_groups for parameter in group["params"])
    ]


def _kinds_of(kind: type) -> set[type]:
    """Return a class and all classes that are made of it."""
    return {kind}.union(*map(_kinds_of, type.__subclasses__(kind)))


def random_numbers() -> Restore:
    """Return what puts the random numbers of Python, NumPy and PyTorch back where they are now."""
    torch = optional("torch", "torch")
    others, of_torch = python_state.random_numbers(), torch.get_rng_state()
    of_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore() -> None:
        others()
        torch.set_rng_state(of_torch)
        if of_devices:
            torch.cuda.set_rng_state_all(of_devices)

    return restore


def seed(number: int) -> None:
    """Begin the random numbers of Python, NumPy and PyTorch anew."""
    torch = optional("torch", "torch")
    python_state.seed(number)
    torch.manual_seed(number)


def _precision() -> Restore:
    torch = optional("torch", "torch")
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()

    def restore() -> None:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)

    return restore


def _tensors(model: Any) -> list[Any]:
    """Return parameters and buffers, and plain tensors that modules hold as attributes."""
    torch = optional("torch", "torch")
    found = [*model.parameters(), *model.buffers()]
    found += [value for module in model.modules() for value in vars(module).values() if torch.is_tensor(value)]
    return list({id(tensor): tensor for tensor in found}.values())


def _tensor(tensor: Any) -> Restore:
    torch = optional("torch", "torch")
    data, requires = tensor.data, tensor.requires_grad
    copied, gradient = data.clone(), tensor.grad if tensor.is_leaf else None
    slope = None if gradient is None else gradient.detach().clone()

    def restore() -> None:
        with torch.no_grad():
            if tensor.is_leaf:
                tensor.data = data
                tensor.requires_grad_(requires)
                tensor.grad = gradient
            data.copy_(copied)
            if gradient is not None and slope is not None:
                gradient.detach().copy_(slope)

    return restore


def _module(module: Any) -> Restore:
    """Keep what a module holds, its tables of parameters, buffers, modules and hooks included."""
    held = vars(module)
    attributes = dict(held)
    tables = [(table, table.copy()) for table in attributes.values() if isinstance(table, dict | set | list)]

    def restore() -> None:
        held.clear()
        held.update(attributes)
        for table, entries in tables:
            table.clear()
            if isinstance(table, list):
                table.extend(entries)
            else:
                table.update(entries)

    return restore


def _optimizer(optimizer: Any) -> Restore:
    torch = optional("torch", "torch")
    groups = [(group, {**group, "params": list(group["params"])}) for group in optimizer.param_groups]
    listed = list(optimizer.param_groups)
    state = {parameter: dict(entries) for parameter, entries in optimizer.state.items()}
    copies = [
        (entry, entry.clone()) for entries in state.values() for entry in entries.values() if torch.is_tensor(entry)
    ]

    def restore() -> None:
        optimizer.param_groups[:] = listed
        for group, entries in groups:
            group.clear()
            group.update(entries)
        optimizer.state.clear()
        optimizer.state.update(state)
        with torch.no_grad():
            for entry, copied in copies:
                entry.copy_(copied)

    return restore


def begin_anew(model: Any, optimizers: Sequence[Any], dtype: str) -> None:
    """Bring a model and its optimizers to where a first step in a precision begins, each tensor in its place.

    Parameters stay the objects that closures and optimizers hold; `.grad` and the state of optimizers are cleared.
    """
    torch = optional("torch", "torch")
    precision = getattr(torch, dtype)
    torch.set_default_dtype(precision)
    for tensor in _tensors(model):
        if tensor.is_leaf:
            tensor.grad = None
            tensor.data = tensor.data.to(precision, copy=True) if tensor.is_floating_point() else tensor.data.clone()
    for optimizer in optimizers:
        optimizer.state.clear()
