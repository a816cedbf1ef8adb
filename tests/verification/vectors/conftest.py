"""The frozen vectors, read once."""

import pytest

from verification.vectors import VectorSet, load


@pytest.fixture(scope="session")
def every() -> VectorSet:
    return load()
