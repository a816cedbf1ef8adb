"""How variables lie in memory: what a step must not depend on, and views, transposes and flat buffers bring about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: An array of a framework, of a contiguous one of NumPy.
Make = Callable[[NDArray[Any]], Any]


def laid_out(memory: str, arrays: Sequence[NDArray[Any]], make: Make) -> list[Any]:
    """Return arrays of a framework that has views, with these numbers.

    They are "contiguous", or "transposed": with the first and the last axis exchanged; "strided": every other entry of
    larger arrays; or views of "one buffer", of which there is one for each dtype.
    """
    if memory == "transposed":
        return [_transposed(array, make) if array.ndim > 1 else make(array) for array in arrays]
    if memory == "strided":
        return [make(np.stack([array, array + 1], axis=-1))[..., 0] for array in arrays]
    if memory == "one buffer":
        return _in_one(arrays, make)
    return [make(array) for array in arrays]


def _transposed(array: NDArray[Any], make: Make) -> Any:
    return make(np.array(array.swapaxes(0, -1), order="C")).swapaxes(0, -1)


def _in_one(arrays: Sequence[NDArray[Any]], make: Make) -> list[Any]:
    buffers = {
        dtype: make(np.concatenate([array.ravel() for array in arrays if array.dtype == dtype]))
        for dtype in {array.dtype for array in arrays}
    }
    found, ends = [], dict.fromkeys(buffers, 0)
    for array in arrays:
        start = ends[array.dtype]
        ends[array.dtype] = start + array.size
        found.append(buffers[array.dtype][start : ends[array.dtype]].reshape(array.shape))
    return found
