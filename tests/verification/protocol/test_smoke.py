"""``smoke`` tells a broken harness from a broken cost, and both from a broken algorithm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from verification.protocol import smoke

pytestmark = pytest.mark.usefixtures("nothing_is_left", "in_vain")


def failed(command: str) -> list[tuple[str, str]]:
    return [(check.part, check.cause) for check in smoke(command, timeout=1.0) if not check.is_passed]


def test_a_right_harness_passes_every_check(hostile: Callable[..., str]) -> None:
    """A right harness passes five checks, one for each kind of message and family."""
    checks = smoke(hostile("none of them"), timeout=5.0)
    assert [check.name for check in checks] == [
        "it starts, and declares what it can do",
        "numbers survive reading and writing",
        "it answers an unknown command with an error",
        "quadratic, fomaml of one task without an inner step, float64",
        "it ends after `stop`",
    ]
    assert all(check.is_passed for check in checks)


@pytest.mark.parametrize(
    ("mode", "part", "cause"),
    [
        ("exit at once", "harness", "it ended with exit status 3 during `start`"),
        ("hang at start", "harness", "it did not answer `start` within 1 s"),
        ("boast", "harness", "families: expected some of"),
        ("rounding", "harness", "`echo` of 0.3333333333333333, 0x1.5555555555555p-2, came back as "),
        ("die", "harness", "it was ended by SIGSEGV during `run`"),
        ("overflow", "harness", "is beyond the largest binary64 number"),
        ("children", "harness", "it left 1 running process behind, now killed"),
        ("late", "harness", "it ran for 1 s after `stop`, and the judge killed it"),
        ("no refusal", "harness", "expected an error as the answer to an unknown command, but got `result`"),
        ("flat echo", "harness", "came back with shape [11]"),
        ("nan", "cost", "cost: it holds NaN or infinity"),
        ("doubled", "cost", "gradients, vector: it differs from the reference by "),
        ("shape of another", "cost", "gradients, vector: expected an array of shape "),
    ],
)
def test_what_is_broken_is_told(hostile: Callable[..., str], mode: str, part: str, cause: str) -> None:
    """Of each broken program one check fails, with its cause, and says whether harness or cost is at fault."""
    ((found, why),) = failed(hostile(mode))
    assert found == part
    assert cause in why


def test_a_hang_takes_its_timeout_and_no_more(hostile: Callable[..., str], in_vain: list[float]) -> None:
    """After a first hang nothing more is asked, so that the timeout is waited for once."""
    assert failed(hostile("hang at start"))
    assert in_vain == [1.0]


def test_a_wrong_algorithm_has_nothing_wrong_here(hostile: Callable[..., str]) -> None:
    """One inner step too few is no matter of the harness."""
    assert failed(hostile("too few steps")) == []


def test_what_is_skipped_is_said(hostile: Callable[..., str]) -> None:
    """A problem that the program skips counts as passed, with the reason in its name."""
    names = [check.name for check in smoke(hostile("skip"), timeout=5.0) if check.is_passed]
    assert any(name.endswith("(skipped: not [/today])") for name in names)


def test_every_declared_precision_is_tried(tmp_path: Path, hostile: Callable[..., str]) -> None:
    """A program that declares both precisions is asked in single precision as well."""
    names = [check.name for check in smoke(hostile("both precisions"), timeout=5.0)]
    assert any(name.endswith("float32") for name in names)
