"""Calling a training step on its own PyTorch model, and reading the meta-gradient that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import optional
from verification.models.forms import reals
from verification.models.interface import Gradients
from verification.models.request import Request
from verification.models.torch_losses import in_precision
from verification.models.torch_state import begin_anew
from verification.models.torch_watch import TorchWatch


@dataclass
class TorchCaller:
    """A request's own model in a precision: a step may have it, and is not asked whether."""

    request: Request
    dtype: str
    before: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> Any:
        """The model itself."""
        return self.request.model

    def begin(self, call: int) -> bool:
        """Bring the parameters to θ; later in calls only where they still are."""
        if call == 0:
            begin_anew(self.model, self.request.optimizers, self.dtype)
        elif not self._again():
            return False
        self.objects = dict(self.model.named_parameters())
        self.before = {name: parameter.detach().clone() for name, parameter in self.objects.items()}
        return True

    def _again(self) -> bool:
        """Bring the parameters back to θ for a second call; `.grad` stays where nobody reads it."""
        torch = optional("torch", "torch")
        parameters = dict(self.model.named_parameters())
        if parameters.keys() != self.request.parameters.keys():
            return False
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(self.request.parameters[name]).to(getattr(torch, self.dtype)))
                if self.request.gives == "grad":
                    parameter.grad = None
        return True

    def cast(self, tasks: Sequence[Any]) -> Any:
        """Return fresh copies of tasks in the precision."""
        return in_precision(list(tasks), getattr(optional("torch", "torch"), self.dtype))

    def read(self, result: Any) -> Gradients | str:
        """Return the gradients that a call left, as the request says where they are."""
        found = self._found(result)
        return found if isinstance(found, str) else reals({name: _array(leaf) for name, leaf in found.items()})

    def precisions(self, step: Callable[..., Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> set[str]:
        """Return the precisions of the results of all operations of a call."""
        watch = TorchWatch()
        with watch.mode():
            step(*positional, **keywords)
        return watch.precisions

    def draws(self, step: Any, positional: Any, keywords: Any) -> set[str]:  # noqa: ARG002  # frameworks differ in need
        """Return nothing: watching shows all."""
        return set()

    def _found(self, result: Any) -> dict[str, Any] | str:
        if self.request.gives == "parameters":
            now = dict(self.model.named_parameters())
            rate = float(self.request.outer_learning_rate or 1.0)
            return {
                name: (before.double() - now[name].detach().double()) / rate
                for name, before in self.before.items()
                if name in now
            }
        # Of the parameters that the caller's optimizer holds, whatever the model is made of now.
        left = {name: parameter.grad for name, parameter in self.objects.items()}
        is_empty = all(leaf is None for leaf in left.values())
        if self.request.gives == "grad" and not is_empty:
            return left
        found = _by_name(self.request, result)
        if self.request.gives == "grad":
            is_there = isinstance(found, dict) and found
            return 'expected gradients in `.grad`, but it returned them (gives="gradients")' if is_there else left
        return found if is_empty or isinstance(found, dict) else f'{found}, and it filled `.grad` (gives="grad")'


def _by_name(request: Request, result: Any) -> dict[str, Any] | str:
    """Return gradients by name of what a step returned; a sentence where it is no container of gradients."""
    torch = optional("torch", "torch")
    names = list(request.parameters)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping | list | tuple):
        result = result[1]  # (loss, gradients)
    if isinstance(result, Mapping):
        owners = {id(parameter): name for name, parameter in request.model.named_parameters()}
        by_name = {key if isinstance(key, str) else owners.get(id(key), str(key)): leaf for key, leaf in result.items()}
        unknown = [key for key in by_name if key not in request.all_names]
        if unknown:
            return f"expected gradients by the names of parameters, but got {', '.join(map(repr, unknown[:3]))}"
        return {name: by_name[name] for name in names if name in by_name}
    if isinstance(result, Iterable) and not torch.is_tensor(result) and not isinstance(result, str | bytes):
        leaves = list(result)
        trained = list(request.trained)
        for order in (names, trained):
            if len(order) == len(leaves):
                return dict(zip(order, leaves, strict=True))
        return f"expected {len(trained)} gradients, one for each parameter, but got {len(leaves)}"
    return f"expected a container of gradients as its result, but it returned {type(result).__name__}"


def _array(leaf: Any) -> NDArray[Any] | None:
    torch = optional("torch", "torch")
    if leaf is None:
        return None
    if torch.is_tensor(leaf):
        leaf = leaf.detach().to("cpu")
        leaf = leaf.to_dense() if leaf.is_sparse else leaf
        leaf = (leaf.double() if leaf.is_floating_point() else leaf.resolve_conj().resolve_neg()).numpy()
    return np.asarray(leaf)
