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
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from verification.frameworks.base import optional
from verification.models.interface import Watch

#: Signs that disturbances are cut from, drawn once: as many again for each operation would take as long as it does.
_SIGNS = 2**17


@dataclass(eq=False)
class Disturbance:
    """A relative change of ±δ, with signs of its own for every operation.

    `factors` are 1 ± δ; each operation takes those that follow the last one's, from `start` on.
    """

    delta: float
    rng: np.random.Generator
    factors: Any = None
    start: int = 0

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
        if self.factors is None or len(self.factors) < 2 * count:
            factors = self.rng.integers(0, 2, max(_SIGNS, 2 * count), np.int8).astype(np.float64)
            factors *= 2 * self.delta
            factors += 1 - self.delta
            self.factors, self.start = torch.from_numpy(factors), 0
        elif self.start + count > len(self.factors):
            self.start = int(self.rng.integers(count))  # so that a second time they do not meet the same operations
        found = self.factors.narrow(0, self.start, count).view(tensor.shape)
        self.start += count
        return found if tensor.dtype is found.dtype else found.to(tensor.dtype)

    def _after(self, operation: Any, found: Any) -> Any:
        results = found if isinstance(found, tuple) else (found,)
        fates = _fates(operation)
        if len(results) != len(fates):  # a list of tensors: views of one tensor mostly
            return found
        moved = tuple(self._result(result, fate) for result, fate in zip(results, fates, strict=True))
        return moved if isinstance(found, tuple) else moved[0]

    def _result(self, result: Any, fate: str) -> Any:
        if fate == _VIEW or not _is_floating(result):
            return result
        # A tensor of PyTorch's that is 0 everywhere has no memory behind it: it stays 0, and must not be written to.
        if result._is_zerotensor() or result.is_meta:  # or a shape without numbers
            return result
        return self.moved(result) if fate == _NEW else result.mul_(self._factors(result))


_NEW, _WRITTEN, _VIEW = "new", "written", "view"


@cache
def _fates(operation: Any) -> tuple[str, ...]:
    """Return for each result of an operation whether it is new, an argument that was written to, or a view of one.

    They are kept, since reading a schema takes longer than many an operation on few numbers.
    """
    aliases = [known.alias_info for known in operation._schema.returns]
    return tuple(_NEW if alias is None else _WRITTEN if alias.is_write else _VIEW for alias in aliases)


@cache
def _draws(operation: Any) -> str:
    """Return the name of an operation that draws random numbers, or nothing for another one."""
    torch = optional("torch", "torch")
    name: str = operation._schema.name.removeprefix("aten::")
    return name if torch.Tag.nondeterministic_seeded in operation.tags else ""


def _is_floating(result: Any) -> bool:
    torch = optional("torch", "torch")
    return bool(torch.is_tensor(result) and result.is_floating_point())


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
        name = _draws(operation)
        if name and name not in self.random:
            self.random[name] = _place()
        for result in found if isinstance(found, tuple | list) else (found,):
            if _is_floating(result):
                self.precisions.add(_name(result.dtype))
        return found


@cache
def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


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
