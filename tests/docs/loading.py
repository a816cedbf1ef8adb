"""What the tests of the code on the pages share: a step out of a file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_pages import ORDER_OF, Snippet

from verification.orders import Order

Step = Callable[..., Any]


def order_of(step: str) -> Order:
    """Return what a step is meant to compute, by its name."""
    return ORDER_OF[step.partition("_")[0]]


def load_step(path: Path, step: str) -> Step:
    """Return the function of a file with the code of a step."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Step = getattr(module, f"{step.partition('_')[0]}_step")
    return found


def load_wrong(snippet: Snippet, folder: Path) -> Step:
    """Return the step of a snippet, from a file in a folder."""
    path = folder / f"{snippet.fault}.py"
    path.write_text(snippet.wrong, "utf-8")
    return load_step(path, snippet.step)
