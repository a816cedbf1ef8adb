"""Hypothesis profiles, and which tests need what is not installed everywhere.

`ci` is the default profile; `pytest --hypothesis-profile=nightly` searches longer. The compiled engine needs the extra
`compiled`; its tests run by `tox -e compiled`, and without it they are not collected.
"""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

collect_ignore = [] if find_spec("numba") else ["compiled"]

# A shared machine pauses at will: no deadline, and no complaint that data are slow to draw.
settings.register_profile("ci", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
