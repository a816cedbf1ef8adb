"""Indexing by what depends on data: labels, ids, the order of numbers.

autograd's own indexing has one argument for the whole index, which is a constant of a recording. Here the parts of an
index that are recorded are arguments of their own, so that a recording holds for other labels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from autograd.extend import defvjp, primitive


@dataclass(frozen=True)
class Part:
    """The place in an index of its recorded part of this number."""

    number: int


Template = tuple[Any, ...]


def split(index: Any, is_recorded: Any) -> tuple[Template, list[Any]]:
    """Return an index with a `Part` for each recorded part, and these parts."""
    parts: list[Any] = []
    template: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        if is_recorded(item):
            template.append(Part(len(parts)))
            parts.append(item)
        else:
            template.append(np.array(item) if isinstance(item, list | range | np.ndarray) else item)
    return tuple(template), parts


def filled(template: Template, parts: Sequence[Any]) -> tuple[Any, ...]:
    """Return the index of a template with its parts put in."""
    return tuple(parts[item.number] if isinstance(item, Part) else item for item in template)


@primitive  # type: ignore[untyped-decorator]  # autograd has no types
def indexed(x: Any, template: Template, *parts: Any) -> Any:
    """x[index]."""
    return x[filled(template, parts)]


@primitive  # type: ignore[untyped-decorator]  # autograd has no types
def placed(g: Any, template: Template, space: Any, *parts: Any) -> Any:
    """Zeros of the shape and dtype of `space`, to which g is added at [index]: the gradient of `indexed`."""
    result = np.zeros(space.shape, space.dtype)
    np.add.at(result, filled(template, parts), g)
    return result


@primitive  # type: ignore[untyped-decorator]  # autograd has no types
def written(x: Any, template: Template, value: Any, *parts: Any) -> Any:
    """A copy of x in which [index] is `value`."""
    result = np.array(x)
    result[filled(template, parts)] = value
    return result


@dataclass(frozen=True)
class Space:
    """The shape and dtype of an array that is indexed."""

    shape: tuple[int, ...]
    dtype: Any


def _gradient_of_indexed(_ans: Any, x: Any, template: Template, *parts: Any) -> Any:
    space = Space(x.shape, np.dtype(x.dtype))
    return lambda g: placed(g, template, space, *parts)


def _gradient_of_placed(_ans: Any, _g: Any, template: Template, _space: Any, *parts: Any) -> Any:
    return lambda h: indexed(h, template, *parts)


defvjp(indexed, _gradient_of_indexed, argnums=(0,))
defvjp(placed, _gradient_of_placed, argnums=(0,))
