"""A child process that reads and writes lines: every wait has an end, every buffer a bound, and nothing is left behind.

The child leads a session, and so a process group, of its own. Its end is the end of the group, and of whatever left the
group: each descendant inherits a mark in its environment by which it is found, and those that cleared their environment
are found if they were seen under their parents, at an answer or at the end (where there is a /proc).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from verification.processes.descendants import PROC, Descendants
from verification.processes.limits import BURIAL, LONGEST_LINE, STDERR_TAIL
from verification.processes.texts import printable

_MARK = "REFMAML_PROGRAM"
_CHUNK = 65536
_GLANCE = 0.05  # seconds between two looks at whether the child is still there
_LAST_WORDS = 0.5  # seconds for a child that closed a pipe to end, so that its exit status can be told
_STRAGGLERS = 0.2  # seconds for what a child started to end after it


class BreakdownError(Exception):
    """The program cannot be talked to any more; the message says what it did, without a subject: "ended with …"."""


class HangError(BreakdownError):
    """It did not answer in time."""


class NoProgramError(Exception):
    """There is nothing to be run; the message says why, without a subject."""


class Child:
    """A running program. After a `BreakdownError`, and after `end`, it runs no more."""

    def __init__(
        self,
        words: list[str],
        proc: Path = PROC,
        *,
        memory: float = float("inf"),
        longest: int = LONGEST_LINE,
        inherited: tuple[int, ...] = (),
        overheard: Callable[[bytes], None] | None = None,
        before_end: Callable[[int], None] | None = None,
    ) -> None:
        """Start it.

        Args:
            words: the program and its arguments.
            proc: the folder, if there is one, in which the system tells of processes.
            memory: how many bytes it may hold, with all that it started; without such a folder nobody knows.
            longest: how many bytes a line of it may have.
            inherited: the descriptors, beside the three standard ones, that it gets.
            overheard: is called with what it writes to standard error.
            before_end: is called with its number before it is ended because it hangs.

        Raises:
            NoProgramError: there is no such program, or it may not be run.
        """
        if sys.platform == "win32":
            raise NoProgramError("it needs process groups, which Windows has not; use Linux, macOS or WSL")
        mark = uuid4().hex
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env={**os.environ, _MARK: mark},
                pass_fds=inherited,
            )
        except OSError as error:
            raise NoProgramError(f"{words[0]!r} cannot be run: {error.strerror}") from error
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._pipes = [pipe for pipe in pipes if pipe]
        self._in, self._out, self._err = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self._mark = f"{_MARK}={mark}".encode()
        self._descendants = Descendants(self._process.pid, proc)
        self._proc = proc
        self._readable = {self._out, self._err}  # those that the child has not closed
        self._line = bytearray()
        self._errors = bytearray()
        self._memory, self._longest = memory, longest
        self._overheard, self._before_end = overheard, before_end
        self.is_running = True

    def exchange(self, line: bytes, seconds: float, command: str) -> bytes:
        """Write the line of a command and return the next line that comes, without its end.

        Raises:
            BreakdownError: the program ended, closed a pipe, wrote too much, or let the time pass. It has been killed.
        """
        deadline, unsent = time.monotonic() + seconds, line
        while unsent or b"\n" not in self._line:
            left = deadline - time.monotonic()
            if left <= 0:
                did = "read" if unsent else "answer"
                if self._before_end:
                    self._before_end(self._process.pid)
                raise self._broken(HangError, f"did not {did} `{command}` within {seconds:.3g} s")
            if self._has_exited():
                self._drain()  # what it wrote before
                if b"\n" in self._line:
                    break
                raise self._ended(command)
            if self._out not in self._readable:
                raise self._ended(command, "closed its standard output")
            try:
                unsent = self._turn(unsent, min(left, _GLANCE))
            except BrokenPipeError:
                raise self._ended(command, "closed its standard input") from None
            if len(self._line) > self._longest:  # unsent: it writes without having read what it is asked
                did = "before it had read the request" if unsent else "without the end of a line"
                if unsent or b"\n" not in self._line:
                    raise self._broken(
                        BreakdownError, f"wrote more than {self._longest} bytes {did} during `{command}`"
                    )
            self._descendants.look()
            if self._descendants.memory() > self._memory:
                did = f"used more than {self._memory / 2**30:.3g} GiB of memory"
                raise self._broken(BreakdownError, f"{did} during `{command}`")
        self._descendants.look()
        found, _, rest = bytes(self._line).partition(b"\n")
        self._line[:] = rest
        return found

    def end(self, line: bytes, seconds: float) -> BreakdownError | None:
        """Write a last line, wait for the program to end, and return what is wrong with how it did."""
        self._descendants.look()
        with contextlib.suppress(OSError):  # it may have ended before it was told to
            os.write(self._in, line)
        with contextlib.suppress(OSError):
            self._pipes[0].close()
        if not self._exits_within(seconds):
            self.kill()
            return HangError(f"ran for {seconds:.3g} s after `stop`, and the judge killed it")
        deadline = time.monotonic() + _STRAGGLERS
        while self._left() and time.monotonic() < deadline:
            time.sleep(_GLANCE / 5)
        left = self.kill()
        if self._process.returncode:
            return BreakdownError(f"{self._status()} after `stop`, where 0 was expected{self._last_words()}")
        if left:
            return BreakdownError(f"left {left} running {'process' if left == 1 else 'processes'} behind, now killed")
        return None

    def kill(self) -> int:
        """End the program and all that it started, and return how many of them were still running."""
        if not self.is_running:
            return 0
        self.is_running = False
        self._descendants.look()
        running = len(self._left())
        # As long as the child has not been waited for, its number, and so its group's, is nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if hasattr(os, "waitid"):  # however long its death takes, it is no fault of the program's
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        deadline = time.monotonic() + BURIAL
        while self._left() and time.monotonic() < deadline:
            self._descendants.look()
            for process in self._descendants.running():
                self._descendants.kill(process)
            for process in _marked(self._proc, self._mark):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(_GLANCE / 10)
        self._process.wait()
        self._drain()
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
        return running

    def _left(self) -> set[int]:
        """Return the running processes that the program started, and itself while it runs."""
        return {*_marked(self._proc, self._mark), *self._descendants.running()}

    def _turn(self, unsent: bytes, seconds: float) -> bytes:
        """Wait until a pipe is ready, write and read what can be, and return what is still to be written."""
        with selectors.DefaultSelector() as selector:
            for descriptor in self._readable:
                selector.register(descriptor, selectors.EVENT_READ)
            if unsent:
                selector.register(self._in, selectors.EVENT_WRITE)
            ready = [key.fd for key, _ in selector.select(seconds)]
        for descriptor in ready:
            if descriptor == self._in:
                unsent = self._write(unsent)
            else:
                self._read(descriptor)
        return unsent

    def _write(self, unsent: bytes) -> bytes:
        try:
            return unsent[os.write(self._in, unsent) :]
        except BlockingIOError:
            return unsent

    def _read(self, descriptor: int) -> bool:
        """Read what is there, at most a chunk; return whether there may be more."""
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._readable.discard(descriptor)
        elif descriptor == self._out:
            self._line += chunk
        else:
            self._errors = (self._errors + chunk)[-STDERR_TAIL:]
            if self._overheard:
                self._overheard(chunk)
        return bool(chunk)

    def _drain(self) -> None:
        """Read what is left in the pipes; others may hold them and go on writing, so that there is a bound."""
        for descriptor in list(self._readable):
            for _ in range(self._longest // _CHUNK):
                if not self._read(descriptor):
                    break

    def _has_exited(self) -> bool:
        if hasattr(os, "waitid"):  # which does not take the child's number away
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return self._process.poll() is not None

    def _exits_within(self, seconds: float) -> bool:
        """Wait for the child to end, reading what it writes: it must not stop at a full pipe."""
        deadline = time.monotonic() + seconds
        while not self._has_exited():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(b"", min(left, _GLANCE / 10)) if self._readable else time.sleep(min(left, _GLANCE / 10))
            self._line.clear()
            self._descendants.look()
        return True

    def _ended(self, command: str, otherwise: str = "") -> BreakdownError:
        """Tell how the program ended; where it did not, and only closed a pipe, say so."""
        cut = ", in the middle of a line" if self._line else ""
        exited = self._exits_within(_LAST_WORDS)
        self.kill()
        did = f"{self._status()}{cut}" if exited else otherwise
        return BreakdownError(f"{did} during `{command}`{self._last_words()}")

    def _broken(self, kind: type[BreakdownError], did: str) -> BreakdownError:
        self.kill()
        return kind(did + self._last_words())

    def _status(self) -> str:
        """Return how the program ended, once it has been waited for."""
        status = self._process.returncode
        if status >= 0:
            return f"ended with exit status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:  # a real-time signal has no name
            return f"was ended by signal {-status}"

    def _last_words(self) -> str:
        words = printable(b" ".join(bytes(self._errors).split()))  # lines in one sentence, with no marks of their ends
        return f"; its standard error ends with: {words}" if words else ""


def _marked(proc: Path, mark: bytes) -> list[int]:
    """Return the running processes that have a mark in their environment."""
    found = []
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is somebody else's, or it has ended
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
