"""Hypothesis profiles, and which tests need what is not installed everywhere.

- `ci`, the default, draws the same few examples in every run and does not shrink: it passes or fails by what the code
  does, in a time that is known.
- `shrunk` draws the same examples and shrinks the one that fails.
- `nightly` searches: other examples in every run, and many of them.

`pytest --hypothesis-profile=nightly tests/compiled/test_random_programs.py` chooses one. The compiled engine needs the
extra `compiled`; its tests run by `tox -e compiled`, and without it they are not collected.
"""

from importlib.util import find_spec

from hypothesis import Phase, settings

collect_ignore = [] if find_spec("numba") else ["compiled"]

# A first call imports and compiles nothing here, but a shared machine pauses at will: no deadline.
settings.register_profile("shrunk", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("ci", settings.get_profile("shrunk"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("nightly", max_examples=1000, deadline=None, derandomize=False)
settings.load_profile("ci")
