"""A child process and the conversation with it, where no harness is needed to try them."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from verification.processes import BreakdownError, Child, HangError, MalformedError, envelope, limits, request
from verification.processes.descendants import Descendants
from verification.processes.texts import printable, shown
from verification.protocol import verify_program
from verification.protocol.messages import PROTOCOL, read_start
from verification.protocol.program import Program
from verification.subjects import ProgramError, SubjectError

PATIENCE = 60.0  # more than anything here takes on a busy machine

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def wait_until(happens: Callable[[], object]) -> None:
    """Wait for what must happen, however long a busy machine takes for it."""
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_does_not_read_is_told_from_one_that_does_not_answer() -> None:
    """A request that is larger than the pipe cannot be written; the wait for that ends as well."""
    with pytest.raises(HangError, match=r"did not read `run` within 0\.3 s"):
        Child(["sleep", "1000"]).exchange(b"x" * 2**20 + b"\n", 0.3, "run")


def test_a_flood_of_lines_before_the_request_is_read_has_an_end() -> None:
    """Lines that come in advance are kept up to a bound only, while a request that nobody reads waits to be written."""
    with pytest.raises(BreakdownError, match=r"wrote more than 1048576 bytes before it had read the request"):
        Child(["yes"]).exchange(b"x" * 2**22 + b"\n", PATIENCE, "run")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_memory_of_descendants_counts() -> None:
    """What a child of the program holds is held by the program."""
    eats = "eaten = []\nwhile True: eaten.append(b'x' * 2**22)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {eats!r}])"
    child = Child([sys.executable, "-S", "-c", program], memory=2.0**26)
    with pytest.raises(BreakdownError, match=r"used more than 0\.0625 GiB of memory during `run`"):
        child.exchange(b"\n", PATIENCE, "run")


def test_the_last_words_of_a_program_are_one_sentence() -> None:
    """A traceback is quoted with spaces for the ends of its lines, and not with marks of them."""
    program = "import sys; sys.exit('Error: no such module\\n    at load\\n\\nLoader 3\\n')"
    with pytest.raises(BreakdownError, match=r"ends with: Error: no such module at load Loader 3$"):
        Child([sys.executable, "-S", "-c", program]).exchange(b"\n", PATIENCE, "run")


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    """A real-time signal, which has no name, is told as a number."""
    with pytest.raises(BreakdownError, match="was ended by signal 40 during `run`"):
        Child(["bash", "-c", "kill -40 $$"]).exchange(b"\n", PATIENCE, "run")


def test_an_answer_before_the_end_counts() -> None:
    """A program that answers and ends at once has answered."""
    child = Child(["bash", "-c", "read line; echo $line"])
    assert child.exchange(b"hello\n", PATIENCE, "run") == b"hello"
    with pytest.raises(BreakdownError, match="ended with exit status 0 during `run`"):
        child.exchange(b"hello\n", PATIENCE, "run")
    assert child.kill() == 0


def test_windows_is_refused_with_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, which has no process groups, the message names the systems that have them."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SubjectError, match=r"--command: it needs process groups.*use Linux, macOS or WSL"):
        Program("true").introduce()


def comes(is_so: Callable[[], bool]) -> bool:
    """Return whether something is so, at the latest in a while."""
    deadline = time.monotonic() + PATIENCE
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_so()


def test_a_group_is_ended_where_no_marks_can_be_read(
    tmp_path: Path, hostile: Callable[..., str], nothing_is_left: Callable[[], list[int]]
) -> None:
    """On systems without /proc the process group is what there is to go by."""
    child = Child(shlex.split(hostile("children")), proc=tmp_path / "none")
    assert b"result" in child.exchange(request("start", 1, protocol=PROTOCOL), 5.0, "start")
    # A program that was started a moment ago has its environment in /proc a moment later.
    assert comes(lambda: len(nothing_is_left()) == 2)
    assert child.end(request("stop", 2), limits.GRACE) is None
    assert comes(lambda: nothing_is_left() == [])  # without /proc nothing tells when the rest of the group has gone


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_a_timeout_is_a_number_of_seconds(timeout: float) -> None:
    """Zero, negative, infinite and undefined timeouts are refused."""
    with pytest.raises(SubjectError, match="--timeout: expected a number of seconds above 0"):
        Program("true", timeout)


def test_where_answers_are_slow_the_end_may_be_too() -> None:
    """A program has a second to end, a tenth of its limit, or four times as long as its slowest answer took."""
    program = Program("true")
    assert program._grace() == limits.GRACE == 1.0
    assert Program("true", timeout=40.0)._grace() == 4.0
    program._slowest = {"start": 2.0, "run": 0.5}
    assert program._grace() == 8.0


def test_wrong_options_are_refused_before_anything_runs() -> None:
    """A wrong level or problem is an error although the program does not exist."""
    with pytest.raises(ValueError, match="level: expected one of 'quick', 'full', but got 'deep'"):
        verify_program("no-such-program", level="deep")
    with pytest.raises(ValueError, match=r"problems: expected names from quadratic, .*, but got 'cubic'"):
        verify_program("no-such-program", problems=["cubic"])


def test_a_malformed_echo_is_the_programs(hostile: Callable[..., str]) -> None:
    """An echo without its array is an error of the program."""
    malformed = pytest.raises(ProgramError, match="its answer to `echo` is malformed")
    with Program(hostile("no echo"), PATIENCE) as program, malformed:
        program.echo({"shape": [1], "values": ["0x1p+0"]})


def test_a_refusal_to_start_is_told() -> None:
    """An error as the answer to `start` is repeated in the message."""
    with pytest.raises(MalformedError, match='expected a result, but got error: "not today"'):
        read_start(*envelope(b'{"id": 1, "error": "not today"}', 1))


def test_what_a_program_wrote_can_be_printed() -> None:
    """No control character, no half of a surrogate pair, and not much of it."""
    assert printable("a\x1b[2J\ud800\n") == "a\\x1b[2J\\ud800\\n"
    assert printable(b"\xff") == "\\xff"
    assert len(printable("x" * 10**6)) < 300
    assert len(shown(["x"] * 10**5)) < 300
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "list"


def children_of(number: int) -> list[int]:
    """Return the children of a process of one thread."""
    return [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def write_as_reborn(proc: Path, number: int) -> None:
    """Tell of a process as if it had begun at another time, as one that has got its number since."""
    (proc / str(number)).unlink()
    (proc / str(number)).mkdir()
    before, _, after = Path(f"/proc/{number}/stat").read_text().rpartition(")")
    fields = after.split()
    fields[19] = "0"
    (proc / str(number) / "stat").write_text(f"{before}) {' '.join(fields)}")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize("holds", [True, False])
def test_a_number_that_another_process_has_got_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holds: bool, nothing_is_left: Callable[[], list[int]]
) -> None:
    """A process that was seen, and its own children, are found and ended; one that began at another time is not."""
    if not holds:  # as in some builds of Python
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    with subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000 & wait"], start_new_session=True) as parent:
        try:
            wait_until(lambda: len(children_of(parent.pid)) == 2)
            for number in (parent.pid, *children_of(parent.pid)):
                (tmp_path / str(number)).symlink_to(f"/proc/{number}")
            found = Descendants(parent.pid, tmp_path)
            found.look()
            first, second = found.running()
            write_as_reborn(tmp_path, first)
            found.kill(first)
            assert found.running() == [second]
            shutil.rmtree(tmp_path / str(first))
            (tmp_path / str(first)).symlink_to(f"/proc/{first}")
            time.sleep(0.2)  # a signal would have ended it by now
            found.look()
            assert set(found.running()) == {first, second}
            found.kill(first)
            wait_until(lambda: first not in found.running())
            assert found.running() == [second]
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
            wait_until(lambda: not nothing_is_left())  # those that are killed take a moment to go
