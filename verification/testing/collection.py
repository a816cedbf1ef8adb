"""The tests of ``pytest --refmaml SUBJECT``: one for each problem and precision, without a test file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from _pytest.runner import collect_one_node

from verification.frameworks import MissingFrameworkError
from verification.orders import BY_OPTION
from verification.subjects import SubjectError, search
from verification.testing.checks import Check, checks_of
from verification.testing.parametrization import marks_of


class SubjectCollector(pytest.Collector):
    """A subject that the option names, with its tests."""

    def __init__(self, *, options: Mapping[str, Any], **keywords: Any) -> None:
        super().__init__(**keywords)
        self._options = options

    def collect(self) -> Iterable[pytest.Item]:
        """Return the tests of the subject.

        Raises:
            CollectError: the subject or an option cannot be used; the message says why.
        """
        expected = self._options["expected_failures"]
        try:
            checks = checks_of(self.name, **self._options)
        except (SubjectError, MissingFrameworkError, ValueError) as error:
            raise self.CollectError(str(error)) from error
        items = []
        for check in checks:
            item = ProblemItem.from_parent(self, name=check.id, check=check)
            for mark in marks_of(check, expected.get(check.id)):
                item.add_marker(mark)
            items.append(item)
        return items


class ProblemItem(pytest.Item):
    """One problem in one precision."""

    def __init__(self, *, check: Check, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.check = check

    def runtest(self) -> None:
        """Put the problem to the subject."""
        self.check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message alone: no line of the judge's own code says more than it."""
        return str(excinfo.value) if excinfo.errisinstance(AssertionError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int, str]:
        """Return where pytest says that the test is: it is on no line, but pytest wants one of a skipped test."""
        return self.path, 0, f"{self.parent.name if self.parent else ''} {self.name}"


def items_of(session: pytest.Session) -> list[pytest.Item]:
    """Return the tests of the subjects that the options name; what cannot be collected is reported as pytest does."""
    config = session.config
    search(str(config.invocation_params.dir))
    options = options_of(config)
    items: list[pytest.Item] = []
    for place in config.getoption("refmaml"):
        collector = SubjectCollector.from_parent(session, name=place, nodeid=place, options=options)
        report = collect_one_node(collector)
        session.ihook.pytest_collectreport(report=report)
        items += [item for item in report.result or () if isinstance(item, pytest.Item)]
    return items


def options_of(config: pytest.Config) -> dict[str, Any]:
    """Return the keywords of `checks_of` that the options say, or the configuration file where they do not.

    Raises:
        UsageError: an order or a line of expected failures is not written as it should be.
    """
    chosen: dict[str, Any] = {}
    for name in ("framework", "order", "kind", "level"):
        value = config.getoption(f"refmaml_{name}") or config.getini(f"refmaml_{name}")
        if value:
            chosen[name] = value
    for name in ("dtypes", "conventions"):
        values = config.getoption(f"refmaml_{name}") or config.getini(f"refmaml_{name}")
        if values:
            chosen[name] = tuple(values)
    if chosen.setdefault("order", "1") not in BY_OPTION:
        expected = ", ".join(BY_OPTION)
        raise pytest.UsageError(f"refmaml_order: expected one of {expected}, but got {chosen['order']!r}.")
    chosen["order"] = BY_OPTION[chosen["order"]]
    chosen["expected_failures"] = dict(map(_expected_failure, config.getini("refmaml_expected_failures")))
    return chosen


def _expected_failure(line: str) -> tuple[str, str]:
    id_, colon, reason = line.partition(":")
    if not (colon and reason.strip()):
        raise pytest.UsageError(f"refmaml_expected_failures: expected lines of ID: REASON, but got {line!r}.")
    return id_.strip(), reason.strip()
