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


class LateError(ProgramError):
    """There is no answer within the limit of time: what it would have been, nobody knows."""


class Partner:
    """A program that answers requests; use it in a ``with`` statement, which leaves no process behind.

    A breakdown (a crash, a hang, garbage) ends the process, and the next question starts it again. After the second
    hang in a row, the third breakdown in a row or the tenth in all, or where more than two limits of time have been
    waited in vain, it is `given_up`, with the reason, and asked no more. `is_late` tells that time was the reason.
    """

    #: The kinds of answers.
    kinds: tuple[str, ...] = KINDS

    def __init__(self, timeout: float, memory: float = limits.MEMORY) -> None:
        """Take the seconds that an answer may take, and the bytes that the program may hold in memory."""
        self.given_up, self.is_late = "", False
        self.timeout, self._memory = timeout, memory
        self._child: Child | None = None
        self._greeted: Child | None = None
        self._number = 0
        self._slowest: dict[str, float] = {}  # the seconds of the slowest answer, by command
        self._breakdowns = self._in_a_row = self._hangs = self._hangs_in_a_row = 0
        self._lost = 0.0

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

    def hear(self, news: str) -> None:
        """Take in what the program says while there is no answer yet.

        Raises:
            MalformedError: it says nothing that can be understood.
        """

    def ask(self, command: str, rest: dict[str, Any]) -> tuple[str, Any]:
        """Ask, starting the program if it does not run, and keep count of what becomes of it.

        Raises:
            LateError: it did not answer in time, or is given up for that.
            ProgramError: it broke down in another way, or is given up for another reason.
            NoProgramError: there is no such program.
        """
        if self.given_up:
            raise self.unsent()
        try:
            answer = self.exchange(self._started(), command, rest)
        except BreakdownError as error:
            what = f"it {error}{self.place_of(error)}"
            self._count(isinstance(error, HangError), what)
            raise _told(error, what) from error
        self._in_a_row = self._hangs_in_a_row = 0
        return answer

    def unsent(self) -> ProgramError:
        """Return what there is to raise in place of asking a program that is given up."""
        return (LateError if self.is_late else ProgramError)(f"the judge did not send this problem: {self.given_up}")

    def give_up(self, why: str, *, late: bool) -> None:
        """Ask the program no more; `late` tells that time is the reason."""
        self.given_up, self.is_late = why, late

    def exchange(self, child: Child, command: str, rest: dict[str, Any]) -> tuple[str, Any]:
        """Send one request to a process, and return the kind of the answer and what it holds.

        Raises:
            BreakdownError: there was no answer, or none that can be read. The process has ended.
        """
        self._number += 1
        line = request(command, self._number, **rest)
        for _ in range(limits.CALLS):
            began, patience = time.monotonic(), self._patience(command)
            try:
                came = child.exchange(line, patience, command)
                kind, content = envelope(came, self._number, self.kinds)
                if kind == ALIVE:
                    self.hear(content)
            except HangError:
                self._lost += patience
                raise
            except MalformedError as error:
                child.kill()
                raise BreakdownError(f"gave an answer to `{command}` that is not one: {error}") from error
            self._slowest[command] = max(self._slowest.get(command, 0.0), time.monotonic() - began)
            if kind != ALIVE:
                return kind, content
            line = b""
        child.kill()
        raise BreakdownError(f"made more than {limits.CALLS} calls of one `{command}`")

    def stop(self) -> ProgramError | None:
        """Have the program end, and return what is wrong with how it did."""
        if not self._child or not self._child.is_running:
            return None
        self._number += 1
        complaint = self._child.end(request("stop", self._number), self._grace())
        return _told(complaint, f"it {complaint}") if complaint else None

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

    def _patience(self, command: str) -> float:
        """Return how long to wait: once it has hung, by what a command took so far, which may be nothing known."""
        if not self._hangs or command not in self._slowest:
            return self.timeout
        return min(self.timeout, max(limits.ROPE, limits.ROPE_FACTOR * self._slowest[command]))

    def _grace(self) -> float:
        """Return how long the program may take to end: where everything is slow, that is too."""
        return max(limits.GRACE, limits.ROPE_FACTOR * max(self._slowest.values(), default=0.0))

    def _count(self, late: bool, what: str) -> None:
        self._breakdowns += 1
        self._in_a_row += 1
        self._hangs += late
        self._hangs_in_a_row = self._hangs_in_a_row + 1 if late else 0
        if self._hangs_in_a_row >= limits.HANGS or self._lost > limits.LOST * self.timeout:
            self.give_up(f"it had hung {self._hangs} times; the last time {what}", late=True)
        elif self._in_a_row >= limits.IN_A_ROW:
            self.give_up(f"it had broken down {self._in_a_row} times in a row; the last time {what}", late=False)
        elif self._breakdowns >= limits.IN_ALL:
            why = f"it had broken down {self._breakdowns} times; the last time {what}"
            self.give_up(why, late=self._hangs == self._breakdowns)


def _told(error: BreakdownError, what: str) -> ProgramError:
    return LateError(what) if isinstance(error, HangError) else ProgramError(what)
