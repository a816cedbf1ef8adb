"""What the tests of the judge share: the standards of the built-in problems, which each process works out once."""

from __future__ import annotations

from functools import partial

import verification
from verification.judging.standard import Standards

STANDARDS = Standards()
verify = partial(verification.verify, standards=STANDARDS)
verify_own = partial(verification.verify_own, standards=STANDARDS)


def verify_by_autograd(subject, order, problems):
    """Judge a step that is differentiated by autograd, in float64, on some problems by name."""
    return verify(subject, order=order, framework="autograd", dtypes=("float64",), problems=problems)


def assert_named(report, faults, words):
    """Assert that the first name of a report is that of some faults, in some words."""
    first = report.diagnosis[0]
    assert set(first.faults) == faults, first
    assert words in first.evidence
