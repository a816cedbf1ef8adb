"""The judge's own view of nested containers: leaves by key chain, and a map over leaves.

`refmaml.containers` does the same for the code that is judged; the two are kept apart on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from autograd.builtins import DictBox, SequenceBox

#: Nested dicts, lists and tuples; anything else is a leaf.
Tree: TypeAlias = Any


def leaves(tree: Tree, chain: str = "") -> dict[str, Any]:
    """Return the leaves of `tree` by key chain ("net/w"), in order."""
    if isinstance(tree, Mapping | DictBox):  # autograd boxes a container as a whole
        branches = list(tree.items())
    elif isinstance(tree, list | tuple | SequenceBox):
        branches = [(place, tree[place]) for place in range(len(tree))]
    else:
        return {chain: tree}
    found: dict[str, Any] = {}
    for key, branch in branches:
        found.update(leaves(branch, f"{chain}/{key}" if chain else str(key)))
    return found


def map_leaves(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Apply `function` to each leaf and keep the nesting."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map_leaves(function, branch) for branch in tree)
    return function(tree)
