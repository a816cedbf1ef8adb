"""Hypothesis profiles: `ci` is the default; `pytest --hypothesis-profile=nightly` searches longer."""

from hypothesis import settings

# A first call imports and compiles nothing here, but a shared machine pauses at will: no deadline.
settings.register_profile("ci", max_examples=30, deadline=None)
settings.register_profile("nightly", max_examples=1000, deadline=None)
settings.load_profile("ci")
