"""What tests on models in JAX share: code that was compiled once is not compiled again."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def compiled_once(tmp_path_factory):
    """Keep what JAX compiles for later tests: they differ in little, and compiling takes most of their time."""
    import jax

    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
