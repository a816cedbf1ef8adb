"""JAX: models that are pytrees, losses and steps that are functions of them."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from verification.frameworks.base import optional
from verification.frameworks.jax import enable_x64
from verification.models import python_state
from verification.models.forms import read
from verification.models.interface import Adapter, Gradients, Parts, Watch
from verification.models.jax_losses import JaxHost
from verification.models.jax_tracing import names_in, precisions_in
from verification.models.jax_trees import (
    fresh,
    is_array,
    is_parameter,
    leaves_of,
    map_arrays,
    names_of,
    to_numpy,
)
from verification.models.request import Request
from verification.models.values import OfValues

#: What the user has for `jax_enable_x64`, while the judge computes.
_OWN: ContextVar[bool] = ContextVar("own")


class JaxAdapter(OfValues):
    """JAX."""

    name = "jax"
    model = "a pytree with arrays of JAX"
    has_own_gradients = False

    def cure(self, model: Any) -> str:  # noqa: ARG002  # frameworks differ in need
        """Say how random numbers are the same every time."""
        return "switch them off, or use the same key in every call, for the check."

    def hint(self, error: BaseException) -> str:  # noqa: ARG002  # as above
        """Say nothing: JAX's errors have their own advice."""
        return ""

    def takes(self, model: Any, *, is_named: bool) -> bool:
        """Return whether a model is a pytree with arrays of JAX; where it is named, those of NumPy do as well."""
        if not is_named and "jax" not in sys.modules:
            return False
        kinds = optional("jax", "jax").Array
        return any(is_parameter(leaf) if is_named else isinstance(leaf, kinds) for _, leaf in leaves_of(model)[0])

    def parts_of(self, model: Any) -> Parts:
        """Return what a pytree is made of.

        Raises:
            ValueError: nothing in it is a parameter.
        """
        found = [(path, leaf) for path, leaf in leaves_of(model)[0] if is_parameter(leaf)]
        if not found:
            raise ValueError("model: expected parameters of floating point, but it has none.")
        names = names_of(path for path, _ in found)
        values = {name: to_numpy(leaf) for name, (_, leaf) in zip(names, found, strict=True)}
        dtypes = {str(leaf.dtype) for _, leaf in found if is_array(leaf)}
        precision = "float64" if dtypes == {"float64"} else "float32"
        return Parts(values, tuple(names), frozenset(names), precision)

    def copied(self, model: Any) -> Any:
        """Return a copy of the containers; arrays of JAX do not change."""
        return map_arrays(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, model)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Have float64 in this thread; code is compiled as the user has it: `verification.frameworks.jax` says why."""
        mark = _OWN.set(bool(optional("jax", "jax").config.jax_enable_x64))
        try:
            with enable_x64(True):
                yield
        finally:
            _OWN.reset(mark)

    def calling(self, dtype: str) -> AbstractContextManager[None]:
        """Have float64 where that is asked for; else what the user has, whose compiled code is kept for the user."""
        return enable_x64(dtype == "float64" or _OWN.get())

    def caller(self, request: Request, dtype: str) -> JaxCaller:
        """Return what calls a request's step in a precision."""
        return JaxCaller(request, dtype)

    def host(self, request: Request, dtype: str) -> JaxHost:
        """Return a request's model in a precision."""
        return JaxHost(request.model, dtype, request.memory)

    def watch(self, step: Callable[..., Any]) -> JaxWatch:
        """Return what watches a call."""
        return JaxWatch(step=step)


@dataclass
class JaxCaller:
    """Fresh copies of a model for each call."""

    request: Request
    dtype: str
    model: Any = None

    def begin(self, call: int) -> bool:  # noqa: ARG002  # frameworks differ in need
        """Make a copy of the model."""
        jnp = optional("jax.numpy", "jax")

        def copied(leaf: Any) -> Any:
            return fresh(leaf if is_array(leaf) else jnp.asarray(leaf), self.dtype) if is_parameter(leaf) else leaf

        self.model = optional("jax", "jax").tree_util.tree_map(copied, self.request.model)
        return True

    def cast(self, tasks: Sequence[Any]) -> Any:
        """Return fresh copies of tasks in the precision."""
        return map_arrays(lambda leaf: fresh(leaf, self.dtype), list(tasks))

    def read(self, result: Any) -> Gradients | str:
        """Return the gradients of what a call returned, or of how far what it returned is from the model."""
        paths = [path for path, leaf in leaves_of(self.request.model)[0] if is_parameter(leaf)]
        names = dict(zip(paths, names_of(paths), strict=True))
        return read(self.request, self.dtype, result, lambda tree: leaves_of(tree)[0], names)

    def precisions(self, step: Callable[..., Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> set[str]:
        """Return the precisions in the step's equations; none where it cannot be traced."""
        return precisions_in(self._equations(step, positional, keywords))

    def draws(self, step: Callable[..., Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> set[str]:
        """Return what draws random numbers among the step's equations: what is compiled calls no function again."""
        return names_in(self._equations(step, positional, keywords)) & _DRAWING

    def _equations(self, step: Callable[..., Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        jax = optional("jax", "jax")
        leaves, form = jax.tree_util.tree_flatten((positional, keywords))
        spots = [spot for spot, leaf in enumerate(leaves) if is_array(leaf)]

        def called(*arrays: Any) -> Any:
            given = list(leaves)
            for spot, array in zip(spots, arrays, strict=True):
                given[spot] = array
            args, named = jax.tree_util.tree_unflatten(form, given)
            return [leaf for _, leaf in leaves_of(step(*args, **named))[0] if is_array(leaf)]

        return jax.make_jaxpr(called)(*(leaves[spot] for spot in spots)).jaxpr


@dataclass
class JaxWatch(Watch):
    """Which functions of `jax.random` were called, and from where; what is compiled calls them when it is traced."""

    step: Any = None

    @contextmanager
    def mode(self) -> Iterator[None]:
        """Watch every call of a Python function that begins inside."""
        jax = optional("jax", "jax")
        file = inspect.getfile(inspect.unwrap(jax.random.normal))
        drawing = {name for name in dir(jax.random) if not name.startswith("_")} - _OF_KEYS
        before = sys.getprofile()

        def look(frame: FrameType, event: str, _: Any) -> None:
            code = frame.f_code
            if event == "call" and code.co_filename == file and code.co_name in drawing:
                self.random.setdefault(code.co_name, _place(frame))

        others = python_state.states_of(self.step)
        sys.setprofile(look)
        try:
            yield
        finally:
            sys.setprofile(before)
        self.random |= python_state.drawn_since(others, self.step)


#: The operations that draw.
_DRAWING = {"random_bits", "random_gamma", "rng_bit_generator", "rng_uniform", "threefry2x32"}
#: What makes keys and draws nothing.
_OF_KEYS = {"PRNGKey", "clone", "fold_in", "key", "key_data", "key_impl", "split", "wrap_key_data"}


def _place(frame: FrameType) -> str:
    """Return the innermost line of the program that is neither a package's nor the judge's."""
    ours = str(Path(__file__).parents[1])
    for found in reversed(traceback.extract_stack(frame)):
        if "site-packages" not in found.filename and not found.filename.startswith((ours, "<")):
            return f"{Path(found.filename).name}, line {found.lineno}"
    return "an unknown place"


_: type[Adapter] = JaxAdapter
