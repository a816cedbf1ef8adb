"""NumPy: containers of arrays, losses in autograd.numpy or with gradients of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from verification.models import python_state
from verification.models.calls import takes
from verification.models.forms import read
from verification.models.interface import Adapter, Gradients, Parts, Watch
from verification.models.numpy_losses import NumpyHost
from verification.models.numpy_trees import cast, leaves_of, parameters_in
from verification.models.request import Request
from verification.models.values import OfValues


class NumpyAdapter(OfValues):
    """NumPy."""

    name = "numpy"
    model = "a container of NumPy arrays"
    has_own_gradients = True

    def cure(self, model: Any) -> str:  # noqa: ARG002  # frameworks differ in need
        """Say how random numbers are the same every time."""
        return "switch them off, or begin them anew in every call, for the check."

    def hint(self, error: BaseException) -> str:  # noqa: ARG002  # as above
        """Say nothing: the step is all the user's own code."""
        return ""

    def takes(self, model: Any, *, is_named: bool) -> bool:  # noqa: ARG002  # frameworks differ in need
        """Return whether a model is a container of arrays."""
        return bool(parameters_in(model))

    def parts_of(self, model: Any) -> Parts:
        """Return what a container is made of."""
        found = {name: leaf for name, (_, leaf) in parameters_in(model).items()}
        values = {name: np.array(leaf, np.float64) for name, leaf in found.items()}
        single = any(isinstance(leaf, np.ndarray | np.generic) and leaf.dtype != np.float64 for leaf in found.values())
        return Parts(values, tuple(values), frozenset(values), "float32" if single else "float64")

    def copied(self, model: Any) -> Any:
        """Return a copy of a container and its arrays."""
        return cast(model, "float64") if self.parts_of(model).precision == "float64" else cast(model, "float32")

    def computing(self) -> AbstractContextManager[None]:
        """Do nothing: float64 is always there."""
        return nullcontext()

    def calling(self, dtype: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Do nothing."""
        return nullcontext()

    def caller(self, request: Request, dtype: str) -> NumpyCaller:
        """Return what calls a request's step in a precision."""
        return NumpyCaller(request, dtype)

    def host(self, request: Request, dtype: str) -> NumpyHost:
        """Return a request's model in a precision."""
        return NumpyHost(request.model, dtype, request.own_gradients)

    def watch(self, step: Callable[..., Any]) -> NumpyWatch:
        """Return what watches a call."""
        return NumpyWatch(step=step)


@dataclass
class NumpyCaller:
    """A fresh copy of a container for each call; where a step has its own, that one, once."""

    request: Request
    dtype: str
    model: Any = None

    def begin(self, call: int) -> bool:
        """Make a copy of the model, where the step takes one."""
        if not takes(self.request, "model"):
            self.model = self.request.model
            return call == 0
        self.model = cast(self.request.model, self.dtype)
        return True

    def cast(self, tasks: Sequence[Any]) -> Any:
        """Return fresh copies of tasks in the precision."""
        return cast(list(tasks), self.dtype)

    def read(self, result: Any) -> Gradients | str:
        """Return the gradients of what a call returned, or of how far what it returned, or its model, moved."""
        paths = {path: name for name, (path, _) in parameters_in(self.request.model).items()}
        in_place = [self.model] if self.request.gives == "parameters" else []
        return read(self.request, self.dtype, result, leaves_of, paths, *in_place)

    def precisions(self, step: Any, positional: Any, keywords: Any) -> set[str]:  # noqa: ARG002
        """Return nothing: NumPy does not tell."""
        return set()

    def draws(self, step: Any, positional: Any, keywords: Any) -> set[str]:  # noqa: ARG002
        """Return nothing: watching shows all."""
        return set()


@dataclass
class NumpyWatch(Watch):
    """Which sources of random numbers moved: those of Python and NumPy, and what the step holds."""

    step: Any = None

    @contextmanager
    def mode(self) -> Iterator[None]:
        """Look at the sources before and after what runs inside."""
        before = python_state.states_of(self.step)
        yield
        self.random |= python_state.drawn_since(before, self.step)


_: type[Adapter] = NumpyAdapter
