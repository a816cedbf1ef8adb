"""What was worked out last, within a limit of memory: gradients of a large model cannot all be kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

#: Bytes that are kept in any case: everything about a small model.
_AT_LEAST = 2**26


class Recent(dict[Any, Any]):
    """A memory that forgets its oldest arrays once all of them are larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = max(limit, _AT_LEAST)
        self._sizes: OrderedDict[Any, int] = OrderedDict()

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        # The key has the point, of the same size as a gradient there.
        self._sizes[key] = value.nbytes * 2 if isinstance(value, np.ndarray) else _size(key)
        while sum(self._sizes.values()) > self._limit and len(self._sizes) > 1:
            oldest, _ = self._sizes.popitem(last=False)
            super().__delitem__(oldest)

    def __copy__(self) -> Recent:
        """Return the memory itself: two of them would be twice as large."""
        return self

    def update(self, *others: Any, **entries: Any) -> None:
        """Set several entries, each of which may make others go."""
        for key, value in dict(*others, **entries).items():
            self[key] = value


def _size(key: Any) -> int:
    return sum(len(part) for part in key if isinstance(part, bytes)) if isinstance(key, tuple) else 0
