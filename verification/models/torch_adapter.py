"""PyTorch: modules, whose parameters lie in place, with buffers, `.grad`, modes and optimizers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from verification.frameworks.base import optional
from verification.models.interface import GIVES, Adapter, Gives, Parts
from verification.models.request import Request
from verification.models.torch_calls import TorchCaller
from verification.models.torch_losses import TorchHost
from verification.models.torch_state import kept, optimizers_of, seed
from verification.models.torch_watch import TorchWatch


class TorchAdapter:
    """PyTorch."""

    name = "torch"
    model = "a torch.nn.Module"
    gives: tuple[Gives, ...] = GIVES
    seeded = True
    has_own_gradients = False
    in_place = True
    is_strict = True

    def cure(self, model: Any) -> str:
        """Say how random numbers are switched off, and where they may come from in a model that draws none."""
        if model.training:
            return "switch them off (model.eval(), p = 0) for the check."
        return (
            "the model is given in evaluation mode. If the step calls model.train(), that is M01; otherwise switch "
            "them off (p = 0) for the check."
        )

    def hint(self, error: BaseException) -> str:
        """Say what helps where a fused kernel has no second derivative."""
        if "scaled_dot_product" not in str(error):
            return ""
        return (
            " PyTorch's fused attention has no second derivative on the CPU: call the model under "
            "torch.nn.attention.sdpa_kernel(SDPBackend.MATH)."
        )

    def takes(self, model: Any, *, is_named: bool) -> bool:  # noqa: ARG002  # frameworks differ in need
        """Return whether a model is a module, which nobody has who has not imported PyTorch."""
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(model, torch.nn.Module)

    def parts_of(self, model: Any) -> Parts:
        """Return what a module is made of.

        Raises:
            ValueError: it is not on the CPU, or nothing in it is trained.
        """
        named = dict(model.named_parameters())
        elsewhere = [key for key, value in named.items() if value.device.type != "cpu"]
        if elsewhere:
            raise ValueError(
                f"model: expected parameters on the CPU, but {elsewhere[0]} is not. Use a copy: model.cpu()."
            )
        trained = tuple(key for key, parameter in named.items() if parameter.requires_grad)
        if not trained:
            raise ValueError("model: expected parameters that require gradients, but it has none.")
        dtypes = {str(value.dtype) for value in named.values()}
        return Parts(
            {key: value.detach().double().numpy().copy() for key, value in named.items()},
            trained,
            frozenset(key for key, _ in model.named_parameters(remove_duplicate=False)),
            "float64" if dtypes == {"torch.float64"} else "float32",
        )

    def loss_of(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        """Return a loss(model, batch); a criterion such as `torch.nn.MSELoss()` is called with outputs and targets."""
        return _Criterion(loss) if isinstance(loss, optional("torch", "torch").nn.Module) else loss

    def optimizers_of(self, model: Any) -> tuple[Any, ...]:
        """Return the optimizers that hold a parameter of a model."""
        return tuple(optimizers_of(model))

    def copied(self, model: Any) -> Any:
        """Return a deep copy of a module."""
        return deepcopy(model)

    def left_by_block(self, model: Any) -> Callable[[], Any]:
        """Return what reads `.grad` after a block.

        A block that cleared `.grad` first leaves a new tensor, or the old one from 0: both are what it computed. What
        it only added to has the old gradient in it, and is as wrong as the next optimizer step that uses it.
        """
        parameters = dict(model.named_parameters())
        before = {name: (leaf.grad, getattr(leaf.grad, "_version", None)) for name, leaf in parameters.items()}

        def read() -> dict[str, Any]:
            found = {}
            for name, parameter in parameters.items():
                slope, (old, version) = parameter.grad, before[name]
                untouched = slope is not None and slope is old and slope._version == version  # nobody wrote to it
                found[name] = None if slope is None or untouched else slope.detach().clone()
            return found

        return read

    def kept(self, request: Request) -> AbstractContextManager[None]:
        """Put model, optimizers and random numbers back."""
        return kept(request.model, request.optimizers)

    def computing(self) -> AbstractContextManager[None]:
        """Do nothing: float64 is always there."""
        return nullcontext()

    def calling(self, dtype: str) -> AbstractContextManager[None]:  # noqa: ARG002  # frameworks differ in need
        """Do nothing."""
        return nullcontext()

    def seed(self, number: int) -> None:
        """Begin the random numbers of Python, NumPy and PyTorch anew."""
        seed(number)

    def caller(self, request: Request, dtype: str) -> TorchCaller:
        """Return what calls a request's step in a precision."""
        return TorchCaller(request, dtype)

    def host(self, request: Request, dtype: str) -> TorchHost:
        """Return a copy of a request's model in a precision."""
        return TorchHost(request.model, dtype)

    def watch(self, step: Callable[..., Any]) -> TorchWatch:  # noqa: ARG002
        """Return what watches a call."""
        return TorchWatch()


@dataclass(frozen=True)
class _Criterion:
    """The loss of a criterion on a batch of inputs and targets; equal for one criterion."""

    criterion: Any

    def __call__(self, model: Any, batch: Any) -> Any:
        inputs, targets = batch
        return self.criterion(model(inputs), targets)


_: type[Adapter] = TorchAdapter
