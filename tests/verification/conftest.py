"""Fixtures for the tests of the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from verification.judging import comparison
from verification.problems import levels, suite
from verification.problems.suite import Recipe


@pytest.fixture
def ask_only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes the judge ask the named problems alone: a whole suite takes seconds."""

    def restrict(*names: str) -> None:
        monkeypatch.setattr(levels, "names", lambda level, order, seed: list(names))

    return restrict


@pytest.fixture
def add_problem(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Recipe], None]:
    """Return a function that adds a problem to the built-in ones; its name must be new, since truths are cached."""

    def add(name: str, recipe: Recipe) -> None:
        monkeypatch.setitem(suite._RECIPES, name, recipe)

    return add


@pytest.fixture
def forget() -> Iterator[Callable[[], None]]:
    """Return a function that empties the comparison's caches; they are emptied again after the test."""

    def clear() -> None:
        for each in vars(comparison).values():
            if getattr(each, "__module__", None) == comparison.__name__ and hasattr(each, "cache_clear"):
                each.cache_clear()

    yield clear
    clear()
