"""Pytrees of JAX: which leaves are parameters, and what they are called.

A parameter is a leaf of floating point; all else (functions, strings, integers, None) belongs to the form. Its name is
its path with dots, `layers.0.weight`. Where two paths would have one name, as a key "a.b" beside a key "a" with "b"
inside, all names are the paths as Python writes them: `['a.b']`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import optional


def leaves_of(tree: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """Return the leaves of a tree with their paths, None among them, and its form."""
    jax = optional("jax", "jax")
    found: tuple[list[tuple[Any, Any]], Any] = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: x is None)
    return found


def is_array(leaf: Any) -> bool:
    """Return whether a leaf is an array or a number of JAX's or NumPy's."""
    return isinstance(leaf, optional("jax", "jax").Array | np.ndarray | np.generic)


def is_parameter(leaf: Any) -> bool:
    """Return whether a leaf has real numbers of floating point."""
    jax = optional("jax", "jax")
    return isinstance(leaf, float) or (is_array(leaf) and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating))


def names_of(paths: Iterable[Any]) -> list[str]:
    """Return the names of leaves by their paths, each another."""
    known = list(paths)
    dotted = [".".join(_part(key) for key in path) or "the array" for path in known]
    if len(set(dotted)) == len(dotted):
        return dotted
    return [str(optional("jax", "jax").tree_util.keystr(path)) for path in known]


def _part(key: Any) -> str:
    """Return a key of a dict, an index, or the name of an attribute."""
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def map_arrays(function: Any, tree: Any) -> Any:
    """Apply a function to every array of a tree; keep all else."""
    jax = optional("jax", "jax")
    return jax.tree_util.tree_map(lambda leaf: function(leaf) if is_array(leaf) else leaf, tree)


def to_numpy(leaf: Any) -> NDArray[np.float64]:
    """Return a leaf as a copy in float64."""
    return np.array(leaf, np.float64)


def fresh(leaf: Any, dtype: str) -> Any:
    """Return a copy of an array, of the same library, in a precision if it is of floating point."""
    jnp = optional("jax.numpy", "jax")
    wanted = dtype if is_parameter(leaf) else leaf.dtype
    return np.array(leaf, wanted) if isinstance(leaf, np.ndarray | np.generic) else jnp.array(leaf, wanted)
