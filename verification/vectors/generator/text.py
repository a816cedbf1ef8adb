"""JSON as it is frozen: one way to write it, so that writing again gives the same bytes."""

from __future__ import annotations

import json
from typing import Any


def compact(value: Any) -> str:
    """Return JSON without spaces, with keys in the order that they are in."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
