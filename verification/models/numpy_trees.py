"""Containers of NumPy arrays: which leaves are parameters, and what they are called.

A container is a dict, a list, a tuple, a named tuple, or one array. A parameter is an array of floating point or a
Python float. Its name is its path with dots; where two paths would have one name, all are the paths as Python writes
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Path = tuple[Any, ...]


def leaves_of(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the leaves of a tree with their paths."""
    if isinstance(tree, Mapping):
        for key, branch in tree.items():
            yield from leaves_of(branch, (*path, key))
    elif isinstance(tree, list | tuple):
        for spot, branch in enumerate(tree):
            yield from leaves_of(branch, (*path, spot))
    else:
        yield path, tree


def map_leaves(function: Callable[[Path, Any], Any], tree: Any, path: Path = ()) -> Any:
    """Apply a function of path and leaf to every leaf of a tree."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, branch, (*path, key)) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        branches = [map_leaves(function, branch, (*path, spot)) for spot, branch in enumerate(tree)]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return function(path, tree)


def is_parameter(leaf: Any) -> bool:
    """Return whether a leaf has real numbers of floating point."""
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind == "f")


def names_of(paths: list[Path]) -> list[str]:
    """Return the names of leaves by their paths, each another."""
    dotted = [".".join(map(str, path)) or "the array" for path in paths]
    if len(set(dotted)) == len(dotted):
        return dotted
    return ["".join(f"[{key!r}]" for key in path) for path in paths]


def parameters_in(tree: Any) -> dict[str, tuple[Path, Any]]:
    """Return the parameters of a tree by name, each with its path."""
    found = [(path, leaf) for path, leaf in leaves_of(tree) if is_parameter(leaf)]
    return dict(zip(names_of([path for path, _ in found]), found, strict=True))


def cast(tree: Any, dtype: str) -> Any:
    """Return a tree with fresh copies of its arrays, those of floating point in a precision."""

    def copied(_: Path, leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray | np.generic):
            return np.array(leaf, dtype if is_parameter(leaf) else leaf.dtype)
        return leaf

    return map_leaves(copied, tree)
