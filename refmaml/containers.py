"""Nested containers: key chains, selections, merging, stacking and mapping.

A container is a nested structure of mappings, lists and tuples whose leaves are arrays or Python numbers. Inside
the package it is kept apart into its *leaves*, a flat dict from key chain (``"net/w"``, ``"layers/0/b"``) to array,
and its *skeleton*, the same nesting with each leaf replaced by its key chain. Selecting and merging are then plain
dict operations, and `fill` gives a cost function back the container that its author expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import autograd.numpy as np
import numpy
from autograd.tracer import getval

#: A nested structure as a user writes it; a `numpy.ndarray`, or an autograd box around one, is a leaf.
Container: TypeAlias = Any
Array: TypeAlias = Any
#: Key chain to array, in the container's order.
Leaves: TypeAlias = dict[str, Array]
#: The nesting of a container with key chains for leaves; None stands where a list or tuple lost a leaf.
Skeleton: TypeAlias = Any


def children(node: Container) -> list[tuple[Any, Container]] | None:
    """Return the (key, child) pairs of a branch, or None for a leaf; autograd's boxed branches count as branches."""
    nesting = getval(node)
    if isinstance(nesting, numpy.ndarray):
        return None
    if isinstance(nesting, Mapping):
        return [(key, node[key]) for key in nesting]
    if isinstance(nesting, list | tuple):
        return [(index, node[index]) for index in range(len(nesting))]
    return None


def rebuild(nesting: Container, branch: list[tuple[Any, Container]]) -> Container:
    """Return (key, child) pairs as a branch of the same kind as `nesting`; any mapping comes back as a dict."""
    if isinstance(nesting, Mapping):
        return dict(branch)
    items = [child for _, child in branch]
    if hasattr(nesting, "_make"):  # a named tuple
        return nesting._make(items)
    return items if isinstance(nesting, list) else tuple(items)


def flatten(container: Container, chain: str = "") -> Iterator[tuple[str, Array]]:
    """Yield (key chain, leaf) in the container's order; the key chain of a bare leaf is the empty string."""
    branch = children(container)
    if branch is None:
        yield chain, container
        return
    for key, child in branch:
        yield from flatten(child, f"{chain}/{key}" if chain else str(key))


def skeleton_of(container: Container) -> Skeleton:
    """Return the nesting of `container` with its key chains as leaves."""
    chains = (chain for chain, leaf in flatten(container) if leaf is not None)
    return map_leaves(lambda _: next(chains), container)


def map_leaves(function: Callable[..., Array], container: Container, *others: Container) -> Container:
    """Apply `function` to the leaves of one container, or of several with the same nesting.

    A None inside a list or tuple marks the place of a leaf that a selection left out, and stays None.
    """
    if container is None:
        return None
    branch = children(container)
    if branch is None:
        return function(container, *others)
    mapped = [(key, map_leaves(function, child, *[other[key] for other in others])) for key, child in branch]
    return rebuild(getval(container), mapped)


def fill(skeleton: Skeleton, leaves: Leaves) -> Container:
    """Put `leaves` back into the nesting of `skeleton`."""
    return map_leaves(leaves.__getitem__, skeleton)


def prune(skeleton: Skeleton, chains: Iterable[str]) -> Skeleton:
    """Return the part of `skeleton` that holds `chains`.

    Keys of mappings that hold none of them go; in lists and tuples None takes the place, so that an index means the
    same before and after.
    """
    wanted = frozenset(chains)

    def part(node: Skeleton) -> Skeleton:
        branch = children(node)
        if branch is None:
            return node if node in wanted else None
        kept = [(key, part(child)) for key, child in branch]
        if branch and all(child is None for _, child in kept):
            return None
        if isinstance(node, dict):
            kept = [(key, child) for key, child in kept if child is not None]
        return rebuild(node, kept)

    return part(skeleton)


def below(chains: Iterable[str], chain: str) -> list[str]:
    """Return the key chains that `chain` names: the leaf of that name, or else every leaf of that branch."""
    everything = list(chains)
    return [chain] if chain in everything else [other for other in everything if other.startswith(f"{chain}/")]


def select(leaves: Leaves, chains: Iterable[str]) -> Leaves:
    """Return the leaves named by `chains`."""
    return {chain: leaves[chain] for chain in chains}


def complement(leaves: Iterable[str], chains: Iterable[str]) -> list[str]:
    """Return the key chains that are not in `chains`, in their own order."""
    left_out = frozenset(chains)
    return [chain for chain in leaves if chain not in left_out]


def merge(leaves: Leaves, news: Leaves) -> Leaves:
    """Return `leaves` with those in `news` put in their place."""
    return {**leaves, **news}


def stack_rows(rows: Sequence[Leaves]) -> Leaves:
    """Join leaves along their leading task axis, task by task."""
    return {chain: np.concatenate([row[chain] for row in rows]) for chain in rows[0]}


def unbox(leaf: Array) -> Array:
    """Return the plain array inside any number of autograd boxes."""
    return getval(leaf)


def owned(leaf: Array) -> Array:
    """Return an array or a Python number, in a box or not, as an array that shares no memory with the caller's."""
    return np.array(leaf)
