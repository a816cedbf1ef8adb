"""Where the JSON Schema of the messages is; it refers to that of a problem, beside the golden vectors."""

from __future__ import annotations

from pathlib import Path

SCHEMA = Path(__file__).parent / "schema" / "protocol.schema.json"
