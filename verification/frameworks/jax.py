"""JAX's arrays, on its default device.

JAX has float64 only where its setting `jax_enable_x64` is on, and everything that such arrays go through has to run
with it: what is made or computed outside is cut to float32. So it is on for as long as something in float64 is made,
computed or asked for, in this thread alone, and otherwise as the user has it.

Compilation takes most of the time, and is left as the user has it all the same: with `jax_disable_most_optimizations`
JAX 0.10.2 gives infinity for a right network's gradient on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import Arrays, Cost, Framework, optional

_X64 = ("import jax", 'jax.config.update("jax_enable_x64", True)')


def enable_x64(is_on: bool) -> AbstractContextManager[Any]:
    """Have float64, or not, in this thread."""
    jax = optional("jax", "jax")
    # Until 0.8 it had its place among the experiments.
    context = jax.enable_x64 if hasattr(jax, "enable_x64") else optional("jax.experimental", "jax").enable_x64
    found: AbstractContextManager[Any] = context(is_on)
    return found


@cache
def make() -> Framework:
    """Return the framework.

    Raises:
        MissingFrameworkError: JAX is not installed.
    """
    jax, jnp = optional("jax", "jax"), optional("jax.numpy", "jax")

    def precision(dtype: Any) -> AbstractContextManager[Any]:
        return enable_x64(True) if np.dtype(dtype) == np.float64 else nullcontext()

    # Each operation that JAX is asked for alone costs a compilation for each shape, and a dispatch of some 20 µs for
    # each call. So arrays are copied and cut by NumPy: JAX may share the memory of what it gets.
    def array(values: NDArray[Any]) -> Any:
        with precision(values.dtype):
            return jax.device_put(np.array(values))

    def cut(leaf: Any, rows: slice) -> Any:
        return array(np.asarray(leaf)[rows])

    def to_numpy(value: Any) -> NDArray[Any]:
        return np.array(value)  # a copy: nobody can write into an array of JAX, so that sharing one is no fault

    def in_precision(function: Callable[[Arrays, Arrays], Any]) -> Callable[[Arrays, Arrays], Any]:
        def call(data: Arrays, variables: Arrays) -> Any:
            with precision(np.result_type(*(leaf.dtype for leaf in variables.values()))):
                return function(data, variables)

        return call

    # And the costs of a family are compiled whole, once for all its problems.
    @cache
    def compiled(cost: Cost) -> Callable[[Arrays, Arrays], Any]:
        return in_precision(jax.jit(partial(cost, jnp)))

    @cache
    def compiled_gradient(cost: Cost) -> Callable[[Arrays, Arrays], Any]:
        return in_precision(jax.jit(jax.grad(partial(cost, jnp), argnums=1)))

    def gradient(cost: Cost, data: Arrays, variables: Arrays) -> Arrays:
        found: Arrays = compiled_gradient(cost)(data, variables)
        return found

    return Framework(
        "jax", jnp, array, to_numpy, gradient, compiled, precision, has_subnormals=False, preamble={"float64": _X64},
        cut=cut,
    )  # fmt: skip
