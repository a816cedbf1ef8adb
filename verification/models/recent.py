"""What was worked out last, within a limit of memory: gradients of a large model cannot all be kept."""

from __future__ import annotations

from typing import Any

import numpy as np


class Recent(dict[Any, Any]):
    """A memory that forgets what was not asked for longest, once its arrays are larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._used = 0

    def __getitem__(self, key: Any) -> Any:
        """Return an entry, which is then the last one to go."""
        value = super().pop(key)
        super().__setitem__(key, value)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep an array or a number; a function would hold the points that it was made for, and is made again."""
        if callable(value):
            return
        if key in self:
            self._used -= _size(super().pop(key))
        super().__setitem__(key, value)
        self._used += _size(value)
        while self._used > self._limit and len(self) > 1:
            self._used -= _size(super().pop(next(iter(self))))

    def __copy__(self) -> Recent:
        """Return the memory itself: two of them would be twice as large."""
        return self

    def update(self, *others: Any, **entries: Any) -> None:
        """Set several entries, each of which may make others go."""
        for key, value in dict(*others, **entries).items():
            self[key] = value


def _size(value: Any) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else 0
