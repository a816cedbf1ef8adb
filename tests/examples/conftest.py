"""Makes the examples importable, as they are for a person who runs them from their folder."""

import io
from pathlib import Path

import pytest
from rich.console import Console

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def _examples_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture
def console() -> Console:
    """Return a console that prints nowhere."""
    return Console(file=io.StringIO())
