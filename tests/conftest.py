"""Hypothesis profiles, which tests need what is not installed everywhere, how many run at once, and which every night.

- `ci`, the default, draws the same few examples in every run and does not shrink: it passes or fails by what the code
  does, in a time that is known.
- `shrunk` draws the same examples and shrinks the one that fails.
- `nightly` searches: other examples in every run, and many of them.

`pytest --hypothesis-profile=nightly tests/compiled/test_random_programs.py` chooses one. The compiled engine's tests
need Numba, and without it they are not collected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import running
from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["pytester"]  # the plugin is tested with runs of its own
collect_ignore = [] if find_spec("numba") else ["compiled"]

# A shared machine pauses at will: no deadline, and no complaint that data are slow to draw.
settings.register_profile(
    "shrunk", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("shrunk"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("nightly", settings.get_profile("shrunk"), max_examples=1000, derandomize=False)
settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)  # before xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run in parallel where xdist is installed and nobody said otherwise."""
    running.run_in_workers(config.option, config.args, is_worker=hasattr(config, "workerinput"))


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a framework that is not here, and leave to the night all but a sample of a `sampled` test."""
    for item in items:
        for mark in item.iter_markers("framework"):
            if not find_spec(mark.args[0]):
                item.add_marker(pytest.mark.skip(reason=f"{mark.args[0]} is not installed"))
    by_test = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("sampled"):
            by_test[item.nodeid.partition("[")[0]].append(item)
    for found in by_test.values():
        (count,) = found[0].get_closest_marker("sampled").args
        chosen = running.sample({item.name: item.callspec.indices for item in found}, count)
        for item in found:
            if item.name not in chosen:
                item.add_marker("nightly")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread of PyTorch, for models that are small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
