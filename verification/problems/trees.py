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
    branches = _branches(tree)
    if branches is None:
        return {chain: tree}
    found: dict[str, Any] = {}
    for key, branch in branches:
        found.update(leaves(branch, f"{chain}/{key}" if chain else str(key)))
    return found


def paths(tree: Tree, path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return the keys on the way to each leaf, by key chain: {"a": {"b": 1}} and {"a/b": 1} have the same chains."""
    branches = _branches(tree)
    if branches is None:
        return {"/".join(path): path}
    found: dict[str, tuple[str, ...]] = {}
    for key, branch in branches:
        found.update(paths(branch, (*path, str(key))))
    return found


def nested(by_chain: Mapping[str, Any], like: Tree) -> dict[str, Any]:
    """Return leaves by key chain in dicts that are nested like a tree; a chain that it has not is a key of its own."""
    ways = paths(like)
    whole: dict[str, Any] = {}
    for chain, leaf in by_chain.items():
        branch, (*way, last) = whole, ways.get(chain, (chain,))
        for key in way:
            branch = branch.setdefault(key, {})
        branch[last] = leaf
    return whole


def _branches(tree: Tree) -> list[tuple[Any, Tree]] | None:
    """Return the keys and branches of a container, and None for a leaf."""
    if isinstance(tree, Mapping | DictBox):  # autograd boxes a container as a whole
        return list(tree.items())
    if isinstance(tree, list | tuple | SequenceBox):
        return [(place, tree[place]) for place in range(len(tree))]
    return None


def map_leaves(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Apply `function` to each leaf and keep the nesting."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map_leaves(function, branch) for branch in tree)
    return function(tree)
