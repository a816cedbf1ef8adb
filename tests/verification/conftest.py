"""What the tests of the judge have in common; in every folder below, `shared` and `implementations` are importable."""

from __future__ import annotations

import pytest


@pytest.fixture
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print on a terminal that cuts no line."""
    monkeypatch.setenv("COLUMNS", "200")
