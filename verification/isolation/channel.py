"""The subject's end of the conversation: two descriptors that are not where a program looks for them."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from verification.isolation.imports import watched_imports
from verification.processes.limits import GRACE
from verification.processes.partner import ALIVE
from verification.subjects.exceptions import described

Json: TypeAlias = dict[str, Any]
#: Called before each call of the subject, which then has its own time; with news for the judge, if there are any.
Alive: TypeAlias = Callable[..., None]
#: Answers a request; what it returns is JSON.
Handler: TypeAlias = Callable[[Json, Alive], Json]

_CHUNK = 65536
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_BROKEN = 70  # EX_SOFTWARE of sysexits.h
#: The signal at which the process writes down where it is.
QUESTION = getattr(signal, "SIGUSR1", 0)


class Channel:
    """Requests come and answers go by copies of standard input and output, which then lead elsewhere.

    What the subject prints goes to standard error. A process that the subject forks has no part in the conversation.
    """

    def __init__(self, trace: int) -> None:
        """Take the descriptor of the file that is told where a call is when it crashes, or when the judge asks."""
        self._in, self._out = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        if sys.stdout is not None:
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a file of text
        os.register_at_fork(after_in_child=self._leave)
        self._waiting = b""
        self._write, self._read, self._dumps, self._loads = os.write, os.read, json.dumps, json.loads
        self._limit, self._exit = sys.getrecursionlimit(), os._exit
        faulthandler.enable(trace, all_threads=False)
        faulthandler.register(QUESTION, trace)

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer requests until there is none; the process ends then."""
        try:
            while (line := self._line()) and self._answer(self._loads(line), handlers):
                pass
        except BaseException:  # not even a line can be read any more
            self._exit(_BROKEN)
        self._end()

    def _answer(self, request: Json, handlers: Mapping[str, Handler]) -> bool:
        """Answer a request, and return whether there may be more."""
        number, command = request["id"], request["command"]
        if command == "stop":
            return False

        def alive(news: str = "") -> None:
            self._send_line(self._dumps({"id": number, ALIVE: news}).encode())

        try:
            line = self._dumps({"id": number, "result": handlers[command](request, alive)}).encode()
        except BaseException as error:  # the subject may have changed whatever this stands on
            line = self._failure(number, error)
        sys.setrecursionlimit(self._limit)
        self._send_line(line)
        return True

    def _failure(self, number: int, error: BaseException) -> bytes:
        try:
            return self._dumps({"id": number, "error": described(error)}).encode()
        except BaseException:
            return b'{"id": %d, "error": "an error that cannot be shown"}' % number

    def _send_line(self, line: bytes) -> None:
        left = line + b"\n"
        try:
            while left:
                left = left[self._write(self._out, left) :]
        except OSError:  # a process that was forked, or the judge has gone
            self._exit(0)

    def _line(self) -> bytes:
        """Return the next line, or nothing where there is none."""
        while b"\n" not in self._waiting:
            try:
                chunk = self._read(self._in, _CHUNK)
            except OSError:
                chunk = b""
            if not chunk:
                return b""
            self._waiting += chunk
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    def _leave(self) -> None:
        for descriptor in (self._in, self._out):
            with suppress(OSError):
                os.close(descriptor)
        self._in = self._out = -1

    def _end(self) -> None:
        """End as a program does, but for the threads and finalizers that could keep it from ending."""
        import atexit

        with suppress(BaseException):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, GRACE / 2)  # a finalizer may wait for ever
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
        self._exit(0)


def start(written: str, main: Callable[[Json], None]) -> None:
    """Begin with a job in JSON; its path is that on which the subject is to be found."""
    job = json.loads(written)
    sys.path[:] = job["path"]
    sys.argv[:] = [job["subject"].rpartition(":")[0]]
    main(job)


def opened(trace: int) -> tuple[Channel, set[str]]:
    """Prepare this process for a subject; return the channel to the judge, and the modules of ours that it imports."""
    import resource  # Windows has none, and no such process

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file
    if sys.platform == "linux":  # however the judge ends, this process does not outlive it
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
            score.write("1000")  # where memory runs out, the judge is not the one to go
    return Channel(trace), watched_imports()
