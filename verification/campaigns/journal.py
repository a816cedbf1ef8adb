"""The journal of a campaign: what is done, in lines of JSON that outlive the process at any moment.

The first line is the campaign's identity, each other one a chunk of trials that are done. A line is written at once and
flushed; what a killed process leaves of its last one has no end of line, and is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from verification.campaigns.campaign import Campaign, Record


class JournalError(ValueError):
    """A file is not the journal of this campaign; the message says why."""


class Journal:
    """A journal in a file, or for a path of None one that nobody reads; `done` has what it said at first, by number."""

    def __init__(self, path: Path | None, campaign: Campaign) -> None:
        self._head = _line({"campaign": campaign.identity})
        self.done: dict[int, Record] = {}
        self._file = None
        if path is not None:
            whole = self._read(path, path.read_bytes() if path.exists() else b"")
            self._file = path.open("ab", buffering=0)
            self._file.truncate(whole)
            if not whole:
                self._write(self._head)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def add(self, records: Sequence[Record]) -> None:
        """Write down what became of some trials."""
        self._write(_line({"trials": [list(astuple(record)) for record in records]}))

    def _write(self, line: bytes) -> None:
        if self._file is not None:
            self._file.write(line)
            os.fsync(self._file.fileno())

    def _read(self, path: Path, content: bytes) -> int:
        """Read the lines that are whole, and return where the last one ends."""
        head, *lines = content.splitlines(keepends=True) or [b""]
        if not head.endswith(b"\n"):
            if not self._head.startswith(head):
                raise JournalError(f"{path} is no journal of a campaign. Name another file.")
            return 0
        self._require_this(path, head)
        whole = len(head)
        for number, line in enumerate(lines, 2):
            if not line.endswith(b"\n"):
                break
            try:
                found = [Record(*trial) for trial in json.loads(line)["trials"]]
            except (ValueError, TypeError, KeyError) as error:
                raise JournalError(
                    f"{path}, line {number}, is no line of a journal. Delete it, or the file."
                ) from error
            self.done.update({trial.number: trial for trial in found})
            whole += len(line)
        return whole

    def _require_this(self, path: Path, head: bytes) -> None:
        """Refuse the journal of another campaign, and say what is different."""
        try:
            theirs: dict[str, Any] = json.loads(head)["campaign"]
            ours: dict[str, Any] = json.loads(self._head)["campaign"]
            different = [name for name in ours if theirs.get(name) != ours[name]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise JournalError(f"{path} is no journal of a campaign. Name another file.") from error
        if different:
            said = ", ".join(f"{name} {theirs.get(name)!r} and not {ours[name]!r}" for name in different)
            raise JournalError(f"{path} is the journal of another campaign, with {said}. Name another file.")


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
