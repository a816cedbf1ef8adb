"""Answers that are none: each of half a hundred kinds is told for what it is, and none of them ends the process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import malformed_subjects
import pytest
from shared import verify

from verification.report import Report

SUBJECT = f"{Path(__file__).parent / 'malformed_subjects.py'}:subject"
#: What is said of each kind, in some finding.
SAID = {
    "None": "but it returned NoneType",
    "a number": "but it returned float",
    "an array": "but it returned ndarray",
    "a dict": "but it returned dict",
    "a set": "but it returned set",
    "a string of two": "but it returned str of length 2",
    "one entry": "but it returned tuple of length 1",
    "four entries": "but it returned tuple of length 4",
    "a generator": "but it returned generator",
    "exchanged": "expected a container with the leaves",
    "no cost": "expected the cost to be a real scalar, but it is NoneType",
    "a cost of text": "expected the cost to be a real scalar, but it is str",
    "a complex cost": "but it is complex of dtype complex128",
    "a cost for each task": "but it is an array of shape (3,)",
    "NaN for the cost": "NaN or infinity",
    "a time for the cost": "but it is timedelta64 of dtype timedelta64[s]",
    "a fraction for the cost": "but it is Fraction of dtype object",
    "no gradients": "but it is NoneType",
    "gradients in text": "but it is str",
    "gradients in a list": "expected only the leaves",
    "gradients in a deque": "but it is deque",
    "gradients in one array": "but it is ndarray",
    "a leaf too few": "the leaf is missing",
    "a leaf too many": "but got also 'extra'",
    "a leaf of another name": "but got also 'INNER_GAIN'",
    "None for a leaf": "but it is None: no gradient reached it",
    "text for a leaf": "but it is str",
    "a list of texts for a leaf": "but it is ndarray of dtype <U2",
    "objects for a leaf": "but it is ndarray of dtype object",
    "a function for a leaf": "but it is function of dtype object",
    "a complex leaf": "but it is ndarray of dtype complex128",
    "truths for a leaf": "but it is ndarray of dtype bool",
    "times for a leaf": "but it is ndarray of dtype timedelta64[s]",
    "a record for a leaf": "but it is ndarray of dtype [('a', '<f8')]",
    "a masked leaf": "but it is MaskedArray with masked entries",
    "a ragged leaf": "but got also 'w1/a/0'",
    "a transposed leaf": "but its shape is (5, 4, 3)",
    "an empty leaf": "but its shape is (0, ",
    "a leaf of 10¹² entries": "but it is ndarray of the shape (1000000, 1000000)",
    "NaN in a leaf": "NaN or infinity",
    "infinity in a leaf": "NaN or infinity",
    "half precision": "it differs from the reference",
    "small integers": "it differs from the reference",
    "itself": "but got also '0/0/0",
    "very deep": "but got also '0/0/0",
    "a named tuple of dates": "but got also '0'",
    "very many leaves": "expected only the leaves",
    "a very long name": "expected only the leaves",
    "adapted in text": "but it is str",
    "adapted without tasks": "expected an array of shape (3, 2, 3), but its shape is (2, 3)",
    "an array that cannot be read": "its conversion raised RuntimeError: cannot be read",
    "long doubles, right": "",
    "another mapping, right": "",
    "views in Fortran's order, right": "",
    "the other order of bytes, right": "",
}


@pytest.fixture(scope="module")
def report() -> Report:
    """Return the report on one subject that gave every kind of answer, in one process."""
    problems = ["no-steps"] * len(SAID)
    return verify(SUBJECT, isolated=True, framework="numpy", kind="problem", dtypes=("float64",), problems=problems)


def test_every_kind_is_tried() -> None:
    """What is said of a kind is said of one that there is, in the same order."""
    assert list(SAID) == list(malformed_subjects.KINDS)


@pytest.mark.parametrize("kind", SAID)
def test_a_malformed_answer_is_told_for_what_it_is(report: Report, kind: str) -> None:
    """Some finding says what came; a right answer in an odd form has none."""
    case = report.cases[list(SAID).index(kind)]
    said = [finding.message for finding in case.findings]
    assert (case.verdict == "pass") == (not SAID[kind]), said
    assert not SAID[kind] or any(SAID[kind] in message for message in said), said


def test_the_report_has_no_answer_that_is_missing_and_can_be_written(report: Report) -> None:
    """No kind of answer ended the process, and the report is JSON."""
    assert [finding.what for case in report.cases for finding in case.findings if finding.what == "process"] == []
    written: dict[str, Any] = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(written["cases"]) == len(SAID)
