"""Hypothesis profiles, and which tests need what is not installed everywhere.

`ci` is the default profile; `pytest --hypothesis-profile=nightly` searches longer. The compiled engine needs Numba,
which is not there for every Python: where it is missing, the engine's tests are not collected.
"""

from importlib.util import find_spec

import pytest
from hypothesis import settings

collect_ignore = [] if find_spec("numba") else ["compiled"]

# A first call imports and compiles nothing here, but a shared machine pauses at will: no deadline.
settings.register_profile("ci", max_examples=30, deadline=None)
settings.register_profile("nightly", max_examples=1000, deadline=None)
settings.load_profile("ci")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep the machine code of the compiled steps in a directory of this session, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFMAML_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "code"))
        yield
