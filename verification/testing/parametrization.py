"""A test function with one test for each problem and precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from verification.orders import DTYPES, Order
from verification.problems.problem import Problem
from verification.testing.checks import Check, checks_of

if TYPE_CHECKING:
    import pytest


def parametrize_with_problems(
    subject: Callable[..., Any] | str,
    /,
    *,
    framework: str = "autograd",
    order: Order = 1,
    kind: str | None = None,
    dtypes: Sequence[str] = DTYPES,
    conventions: Iterable[str] = (),
    level: str = "quick",
    seed: int = 0,
    problems: Iterable[str | Problem] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Make a pytest test function one test for each problem and precision.

    The function takes the argument ``check`` and calls it::

        @parametrize_with_problems(my_step, framework="torch")
        def test_my_step_is_first_order_maml(check):
            check()

    The ids of the tests are those of the problems, ``quadratic-fomaml-float64``. A failure begins with the name of the
    mistake, and the terminal summary has one diagnosis over all of them. What a problem subject does not support is
    skipped, with the reason; so is a problem that decides nothing.

    Args:
        subject: the implementation, as for `verification.verify`.
        framework: as for `verification.verify`, like the six that follow. The relations of the level "full" have no
            tests of their own; `assert_correct` tests them.
        order: see `verification.verify`.
        kind: see `verification.verify`.
        dtypes: see `verification.verify`.
        conventions: see `verification.verify`.
        level: see `verification.verify`.
        seed: see `verification.verify`.
        problems: what to test on instead of a level: names of built-in problems, or problems of one's own.
        expected_failures: the reason why a test is expected to fail, by its id. A test that passes all the same fails,
            so that no expectation outlives its reason.

    Raises:
        SubjectError: the subject cannot be found or called at all.
        MissingFrameworkError: the framework is not installed.
        ValueError: an option is not one of its values, or a failure is expected of a test that there is not.
    """
    import pytest

    expected = dict(expected_failures or {})
    checks = checks_of(
        subject, framework=framework, order=order, kind=kind, dtypes=dtypes, conventions=conventions, level=level,
        seed=seed, problems=problems, expected_failures=expected,
    )  # fmt: skip
    return pytest.mark.parametrize(
        "check",
        [pytest.param(check, id=check.id, marks=marks_of(check, expected.get(check.id))) for check in checks],
    )


def marks_of(check: Check, expected: str | None) -> list[pytest.MarkDecorator]:
    """Return the marks of a check's test, where `expected` is the reason why it is expected to fail, if it is."""
    import pytest

    marks = [pytest.mark.refmaml]
    if reason := check.reason_to_skip:
        marks.append(pytest.mark.skip(reason=reason))
    if expected is not None:
        marks.append(pytest.mark.xfail(reason=expected, raises=AssertionError, strict=True))
    return marks
