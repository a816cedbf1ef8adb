"""Programs to be judged."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HOSTILE = Path(__file__).parent / "hostile.py"


@pytest.fixture
def hostile() -> Callable[..., str]:
    """Return a function from a mode of hostile.py to the command that runs it."""

    def command(*mode: str) -> str:
        return shlex.join([sys.executable, "-S", "-u", str(HOSTILE), *mode])

    return command
