"""Arrays of NumPy that disturb the result of every operation that they go into.

They are a subclass of NumPy's arrays, which hands its operations over: each is done as it always is, and a result that
has been rounded is multiplied by 1 ± δ, with signs of its own. Autograd takes them for arrays, so that the operations
of its backward pass are disturbed as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from autograd.extend import VSpace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vspaces import ArrayVSpace

#: What moves or chooses numbers, and rounds none.
_EXACT = frozenset((
    "absolute", "all", "amax", "amin", "any", "append", "argmax", "argmin", "argsort", "array_split",
    "asfortranarray", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "ceil", "clip",
    "column_stack", "concatenate", "copy", "copysign", "copyto", "delete", "diag", "diagonal", "dstack", "empty_like",
    "expand_dims", "fabs", "flip", "fliplr", "flipud", "floor", "fmax", "fmin", "full_like", "hsplit", "hstack",
    "insert", "max", "maximum", "min", "minimum", "moveaxis", "ndim", "negative", "nonzero", "ones_like", "pad",
    "partition", "permute_dims", "positive", "put", "ravel", "repeat", "reshape", "resize", "rint", "roll", "rollaxis",
    "rot90", "searchsorted", "select", "shape", "sign", "size", "sort", "split", "squeeze", "stack", "swapaxes", "take",
    "take_along_axis", "tile", "transpose", "tril", "triu", "trunc", "unique", "vsplit", "vstack", "where",
    "zeros_like",
))  # fmt: skip


@dataclass
class Disturbance:
    """A relative change of ±δ, with signs of its own for every operation.

    A run begins its signs anew from `seed`, so that two runs through the same operations are disturbed alike: a
    difference of two gradients is that of one function then.
    """

    delta: float
    rng: np.random.Generator
    signs: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.begin(self.draw())

    def draw(self) -> int:
        """Return a seed."""
        return int(self.rng.integers(2**32))

    def begin(self, seed: int) -> None:
        """Begin the signs anew."""
        self.signs = np.random.default_rng(seed)

    def moved(self, array: Any) -> Any:
        """Return an array with each entry changed by a relative ±δ."""
        signs = self.signs.integers(0, 2, np.shape(array)) * 2 - 1
        return np.asarray(array * (1 + self.delta * signs), np.asarray(array).dtype)

    def watching(self, array: Any) -> Disturbed:
        """Return an array that is disturbed, and so is what comes of it."""
        found: Disturbed = self.moved(array).view(Disturbed)
        found.disturbance = self
        return found


class Disturbed(np.ndarray):
    """An array whose operations are disturbed."""

    disturbance: Disturbance | None = None

    def __array_finalize__(self, source: Any) -> None:
        """Take the disturbance of the array that this one is made from."""
        self.disturbance = getattr(source, "disturbance", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Do an elementwise operation, or a reduction by one."""
        outputs = options.pop("out", ())
        found = getattr(ufunc, method)(*_plain(inputs), **_plain(options))
        known = _disturbance_in((*inputs, *outputs))
        if method == "at" or known is None:
            return found
        results = found if isinstance(found, tuple) else (found,)
        results = tuple(_result(known, result, ufunc.__name__) for result in results)
        for result, output in zip(results, outputs, strict=False):
            _plain(output)[...] = _plain(result)
        results = outputs or results
        return results if isinstance(found, tuple) else results[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:  # NumPy's
        """Do another operation of NumPy's."""
        found = function(*_plain(args), **_plain(kwargs))
        known = _disturbance_in((*args, *kwargs.values()))
        if known is None:
            return found
        if isinstance(found, list | tuple) and not hasattr(found, "_fields"):
            return type(found)(_result(known, result, function.__name__) for result in found)
        return _result(known, found, function.__name__)

    def dot(self, other: Any, out: Any = None) -> Any:
        """Do a product, whose method asks nobody."""
        return np.dot(self, other, out)


def _plain(tree: Any) -> Any:
    if isinstance(tree, Disturbed):
        return tree.view(np.ndarray)
    if isinstance(tree, list | tuple) and not hasattr(tree, "_fields"):
        return type(tree)(_plain(part) for part in tree)
    return {key: _plain(part) for key, part in tree.items()} if isinstance(tree, dict) else tree


def _disturbance_in(tree: Any) -> Disturbance | None:
    if isinstance(tree, Disturbed):
        return tree.disturbance
    parts = tree if isinstance(tree, list | tuple) else ()
    return next((found for part in parts if (found := _disturbance_in(part)) is not None), None)


def _result(disturbance: Disturbance, found: Any, name: str) -> Any:
    if not isinstance(found, np.ndarray | np.generic) or found.dtype.kind not in "fc":
        return found
    result = np.asarray(found if name in _EXACT else disturbance.moved(found)).view(Disturbed)
    result.disturbance = disturbance
    return result


ArrayBox.register(Disturbed)
VSpace.register(Disturbed, ArrayVSpace)
