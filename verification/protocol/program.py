"""A program under test: started, asked one question at a time, started again where it breaks down, and stopped."""

from __future__ import annotations

import shlex
import time
from types import TracebackType
from typing import Any

from verification.protocol import limits, messages
from verification.protocol.capabilities import Capabilities
from verification.protocol.messages import MalformedError
from verification.protocol.process import BreakdownError, Child, HangError
from verification.protocol.texts import printable
from verification.subjects import ProgramError, SkippedError, SubjectError
from verification.vectors.layout import Json


class Program:
    """A program that speaks the protocol; use it in a ``with`` statement, which leaves no process behind.

    A breakdown (a crash, a hang, garbage) ends the process, and the next question starts it again. After the second
    hang, the third breakdown in a row or the tenth in all it is `given_up`, with the reason, and asked no more.
    """

    def __init__(self, command: str, timeout: float = limits.TIMEOUT) -> None:
        """Take a command, which is split into words as a shell would, and the seconds that an answer may take.

        Raises:
            SubjectError: the command has no words, or an open quotation; the timeout is not above 0.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SubjectError(f"--command: {command!r} cannot be split into words: {error}.") from error
        if not self._words:
            raise SubjectError("--command: expected a program and its arguments, but got nothing.")
        if not 0 < timeout < float("inf"):
            raise SubjectError(f"--timeout: expected a number of seconds above 0, but got {timeout:g}.")
        self.command = command
        self.language = "unknown"
        self.given_up = ""
        self._timeout = timeout
        self._child: Child | None = None
        self._number = 0
        self._slowest = 0.0
        self._breakdowns = self._in_a_row = self._hangs = 0

    def __enter__(self) -> Program:
        """Return itself; nothing is started before the first question."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, whatever happened."""
        if self._child:
            self._child.kill()

    def introduce(self) -> Capabilities:
        """Start the program and return what it declares; a program that cannot say is given up.

        Raises:
            ProgramError: it broke down, or its answer is malformed.
            SubjectError: there is no such program.
        """
        try:
            return messages.read_capabilities(self._result("capabilities"))
        except (ProgramError, MalformedError) as error:
            self.given_up = str(error)
            raise ProgramError(str(error)) from error

    def run(self, name: str, problem: Json, dtype: str) -> tuple[Any, dict[str, Any], dict[str, Any] | None]:
        """Put a problem in its layout, and return cost, gradients and adapted variables by their names.

        Raises:
            ProgramError: it broke down, answered with an error, or its answer is malformed.
            SkippedError: it skipped the problem.
        """
        result = self._result("run", name=name, dtype=dtype, problem=problem)
        try:
            return messages.read_answer(result)
        except MalformedError as error:
            raise ProgramError(f"its answer is malformed: {error}") from error

    def echo(self, array: Json) -> Any:
        """Have an array sent back, and return it."""
        result = self._result("echo", array=array)
        try:
            return messages.read_array(result.get("array"), "array")
        except MalformedError as error:
            raise ProgramError(f"its answer to `echo` is malformed: {error}") from error

    def raw(self, command: str) -> tuple[str, Any]:
        """Send any command, and return the kind of the answer and what it holds."""
        return self._ask(command, {})

    def stop(self) -> str | None:
        """Have the program end, and return what is wrong with how it did."""
        if not self._child or not self._child.is_running:
            return None
        self._number += 1
        complaint = self._child.end(messages.request("stop", self._number), self._grace())
        return complaint and f"it {complaint}"

    def _result(self, command: str, **rest: Any) -> Json:
        kind, content = self._ask(command, rest)
        if kind == "skipped" and command == "run":
            raise SkippedError(printable(content))
        if kind != "result":
            raise ProgramError(f"it answered `{command}` with {_article(kind)}: {printable(content)}")
        result: Json = content
        return result

    def _ask(self, command: str, rest: Json) -> tuple[str, Any]:
        """Ask, starting the program if it does not run, and keep count of what becomes of it."""
        if self.given_up:
            raise ProgramError(f"the judge did not send this problem: {self.given_up}")
        try:
            answer = self._exchange(self._started(), command, rest)
        except BreakdownError as error:
            self._count(error)
            raise ProgramError(f"it {error}") from error
        self._in_a_row = 0
        return answer

    def _started(self) -> Child:
        if not self._child or not self._child.is_running:
            self._child = Child(self._words)
            kind, content = self._exchange(self._child, "start", {"protocol": messages.PROTOCOL})
            try:
                self.language = messages.read_start(kind, content)
            except MalformedError as error:
                self._child.kill()
                raise BreakdownError(f"gave an answer to `start` that is not one: {error}") from error
        return self._child

    def _exchange(self, child: Child, command: str, rest: Json) -> tuple[str, Any]:
        self._number += 1
        line = messages.request(command, self._number, **rest)
        began = time.monotonic()
        try:
            answer = messages.envelope(child.exchange(line, self._patience(), command), self._number)
        except MalformedError as error:
            child.kill()
            raise BreakdownError(f"gave an answer to `{command}` that is not one: {error}") from error
        self._slowest = max(self._slowest, time.monotonic() - began)
        return answer

    def _patience(self) -> float:
        """Return how long to wait: less once it has hung, so that no run takes much more than one timeout in vain."""
        rope = max(limits.ROPE, limits.ROPE_FACTOR * self._slowest)
        return min(self._timeout, rope) if self._hangs else self._timeout

    def _grace(self) -> float:
        """Return how long the program may take to end: where everything is slow, that is too."""
        return max(limits.GRACE, limits.ROPE_FACTOR * self._slowest)

    def _count(self, error: BreakdownError) -> None:
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
        self.given_up = why and f"{why}; the last time it {error}"


def _article(kind: str) -> str:
    return "an error" if kind == "error" else f"`{kind}`"
