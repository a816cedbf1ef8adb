"""Every test of the engine uses a cache directory of its own session."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFMAML_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "code"))
        yield
