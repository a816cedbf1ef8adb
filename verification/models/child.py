"""The program that a check runs in: it imports the script, judges its step, and tells the judge's process the report.

The definition of right needs the model and its losses, which are the script's: so all of the judging is done here.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from verification.cases import Case
from verification.frameworks import MissingFrameworkError
from verification.isolation.channel import Alive, Channel, opened
from verification.isolation.records import pack_record
from verification.isolation.standing import Standing
from verification.models.listening import Listener
from verification.models.request import Request
from verification.models.run import judge, request_of
from verification.processes.texts import printable
from verification.subjects import Finding, Subject, SubjectError, described

Json: TypeAlias = dict[str, Any]

_OURS = str(Path(__file__).resolve().parents[1])
#: Bytes of the arrays in findings that are sent; of what is beyond, the worst entry is told in words.
_LARGEST = 2**22
#: A call is announced so many times within the limit of time, at most.
_OFTEN = 100


def main(job: Json) -> None:
    """Serve the judge."""
    channel, _ = opened(job["trace"])
    Server(channel, job).serve()


class Server:
    """A request that a script made, in its own process."""

    def __init__(self, channel: Channel, job: Json) -> None:
        """Take the channel to the judge, and what to import."""
        self._channel, self._pause = channel, job["timeout"] / _OFTEN
        self._standing = Standing()
        self._refused: Json = {}
        try:
            self._request = request_of(job["subject"])
            self._about = _introduction(self._request)
        except (SubjectError, MissingFrameworkError) as error:
            self._refused = {"refused": str(error)}
        except BaseException as error:
            self._refused = {"refused": f"importing {job['subject']} raised {described(error)}"}

    def serve(self) -> None:
        """Answer the judge until it has no more questions."""
        self._channel.serve({"import": lambda *_: self._refused or self._about, "check": self._check})

    def _check(self, _: Json, alive: Alive) -> Json:
        try:
            report = judge(self._request, _Sender(alive, self._pause))
        except (SubjectError, MissingFrameworkError) as error:
            return {"refused": str(error)}
        except BaseException as error:
            return {"raised": described(error), "place": _place_of(error), "exchanged": self._standing.exchanged()}
        cases = brief(report.cases)
        return {"report": pack_record(replace(report, cases=cases)), "exchanged": self._standing.exchanged()}


class _Sender(Listener):
    """Passes on to the judge's process what it hears; it says often enough that a call is next, and not each time."""

    is_elsewhere = True

    def __init__(self, alive: Alive, pause: float) -> None:
        super().__init__(lambda *stage: self._send("progress", list(stage)))
        self._alive, self._pause, self._last, self._clock = alive, pause, 0.0, time.monotonic

    def alive(self) -> None:
        now = self._clock()
        if now - self._last >= self._pause:
            self._last = now
            self._alive()

    def precisions(self, dtypes: tuple[str, ...]) -> None:
        self._send("precisions", list(dtypes))

    def case(self, case: Case) -> None:
        self._send("case", pack_record(brief([case])[0]))

    def _send(self, what: str, value: Any) -> None:
        self._alive(json.dumps({what: value}))


def _introduction(request: Request) -> Json:
    subject = Subject(request.step, "model", request.adapter.name, str(request.name))
    file, line = subject.written or ("", 0)
    return {
        "name": subject.name,
        "framework": subject.framework,
        "order": request.order,
        "file": str(Path(file).absolute()) if file else "",
        "line": line,
    }


def brief(cases: Sequence[Case]) -> list[Case]:
    """Return cases with no more arrays than can be sent: a model may have a gradient of any size."""
    left = _LARGEST

    def shortened(finding: Finding) -> Finding:
        nonlocal left
        size = sum(array.nbytes for array in (finding.expected, finding.got) if array is not None)
        left -= size
        if left >= 0 or not size:
            return finding
        return replace(finding, message=f"{finding.message}; {finding.worst_entry()}", expected=None, got=None)

    return [replace(case, findings=[shortened(finding) for finding in case.findings]) for case in cases]


def _place_of(error: BaseException) -> str:
    """Return the innermost line that is neither the judge's nor a package's; nothing where there is none."""
    packages = (_OURS, sys.prefix, sys.base_prefix, "<")
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not frame.f_code.co_filename.startswith(packages):
            return printable(f"{Path(frame.f_code.co_filename).name}, line {line}")
    return ""
