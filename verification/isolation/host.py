"""The judge's end of the conversation: a process that a subject runs in, as one starts it, asks it and ends it."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from verification.frameworks import MissingFrameworkError
from verification.isolation import channel
from verification.isolation import child as program_of_subjects
from verification.processes import (
    BreakdownError,
    Child,
    LateError,
    MalformedError,
    NoProgramError,
    Partner,
    ProgramError,
    limits,
)
from verification.processes.lines import KINDS
from verification.processes.partner import ALIVE
from verification.processes.texts import shown
from verification.subjects import SubjectError
from verification.texts import visible

Json: TypeAlias = dict[str, Any]

#: A line of the file that `faulthandler` writes.
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in ', re.MULTILINE)
_LOOKS, _GLANCE = 25, 0.02  # how often, and after how many seconds each time, it is looked whether a process told
_ROOT = Path(program_of_subjects.__file__).resolve().parents[2]


def safe_path() -> list[str]:
    """Return where a new process finds the judge's own modules: not in files of that name in the current folder."""
    here = str(Path.cwd())
    return [
        entry
        for entry in map(str, sys.path)
        if Path(entry or here).resolve() == _ROOT or (entry and os.path.abspath(entry) != here)
    ]


class Host(Partner):
    """A process of Python with a subject in it, which is imported as soon as the process is started.

    `notes` has what is to be said of it in a report.
    """

    kinds = (*KINDS, ALIVE)
    #: The module whose `main` the process runs, and the longest line that it may write.
    program, longest = program_of_subjects.__name__, limits.LONGEST_LINE

    def __init__(
        self,
        subject: str,
        *,
        framework: str | None = None,
        kind: str | None = None,
        timeout: float = limits.PYTHON_TIMEOUT,
        memory: float = limits.MEMORY,
    ) -> None:
        """Take where the subject is, what its author says of it, and the rest as a `Partner`; start the process.

        Raises:
            SubjectError: there can be no such process here.
        """
        if not 0 < timeout < float("inf"):
            raise SubjectError(f"--timeout: expected a number of seconds above 0, but got {timeout:g}.")
        super().__init__(timeout, memory)
        self.subject, self.framework, self.kind = subject, framework, kind
        self._job = {
            "subject": subject, "framework": framework, "kind": kind, "path": sys.path, "timeout": timeout,
        }  # fmt: skip
        self._about: Json = {}
        self._imports: set[str] = set()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115  # it is open as long as there is a process
        self._printed = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        try:
            self._child = self.begin()
        except NoProgramError as error:
            raise SubjectError(f"a process for the subject: {error}. Pass --in-process to do without.") from error

    def begin(self) -> Child:
        """Start a process, which goes by itself as far as the subject's import."""
        trace = self._trace.fileno()
        self._trace.seek(0)
        self._trace.truncate()
        imports = f"from {self.program} import main; from {channel.__name__} import start"
        start = f"import sys; sys.path[:] = sys.argv[2:]; {imports}; start(sys.argv[1], main)"
        words = [sys.executable, "-c", start, json.dumps({**self._job, "trace": trace}), *safe_path()]
        return Child(
            words, memory=self._memory, longest=self.longest, inherited=(trace,), overheard=self._overhear,
            before_end=self._ask_where,
        )  # fmt: skip

    def greet(self, child: Child) -> None:
        """Learn what the subject is."""
        kind, content = self.exchange(child, "import", {})
        if kind != "result":
            raise MalformedError(f"expected a result, but got {kind}: {shown(content)}")
        other = content.get("refused") or content.get("missing")
        if self._about and other:
            child.kill()
            raise BreakdownError(f"could not be imported again: {shown(other)}")
        self._about = content

    def introduction(self) -> Json:
        """Return what the subject is.

        Raises:
            SubjectError: it cannot be used.
            MissingFrameworkError: its framework is not installed.
            ProgramError: its import broke the process down; it is given up.
        """
        try:
            self.request("import")
            # One that is done already takes no time, which says nothing of how long another process needs for it.
            del self._slowest["import"]
        except ProgramError as error:
            if not self.given_up:
                self.give_up(f"it cannot be imported: {error}", late=isinstance(error, LateError))
            raise
        if "missing" in self._about:
            raise MissingFrameworkError(str(self._about["missing"]))
        if "refused" in self._about:
            raise SubjectError(str(self._about["refused"]))
        return self._about

    def request(self, command: str, **rest: Any) -> Json:
        """Ask for something, and return the answer.

        Raises:
            ProgramError: there is none.
        """
        kind, content = self.ask(command, rest)
        if kind == "error":
            did = "changed what the judge's part of its process stands on"
            raise ProgramError(f"it {did}, which raised {shown(content)} during `{command}`")
        if kind != "result":
            raise ProgramError(f"it gave an answer to `{command}` that is not one: {shown(content)}")
        imports = content.get("imports", [])
        if isinstance(imports, list):
            self._imports.update(name for name in imports if isinstance(name, str))
        answer: Json = content
        return answer

    def malformed(self, error: MalformedError, command: str) -> ProgramError:
        """Return the error that an answer is not what it should be."""
        return ProgramError(f"it gave an answer to `{command}` that is not one: {error}")

    def place_of(self, error: BreakdownError) -> str:  # noqa: ARG002  # the file knows of the last one
        """Return the innermost line in the subject's own file at which the process was when it broke down."""
        with suppress(OSError):
            frames = os.pread(self._trace.fileno(), 2**16, 0).decode("utf-8", "backslashreplace")
            own = {Path(str(file)).name for file in (self._about.get("file"), self.subject.rpartition(":")[0]) if file}
            for frame in _FRAME.finditer(frames):
                if (file := Path(frame["file"]).name) in own:
                    return f" ({file}, line {frame['line']})"
        return ""

    @property
    def notes(self) -> list[str]:
        """What is to be said of the subject beside its answers."""
        if not self._imports or self._about.get("is_own"):
            return []
        names = ", ".join(sorted(self._imports)[:8])
        return [f"The subject, or what it imports, imports {names}, where the judge has its own answers."]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._trace.close()

    def _ask_where(self, process: int) -> None:
        """Have a process that hangs write down where it is; it need not."""
        with suppress(OSError):
            os.kill(process, channel.QUESTION)
            for _ in range(_LOOKS):
                if os.fstat(self._trace.fileno()).st_size:
                    return
                time.sleep(_GLANCE)

    def _overhear(self, chunk: bytes) -> None:
        """Pass on what the subject prints, to standard error, in a form that no terminal obeys, and not without end."""
        left = max(0, limits.PRINTED - self._printed)
        self._printed += len(chunk)
        said = visible(self._decoder.decode(chunk[:left]))
        if left and self._printed >= limits.PRINTED:
            said += f"\n(the subject printed more than {limits.PRINTED} bytes; the rest is left out)\n"
        if said and sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(said)
                sys.stderr.flush()
