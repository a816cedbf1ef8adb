"""Tensors that are no numbers: each kind is told for what it is, in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared import verify

SUBJECT = f"{Path(__file__).parent / 'torch_subjects.py'}:subject"
#: What is said of each kind; nothing where the answer is right.
SAID = {
    "sparse": "which is not an array: its conversion raised",
    "meta": "which is not an array: its conversion raised",
    "bfloat16": "which is not an array: its conversion raised",
    "fake": "which is not an array: its conversion raised",
    "complex": "but it is Tensor of dtype complex128",
    "truths": "but it is Tensor of dtype bool",
    "quantized": "which is not an array: its conversion raised",
    "expanded to 10¹² entries": "but it is Tensor of the shape (1000000, 1000000)",
    "a module": "but it is Linear of dtype object",
    "requires a gradient, right": "",
    "a negative view, right": "",
    "default device": "",
}


@pytest.mark.framework("torch")
def test_tensors_that_are_no_numbers_are_told_for_what_they_are() -> None:
    """Some finding says what came; a right answer in an odd form has none, and none ends the process."""
    problems = ["no-steps"] * (len(SAID) + 1)  # the last is asked with another default device
    report = verify(SUBJECT, isolated=True, framework="torch", kind="problem", dtypes=("float64",), problems=problems)
    for (kind, said), case in zip(SAID.items(), report.cases, strict=False):
        messages = [finding.message for finding in case.findings]
        assert (case.verdict == "pass") == (not said), (kind, messages)
        assert not said or any(said in message for message in messages), (kind, messages)
    (after,) = report.cases[len(SAID) :]
    assert after.verdict == "fail"
    assert after.findings[0].what in ("exception", "process")
