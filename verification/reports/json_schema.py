"""The JSON Schema of a report, draft 2020-12; `schema.json` beside this file is its one source."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def schema() -> dict[str, Any]:
    """Return the JSON Schema that every `Report.to_dict()` fulfils."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("schema.json").read_text("utf-8"))
    return found
