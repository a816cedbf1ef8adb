"""The other side of a conversation: started, asked one question at a time, started again where it breaks down."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from verification.processes import limits
from verification.processes.lines import KINDS, MalformedError, envelope, request
from verification.processes.process import BreakdownError, Child, HangError

#: An answer of this kind says that there is one to come, and that the time for it begins anew.
ALIVE = "alive"


class ProgramError(Exception):
    """There is no answer that can be compared; the message is a sentence about the program, without its full stop."""


class Partner:
    """A program that answers requests; use it in a ``with`` statement, which leaves no process behind.

    A breakdown (a crash, a hang, garbage) ends the process, and the next question starts it again. After the second
    hang, the third breakdown in a row or the tenth in all it is `given_up`, with the reason, and asked no more.
    """

    #: The kinds of answers.
    kinds: tuple[str, ...] = KINDS

    def __init__(self, timeout: float, memory: float = limits.MEMORY) -> None:
        """Take the seconds that an answer may take, and the bytes that the program may hold in memory."""
        self.given_up = ""
        self._timeout, self._memory = timeout, memory
        self._child: Child | None = None
        self._greeted: Child | None = None
        self._number = 0
        self._slowest = 0.0
        self._breakdowns = self._in_a_row = self._hangs = 0

    def __enter__(self) -> Any:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, whatever happened."""
        if self._child:
            self._child.kill()

    def begin(self) -> Child:
        """Start a process."""
        raise NotImplementedError

    def greet(self, child: Child) -> None:
        """Have the first exchange with a process that was started.

        Raises:
            BreakdownError: it broke down.
            MalformedError: its answer is not one.
        """

    def place_of(self, error: BreakdownError) -> str:  # noqa: ARG002  # who knows more, knows it of this error
        """Return where in its code it broke down, if that is known."""
        return ""

    def ask(self, command: str, rest: dict[str, Any]) -> tuple[str, Any]:
        """Ask, starting the program if it does not run, and keep count of what becomes of it.

        Raises:
            ProgramError: it broke down, or it is given up.
            NoProgramError: there is no such program.
        """
        if self.given_up:
            raise ProgramError(f"the judge did not send this problem: {self.given_up}")
        try:
            answer = self.exchange(self._started(), command, rest)
        except BreakdownError as error:
            what = f"it {error}{self.place_of(error)}"
            self._count(error, what)
            raise ProgramError(what) from error
        self._in_a_row = 0
        return answer

    def exchange(self, child: Child, command: str, rest: dict[str, Any]) -> tuple[str, Any]:
        """Send one request to a process, and return the kind of the answer and what it holds.

        Raises:
            BreakdownError: there was no answer, or none that can be read. The process has ended.
        """
        self._number += 1
        line = request(command, self._number, **rest)
        for _ in range(limits.CALLS):
            began = time.monotonic()
            try:
                came = child.exchange(line, self._patience(), command)
                kind, content = envelope(came, self._number, self.kinds)
            except MalformedError as error:
                child.kill()
                raise BreakdownError(f"gave an answer to `{command}` that is not one: {error}") from error
            self._slowest = max(self._slowest, time.monotonic() - began)
            if kind != ALIVE:
                return kind, content
            line = b""
        child.kill()
        raise BreakdownError(f"made more than {limits.CALLS} calls of one `{command}`")

    def stop(self) -> str | None:
        """Have the program end, and return what is wrong with how it did."""
        if not self._child or not self._child.is_running:
            return None
        self._number += 1
        complaint = self._child.end(request("stop", self._number), self._grace())
        return complaint and f"it {complaint}"

    def _started(self) -> Child:
        if not self._child or not self._child.is_running:
            self._child = self.begin()
        if self._greeted is not self._child:
            self._greeted = self._child
            try:
                self.greet(self._child)
            except MalformedError as error:
                self._child.kill()
                raise BreakdownError(f"gave an answer to `start` that is not one: {error}") from error
        return self._child

    def _patience(self) -> float:
        """Return how long to wait: less once it has hung, so that no run takes much more than one timeout in vain."""
        rope = max(limits.ROPE, limits.ROPE_FACTOR * self._slowest)
        return min(self._timeout, rope) if self._hangs else self._timeout

    def _grace(self) -> float:
        """Return how long the program may take to end: where everything is slow, that is too."""
        return max(limits.GRACE, limits.ROPE_FACTOR * self._slowest)

    def _count(self, error: BreakdownError, what: str) -> None:
        self._breakdowns += 1
        self._in_a_row += 1
        self._hangs += isinstance(error, HangError)
        why = ""
        if self._hangs >= limits.HANGS:
            why = f"it had hung {self._hangs} times"
        elif self._in_a_row >= limits.IN_A_ROW:
            why = f"it had broken down {self._in_a_row} times in a row"
        elif self._breakdowns >= limits.IN_ALL:
            why = f"it had broken down {self._breakdowns} times"
        self.given_up = why and f"{why}; the last time {what}"
