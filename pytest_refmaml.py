"""The pytest plugin of refmaml: ``pytest --refmaml package.module:step``, the marker, and the terminal summary.

pytest imports this module in every run of an environment that has refmaml. So it stands outside of the packages and
imports nothing but pytest: what it needs of the judge, it imports once a test wants it (as Hypothesis does with its
`_hypothesis_pytestplugin`). docs/testing.md describes the options.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

_MARKER = "refmaml: a test that puts one problem to an implementation of a meta-learning step"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options and their defaults in a configuration file."""
    group = parser.getgroup("refmaml", "judge an implementation of MAML, first-order MAML or Reptile")
    group.addoption(
        "--refmaml", action="append", default=[], metavar="SUBJECT",
        help="Add a test for each problem and precision of SUBJECT: package.module:name or path/to/file.py:name. "
        "You can repeat it.",
    )  # fmt: skip
    for name, metavar, text in (
        ("framework", "NAME", "the arrays of SUBJECT: autograd (the default), numpy or torch."),
        ("order", "ORDER", "what SUBJECT claims to compute: 1 (the default), 2 or reptile."),
        ("kind", "KIND", "step or problem. By default inferred from the number of required parameters."),
        ("level", "LEVEL", "how many problems: quick (the default) or full."),
    ):
        group.addoption(f"--refmaml-{name}", metavar=metavar, help=f"With --refmaml: {text}")
        parser.addini(f"refmaml_{name}", f"default of --refmaml-{name}")
    for name, plural, metavar, text in (
        ("dtype", "dtypes", "DTYPE", "test this precision only, float64 or float32."),
        ("convention", "conventions", "NAME", "a convention of SUBJECT that differs from the default."),
    ):
        group.addoption(
            f"--refmaml-{name}", action="append", default=[], dest=f"refmaml_{plural}", metavar=metavar,
            help=f"With --refmaml: {text} You can repeat it.",
        )  # fmt: skip
        parser.addini(f"refmaml_{plural}", f"default of --refmaml-{name}", type="args")
    parser.addini(
        "refmaml_expected_failures", "tests of --refmaml that are expected to fail, as lines of ID: REASON",
        type="linelist",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what -k and -m do not name
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the tests of the subjects that the option names."""
    if config.getoption("refmaml"):
        from verification.testing.collection import items_of

        items += items_of(session)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Give the report of a problem's test what the summary needs, and JUnit its properties."""
    outcome: Any = yield
    if item.get_closest_marker("refmaml") and call.when != "teardown":
        from verification.testing.reporting import attach

        attach(item, call.when, outcome.get_result())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell the verdict on each subject, and the name of its mistake over all tests."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    results = [report.refmaml for report in reports if hasattr(report, "refmaml")]
    if results:
        from verification.testing.summary import summaries

        terminalreporter.section("refmaml")
        for verdict, lines in summaries(results):
            colour = {"PASS": "green", "FAIL": "red"}.get(verdict, "yellow")
            terminalreporter.line(lines[0], **{colour: True, "bold": True})
            for line in lines[1:]:
                terminalreporter.line(line)
