"""Watching every operation of PyTorch: disturbing its result, finding random numbers and lower precisions.

A bias in front of batch normalisation has a true gradient of 0 and one of 10⁻¹⁷ in correct code, which is the rounding
of terms that cancel. Disturbing the inputs of a step allows it nothing; disturbing the result of every operation, on
the way forward and back, shows how much rounding is left.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verification.frameworks.base import optional
from verification.models.interface import Watch

#: Signs that disturbances are cut from, drawn once: as many again for each operation would take as long as it does.
_SIGNS = 2**20


@dataclass(frozen=True, eq=False)
class Disturbance:
    """A relative change of ±δ, with signs of its own for every operation."""

    delta: float
    rng: np.random.Generator
    signs: list[Any] = field(default_factory=list)

    @contextmanager
    def mode(self) -> Iterator[None]:
        """Disturb the result of every operation that runs inside, those of a backward pass included."""
        with _mode(self._after):
            yield

    def moved(self, tensor: Any) -> Any:
        """Return a tensor of floating point with each entry changed by a relative ±δ."""
        return tensor * self._factors(tensor)

    def _factors(self, tensor: Any) -> Any:
        torch = optional("torch", "torch")
        count = tensor.numel()
        if not self.signs or self.signs[0].numel() < 2 * count:
            size = max(_SIGNS, 2 * count)
            factors = self.rng.integers(0, 2, size, np.int8).astype(np.float64)
            factors *= 2 * self.delta
            factors += 1 - self.delta
            self.signs[:] = [torch.from_numpy(factors)]
        start = int(self.rng.integers(self.signs[0].numel() - count + 1))
        return self.signs[0][start : start + count].reshape(tensor.shape).to(tensor.dtype)

    def _after(self, operation: Any, found: Any) -> Any:
        results = found if isinstance(found, tuple) else (found,)
        returns = operation._schema.returns
        if len(results) != len(returns):  # a list of tensors: views of one tensor mostly
            return found
        moved = tuple(self._result(result, known.alias_info) for result, known in zip(results, returns, strict=True))
        return moved if isinstance(found, tuple) else moved[0]

    def _result(self, result: Any, alias: Any) -> Any:
        torch = optional("torch", "torch")
        # A tensor of PyTorch's that is 0 everywhere has no memory behind it: it stays 0, and must not be written to.
        if not torch.is_tensor(result) or not result.is_floating_point() or result._is_zerotensor():
            return result
        if result.device.type == "meta":
            return result  # a shape without numbers
        if alias is None:
            return self.moved(result)
        if alias.is_write:
            return result.mul_(self._factors(result))
        return result  # a view


@dataclass
class TorchWatch(Watch):
    """What operations of PyTorch gave away: also the precisions of their results."""

    precisions: set[str] = field(default_factory=set)

    @contextmanager
    def mode(self) -> Iterator[None]:
        """Watch every operation that runs inside."""
        with _mode(self._after):
            yield

    def _after(self, operation: Any, found: Any) -> Any:
        torch = optional("torch", "torch")
        name = operation._schema.name.removeprefix("aten::")
        if torch.Tag.nondeterministic_seeded in operation.tags and name not in self.random:
            self.random[name] = _place()
        for result in found if isinstance(found, tuple | list) else (found,):
            if torch.is_tensor(result) and result.is_floating_point():
                self.precisions.add(str(result.dtype).removeprefix("torch."))
        return found


def _place() -> str:
    """Return the innermost line of the program that is neither PyTorch's nor the judge's."""
    theirs = (*optional("torch", "torch").__path__, str(Path(__file__).parents[1]))
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith((*theirs, "<")):
            return f"{Path(frame.filename).name}, line {frame.lineno}"
    return "an unknown place"


@contextmanager
def _mode(after: Callable[[Any, Any], Any]) -> Iterator[None]:
    dispatch = optional("torch.utils._python_dispatch", "torch")

    def handle(_: Any, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG001  # torch's
        return after(operation, operation(*args, **(kwargs or {})))

    # Made here, since PyTorch is imported only where it is used, and a class needs its base. PyTorch keeps its compiler
    # off a mode, and for that imports the compiler, which takes seconds: who uses it has imported it.
    skips = classmethod(lambda _: "torch._dynamo" in sys.modules)
    mode = type("Mode", (dispatch.TorchDispatchMode,), {"__torch_dispatch__": handle, "_should_skip_dynamo": skips})
    with mode():
        yield
