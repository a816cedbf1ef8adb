"""What was worked out last, within a limit of memory: gradients of a large model cannot all be kept."""

from __future__ import annotations

from typing import Any

import numpy as np


class Recent(dict[Any, Any]):
    """A memory that forgets arrays that were not asked for longest, once they are larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._used = 0
        #: The keys of arrays, the last that was asked for last.
        self._arrays: dict[Any, None] = {}

    def __getitem__(self, key: Any) -> Any:
        """Return an entry; an array is then the last one to go."""
        value = super().__getitem__(key)
        if key in self._arrays:
            self._arrays[key] = self._arrays.pop(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep an array or a number; a function would hold the points that it was made for, and is made again."""
        if callable(value):
            return
        self._forget(key)
        super().__setitem__(key, value)
        if isinstance(value, np.ndarray):
            self._arrays[key] = None
            self._used += value.nbytes
        while self._used > self._limit and len(self._arrays) > 1:
            self._forget(next(iter(self._arrays)))

    def _forget(self, key: Any) -> None:
        if key in self._arrays:
            del self._arrays[key]
            self._used -= super().pop(key).nbytes

    def __copy__(self) -> Recent:
        """Return the memory itself: two of them would be twice as large."""
        return self

    def update(self, *others: Any, **entries: Any) -> None:
        """Set several entries, each of which may make others go."""
        for key, value in dict(*others, **entries).items():
            self[key] = value
