"""Hostile and broken programs: each gets a verdict with its cause, on every problem, in time, and leaves no process."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from shared import STANDARDS

from verification.processes import limits
from verification.protocol import verify_program
from verification.report import Report

TIMEOUT = 1.0  # by the clock of the fixture `in_vain`, on which an interpreter starts in no time
PATIENCE = 60.0  # by the machine's own
PROBLEMS = ("quadratic", "five-steps")

pytestmark = [
    pytest.mark.usefixtures("nothing_is_left", "in_vain"),
    pytest.mark.once,  # programs in processes of their own, which the tests of the protocol's command have everywhere
]


def judged(command: str, *, vectors: bool = True) -> Report:
    return verify_program(command, timeout=TIMEOUT, order=1, problems=PROBLEMS, vectors=vectors, standards=STANDARDS)


@pytest.fixture(scope="module")
def plan() -> set[tuple[str, str]]:
    """Return every case of the template, which is right."""
    template = Path(__file__).parents[3] / "examples" / "template" / "harness.py"
    command = shlex.join([sys.executable, "-S", str(template)])
    report = verify_program(command, timeout=PATIENCE, order=1, problems=PROBLEMS)
    assert report.verdict == "pass"
    return {(case.problem, case.dtype) for case in report.cases}


def is_running(number: int) -> bool:
    """Return whether a process is there, and not only waiting for its parent to notice its end."""
    try:
        line = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return line.rpartition(")")[2].split()[0] not in ("Z", "X")


#: Mode, how many of the 15 problems fail (None: all, and others that it did not live to decline), and the cause.
BROKEN = [
    ("exit at once", None, "it ended with exit status 3 during `start`"),
    ("hang at start", None, "it did not answer `start` within 1 s"),
    ("old", None, "it gave an answer to `start` that is not one: protocol: expected 1, but got 0"),
    ("boast", None, 'families: expected some of quadratic, linear-regression'),
    ("hang", 15, "it did not answer `run` within 1 s"),
    ("drip", 15, "it did not answer `run` within 1 s"),
    ("die", 15, "it was ended by SIGSEGV during `run`"),
    ("garbage", 15, "it gave an answer to `run` that is not one: expected a JSON object on one line, but got "),
    ("bytes", 15, "expected a JSON object on one line, but got"),
    ("deep", 15, "expected a JSON object on one line, but got"),
    ("no newline", 15, f"it wrote more than {limits.LONGEST_LINE} bytes without the end of a line during `run`"),
    ("wrong id", 15, "expected the answer to the request with id"),
    ("out of order", 15, "expected the answer to the request with id"),
    ("no answer", 15, 'expected one of the keys result, skipped, error, but it has ["answer", "id"]'),
    ("two answers", 15, 'expected one of the keys result, skipped, error, but it has ["error", "id", "result"]'),
    ("nan", 15, "it holds NaN or infinity, where "),
    ("JSON nan", 15, "JSON has no NaN"),
    ("overflow", 15, 'its answer is malformed: gradients, vector: "0x1p+5000" is beyond the largest binary64 number'),
    ("closed output", 15, "it closed its standard output during `run`"),
    ("orphan with the pipe", 15, "it ended with exit status 0 during `run`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "failing", "cause"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_problem_has_a_verdict_with_its_cause(
    plan: set[tuple[str, str]],
    hostile: Callable[..., str],
    in_vain: list[float],
    mode: str,
    failing: int | None,
    cause: str,
) -> None:
    """Every question fails for what the program does, and no more is waited than two timeouts."""
    report = judged(hostile(mode))
    assert sum(in_vain) <= limits.HANGS * TIMEOUT
    assert report.verdict == "fail"
    assert {(case.problem, case.dtype) for case in report.cases} >= plan
    assert all(case.verdict == "fail" and case.findings for case in report.cases)
    assert failing in (None, len(report.cases))
    assert cause in report.cases[0].findings[0].message


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("decimal", 'cost: expected a hex float in a string, such as "0x1.8p+1", but got 0.25'),
        ("shape", "its answer is malformed: gradients, vector: its shape [7] and its 3 values contradict each other"),
        ("flat", "expected an array of shape (3,), but its shape is (7,)"),
        ("none", "expected an array of shape (3,), but it is None: no gradient reached it"),
        ("missing", "the leaf is missing; expected an array of shape (3,)"),
        ("error", "it answered `run` with an error: no \\x1b[31msolver\\n for this"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_one_is_told_by_its_part(hostile: Callable[..., str], mode: str, cause: str) -> None:
    """The program goes on; what is wrong with the answer is said as for a Python subject, or is malformed."""
    report = judged(hostile(mode))
    assert len(report.cases) == 15
    assert all(case.verdict == "fail" for case in report.cases)
    assert cause in report.cases[0].findings[0].message


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("die in the middle", "ended with exit status 7, in the middle of a line during `run`; its standard error"),
        ("twice", "expected the answer to the request with id"),
        ("closed input", "it closed its standard input during `run`"),
    ],
)
def test_a_program_that_works_at_times_is_started_again(
    plan: set[tuple[str, str]], hostile: Callable[..., str], in_vain: list[float], mode: str, cause: str
) -> None:
    """What breaks down on every second question is right on the others, and no question is lost."""
    report = judged(hostile(mode))
    assert in_vain == []
    assert {(case.problem, case.dtype) for case in report.cases} == plan
    failed = [case for case in report.cases if case.verdict == "fail"]
    assert any(cause in finding.message for case in failed for finding in case.findings)
    assert 0 < len(failed) < len(plan)
    assert "given up" not in report.reason


def test_one_hang_is_one_verdict(
    plan: set[tuple[str, str]], hostile: Callable[..., str], in_vain: list[float], tmp_path: Path
) -> None:
    """A program that hangs once is started again and asked the rest: nothing is wrong, and one answer is unknown."""
    report = judged(hostile("hang once", str(tmp_path / "hung")))
    assert in_vain == [TIMEOUT]
    assert {(case.problem, case.dtype) for case in report.cases} == plan
    (late,) = (case for case in report.cases if case.verdict != "pass")
    assert (late.verdict, report.verdict, report.exit_code) == ("inconclusive", "inconclusive", 3)
    assert "it did not answer `run` within 1 s" in late.findings[-1].message
    assert report.reason.startswith("No answer is wrong, but not everything came within the limit of time. 1 of 15 ")
    assert report.reason.endswith("Where it needs longer, pass a longer limit, such as --timeout 4.")


def test_a_late_answer_hides_no_wrong_one(hostile: Callable[..., str], tmp_path: Path) -> None:
    """Where an answer is wrong and another one late, the verdict is that of the wrong one."""
    command = hostile("hang once", str(tmp_path / "hung"), "too few steps")
    report = verify_program(command, timeout=TIMEOUT, order=1, problems=PROBLEMS[::-1], standards=STANDARDS)
    verdicts = [case.verdict for case in report.cases]
    assert verdicts.count("inconclusive") == 1
    assert report.verdict == "fail"
    assert f"1 of 15 answers is missing, and {verdicts.count('fail')} are wrong. The cause: it did " in report.reason
    assert "--timeout 4" in report.reason


@pytest.mark.parametrize("mode", ["late", "deaf"])
def test_an_end_that_is_late_decides_nothing(
    plan: set[tuple[str, str]], hostile: Callable[..., str], in_vain: list[float], mode: str
) -> None:
    """Every answer is right; that the program goes on after `stop` says nothing of the algorithm, and is told."""
    report = judged(hostile(mode))
    cause = "it ran for 1 s after `stop`, and the judge killed it"
    assert in_vain == []
    (late,) = (case for case in report.cases if case.verdict != "pass")
    assert (late.problem, late.group, late.verdict) == ("stop", "protocol", "inconclusive")
    assert {(case.problem, case.dtype) for case in report.cases if case.verdict == "pass"} == plan
    assert report.verdict == "inconclusive"
    assert f"After the last, {cause}. This says nothing of the algorithm. Where it needs longer" in report.reason


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("bad end", "it ended with exit status 5 after `stop`, where 0 was expected"),
        ("children", "it left 1 running process behind, now killed"),
        ("children of their own", "it left 1 running process behind, now killed"),
    ],
)
def test_a_bad_end_is_a_verdict_of_its_own(
    plan: set[tuple[str, str]], hostile: Callable[..., str], in_vain: list[float], mode: str, cause: str
) -> None:
    """Every answer is right, and how the program ends is told beside them."""
    report = judged(hostile(mode))
    assert in_vain == []
    (failed,) = (case for case in report.cases if case.verdict == "fail")
    assert (failed.problem, failed.group, failed.findings[0].message) == ("stop", "protocol", cause)
    assert {(case.problem, case.dtype) for case in report.cases if case.verdict == "pass"} == plan
    assert report.reason.endswith(f"After the last, {cause}.")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_child_that_left_everything_is_ended_too(hostile: Callable[..., str], tmp_path: Path) -> None:
    """Neither a session nor an environment of its own saves a process that the program started."""
    report = judged(hostile("children without environment", str(tmp_path / "pid")), vectors=False)
    number = int((tmp_path / "pid").read_text())
    if survived := is_running(number):
        os.kill(number, signal.SIGKILL)
    assert not survived
    assert report.reason.endswith("After the last, it left 1 running process behind, now killed.")


def test_a_flood_on_standard_error_does_no_harm(hostile: Callable[..., str]) -> None:
    """A program may write what it likes there: it is read, and thrown away."""
    report = judged(hostile("chatter"))
    assert report.verdict == "pass"


def test_what_a_program_skips_is_left_out_with_its_reason(hostile: Callable[..., str]) -> None:
    """A program that skips everything is inconclusive, with its own reason, whose brackets are no markup."""
    report = judged(hostile("skip"), vectors=False)
    assert report.verdict == "inconclusive"
    assert report.reason.startswith("The program skipped all ")
    assert {report.why_left_out[name] for name in PROBLEMS} == {"the program skipped it: not [/today]"}


def test_a_pass_needs_answers_to_half_of_what_is_declared(hostile: Callable[..., str]) -> None:
    """Two right answers and nothing else are inconclusive, with the count; with three left out it is a pass."""
    most = judged(hostile("skip most"))
    answered = len(most.cases)
    skipped = sum("skipped it" in why for why in most.why_left_out.values())
    assert (most.verdict, answered) == ("inconclusive", 2)  # the first is asked twice
    assert most.reason == (
        "All 2 answers are right within their bounds. But the program skipped "
        f"{skipped} of the {skipped + 2} problems that it declares to do, and a pass needs answers to half of them. "
        "Let it declare what it does."
    )
    some = judged(hostile("skip some"))
    assert some.verdict == "pass"
    assert sum("skipped it" in why for why in some.why_left_out.values()) == 3


def test_hangs_have_an_end(plan: set[tuple[str, str]], hostile: Callable[..., str], in_vain: list[float]) -> None:
    """A program that hangs again and again, whatever it answers between, is waited for two timeouts and a rope."""
    report = judged(hostile("hang at times"))
    assert {(case.problem, case.dtype) for case in report.cases} == plan
    assert in_vain == [TIMEOUT, *3 * [limits.ROPE]]  # after a hang, one that answers at once has half a second
    assert "The cause: it had hung 4 times; the last time it did not answer `run` within 0.5 s" in report.reason
    assert report.verdict == "inconclusive"  # what it answered is right


def test_what_was_never_answered_is_waited_for_twice(hostile: Callable[..., str], in_vain: list[float]) -> None:
    """A program that answers no problem has the whole limit twice, and fails: the reason says how to give it longer."""
    report = verify_program(hostile("hang"), timeout=3.0, order=1, problems=PROBLEMS, standards=STANDARDS)
    assert in_vain == [3.0, 3.0]
    assert "it did not answer `run` within 3 s" in report.cases[0].findings[0].message
    assert {case.verdict for case in report.cases} == {report.verdict} == {"fail"}
    assert report.reason.endswith("Where it needs longer, pass a longer limit, such as --timeout 12.")


@pytest.mark.parametrize("mode", ["no newline", "chatter and hang", "hang"])
def test_memory_stays_bounded(hostile: Callable[..., str], mode: str) -> None:
    """However much is written, a line and the tail of standard error are all that is kept."""
    judged(hostile("skip"), vectors=False)
    tracemalloc.start()
    try:
        judged(hostile(mode), vectors=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * limits.LONGEST_LINE


def test_an_error_of_the_caller_leaves_no_process_either(
    hostile: Callable[..., str], nothing_is_left: Callable[[], list[int]]
) -> None:
    """An exception on our side, such as Ctrl-C, ends the program as well."""

    def interrupt(done: int, total: int, name: str) -> None:
        if done == 3:
            assert nothing_is_left() != []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_program(hostile("children"), problems=PROBLEMS, progress=interrupt, standards=STANDARDS)
