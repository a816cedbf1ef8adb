"""A program under test: started, asked one question at a time, started again where it breaks down, and stopped."""

from __future__ import annotations

import shlex
from typing import Any

from verification.processes import Child, LateError, MalformedError, NoProgramError, Partner, ProgramError, limits
from verification.processes.texts import printable
from verification.protocol import messages
from verification.protocol.capabilities import Capabilities
from verification.subjects import SkippedError, SubjectError
from verification.vectors.layout import Json


class Program(Partner):
    """A program that speaks the protocol."""

    def __init__(self, command: str, timeout: float = limits.TIMEOUT, memory: float = limits.MEMORY) -> None:
        """Take a command, which is split into words as a shell would; the rest is as for a `Partner`.

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
        super().__init__(timeout, memory)
        self.command = command
        self.language = "unknown"

    def begin(self) -> Child:
        """Start it.

        Raises:
            SubjectError: there is no such program.
        """
        try:
            return Child(self._words, memory=self._memory)
        except NoProgramError as error:
            raise SubjectError(f"--command: {error}.") from error

    def greet(self, child: Child) -> None:
        """Learn its language."""
        self.language = messages.read_start(*self.exchange(child, "start", {"protocol": messages.PROTOCOL}))

    def introduce(self) -> Capabilities:
        """Start the program and return what it declares; a program that cannot say is given up.

        Raises:
            ProgramError: it broke down, or its answer is malformed.
            SubjectError: there is no such program.
        """
        try:
            return messages.read_capabilities(self._result("capabilities"))
        except (ProgramError, MalformedError) as error:
            self.give_up(str(error), late=isinstance(error, LateError))
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
        return self.ask(command, {})

    def _grace(self) -> float:
        """Return how long the program may take to end: as for any, or longer where its limit of time is long."""
        return max(super()._grace(), limits.GRACE_PART * self.timeout)

    def _result(self, command: str, **rest: Any) -> Json:
        kind, content = self.ask(command, rest)
        if kind == "skipped" and command == "run":
            raise SkippedError(printable(content))
        if kind != "result":
            raise ProgramError(f"it answered `{command}` with {_article(kind)}: {printable(content)}")
        result: Json = content
        return result


def _article(kind: str) -> str:
    return "an error" if kind == "error" else f"`{kind}`"
