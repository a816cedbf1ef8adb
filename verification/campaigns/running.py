"""A campaign from its beginning, or from where its journal ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from verification.campaigns.campaign import CHUNK, Record
from verification.campaigns.journal import Journal
from verification.campaigns.takers import Takers


def run(
    takers: Takers, count: int, journal: Journal, progress: Callable[[int, int, str], None] | None = None
) -> list[Record]:
    """Take the first `count` trials of a campaign, but for those that the journal has, and return all in order."""
    done = {number: record for number, record in journal.done.items() if number < count}
    missing = [number for number in range(count) if number not in done]
    show, left = progress or (lambda *_: None), len(missing)
    show(0, left, _failures(done))
    for records in takers.results(tuple(piece) for _, piece in groupby(missing, key=lambda number: number // CHUNK)):
        journal.add(records)
        done.update({record.number: record for record in records})
        show(left - (count - len(done)), left, _failures(done))
    return [done[number] for number in range(count)]


def _failures(done: dict[int, Record]) -> str:
    failed = sum(record.is_failure for record in done.values())
    return f"{failed} failures" if failed != 1 else "1 failure"
