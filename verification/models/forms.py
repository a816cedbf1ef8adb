"""Reading gradients, or new parameters, that a step returns in the form of a model that is a container of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from verification.models.interface import Gradients, LowerPrecisionError
from verification.models.request import Request
from verification.subjects import SubjectError

#: Kinds of arrays: booleans, complex numbers, times, objects, texts.
_NO_REALS = "bcmMOSU"
#: From a container to its leaves with their paths.
Leaves = Callable[[Any], Iterable[tuple[Any, Any]]]


def read(
    request: Request, dtype: str, result: Any, leaves_of: Leaves, paths: Mapping[Any, str], *also: Any
) -> Gradients | str:
    """Return the gradients that a call returned, or how far it moved; a sentence where there are none.

    Args:
        request: what is judged.
        dtype: the precision of the call.
        result: what the call returned: a container, alone or in a tuple beside a loss or a state.
        leaves_of: gives the leaves of a container with their paths.
        paths: the names of the model's parameters by path.
        also: what is looked at after the result.

    Raises:
        LowerPrecisionError: the result came in float32 where all was given in float64.
        SubjectError: two parts of a tuple have the form of the model, and either may be the gradients.
    """
    candidates = [result]
    if isinstance(result, tuple):  # (loss, gradients), (gradients, auxiliary), (parameters, state, …)
        first = (1, 0) if request.gives == "gradients" else (0, 1)
        candidates += [result[spot] for spot in (*first, *range(2, len(result))) if spot < len(result)]
    shapes = {name: request.parameters[name].shape for name in request.trained}
    found = [_by_name(candidate, shapes, leaves_of, paths) for candidate in (*candidates, *also)]
    formed = [one for one in found if not isinstance(one, str)]
    if not formed:
        return str(found[0])
    fitting = [one for one in formed if all(_fits(leaf, shapes[name]) for name, leaf in one.items())]
    # A model that is one number has the form of a loss.
    if request.gives == "gradients" and len(fitting) > 1 and fitting[0] is not found[0] and any(shapes.values()):
        raise SubjectError(
            f"step: expected one container of gradients, but {len(fitting)} parts of the tuple that it returned have "
            "the form of the model, such as adapted parameters. Return the gradients alone, or beside a loss."
        )
    chosen = (fitting or formed)[0]
    arrays = {name: None if leaf is None else np.asarray(leaf) for name, leaf in chosen.items()}
    gradients = reals(arrays)
    if isinstance(gradients, str):
        return gradients
    lower = [str(leaf.dtype) for leaf in arrays.values() if leaf is not None and leaf.dtype != np.float64]
    if dtype == "float64" and request.precision == "float32" and lower:
        raise LowerPrecisionError(f"it returned {lower[0]}")
    return gradients if request.gives == "gradients" else _read_back(request, dtype, gradients)


def thinned(array: Any, length: int, count: int) -> Any:
    """Return so many rows of an array that is `length` long, evenly spaced; all of any other."""
    return array[:: length // count][:count] if array.ndim and len(array) == length else array


def reals(arrays: Mapping[str, Any]) -> Gradients | str:
    """Return arrays by name in float64; a sentence where one has no real numbers, which casting would hide."""
    for name, leaf in arrays.items():
        if leaf is not None and leaf.dtype.kind in _NO_REALS:
            return f"expected real numbers for {name}, but got an array of dtype {leaf.dtype}"
    return {name: None if leaf is None else np.array(leaf, np.float64) for name, leaf in arrays.items()}


def _fits(leaf: Any, shape: tuple[int, ...]) -> bool:
    return leaf is None or np.shape(leaf) == shape


def _by_name(
    result: Any, shapes: Mapping[str, Any], leaves_of: Leaves, paths: Mapping[Any, str]
) -> dict[str, Any] | str:
    """Return the leaves of a container by name: of the model's form or that of a part of it, by name, or in order."""
    leaves = list(leaves_of(result))
    found = {paths[path]: leaf for path, leaf in leaves if path in paths}
    stem = _stem([path[:-1] for path, name in paths.items() if name in shapes])  # one array alone may be a loss
    for above in (stem[:count] for count in range(len(stem) + 1)):
        within = {paths[(*above, *path)]: leaf for path, leaf in leaves if (*above, *path) in paths}
        if shapes.keys() <= within.keys():
            return {name: within[name] for name in shapes}
    if isinstance(result, Mapping) and shapes.keys() <= result.keys():
        return {name: result[name] for name in shapes}
    if isinstance(result, list | tuple) and len(result) == len(shapes) == len(leaves):
        return dict(zip(shapes, result, strict=True))
    missing = ", ".join(name for name in shapes if name not in found)
    return f"expected a container in the form of the model, but {missing} is missing in what came"


def _stem(paths: Sequence[Any]) -> tuple[Any, ...]:
    """Return what some paths begin with in common: where the container is that has all of them."""
    levels = takewhile(lambda keys: all(key == keys[0] for key in keys), zip(*paths, strict=False))
    return tuple(keys[0] for keys in levels)


def _read_back(request: Request, dtype: str, ends: Gradients) -> Gradients:
    rate, found = float(request.outer_learning_rate or 1.0), dict(ends)
    for name, end in ends.items():
        start = request.parameters[name].astype(dtype).astype(np.float64)
        if end is not None and end.shape == start.shape:
            found[name] = (start - end) / rate
    return found
