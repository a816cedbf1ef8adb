"""Who takes the trials of a campaign: this process, or others of this machine, each of which may die."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from queue import SimpleQueue
from typing import Any, Protocol

from verification.campaigns.campaign import CRASHED, Campaign, Failure, Record
from verification.campaigns.trier import Trier
from verification.frameworks import MissingFrameworkError
from verification.isolation.host import safe_path
from verification.processes import BreakdownError, Child, HangError, NoProgramError, envelope, request
from verification.selftest.lineup import Lineup
from verification.subjects import SubjectError
from verification.texts import visible

#: The numbers of some trials.
Numbers = tuple[int, ...]
#: How many processes may end with the same trials: a single one is then the cause of it.
PATIENCE = 3
#: The seconds that a trial may take: slow ones take one.
TIMEOUT = 60.0
#: More problems are not asked to shrink one.
_SHRINKING = 300


class Takers(Protocol):
    """Takes trials, in any order."""

    def results(self, pieces: Iterable[Numbers]) -> Iterator[list[Record]]:
        """Yield what became of the trials of each piece of work, as soon as it is known."""

    def shrink(self, record: Record) -> Failure:
        """Return a trial that failed on the smallest problem on which it still fails."""


@dataclass(frozen=True)
class InThisProcess:
    """Takes trials in this process, where a debugger sees them."""

    campaign: Campaign
    lineup: Lineup | None = None

    def results(self, pieces: Iterable[Numbers]) -> Iterator[list[Record]]:
        """Yield what became of the trials, in order."""
        yield from map(Trier(self.campaign, self.lineup).attempt, pieces)

    def shrink(self, record: Record) -> Failure:
        """Return a trial that failed on the smallest problem."""
        return Trier(self.campaign, self.lineup).shrink(record)


class Hand:
    """Takes trials in a process of its own, which is started again where it ends.

    Nothing else goes on in that process: no thread of a scheduler, and nobody's handler of signals.
    """

    def __init__(self, campaign: Campaign) -> None:
        """Take the campaign; the process starts with the first trial."""
        self._campaign = campaign
        self._child: Child | None = None
        self._closed = False

    def attempt(self, piece: Numbers) -> list[Record]:
        """Return what became of trials; where processes end with them, of each for itself."""
        for _ in range(PATIENCE):
            try:
                answer = self._ask("attempt", TIMEOUT * len(piece), numbers=piece)
            except HangError:
                break
            except BreakdownError:
                continue
            return [Record(*trial) for trial in answer["trials"]]
        if len(piece) > 1:
            return [record for number in piece for record in self.attempt((number,))]
        return [Record(piece[0], Trier(self._campaign).about(piece[0]), CRASHED)]

    def shrink(self, record: Record) -> Failure:
        """Return a trial that failed on the smallest problem; one that ends its process is left as it is."""
        for work in (*[record] * PATIENCE, replace(record, became=CRASHED)):
            with suppress(BreakdownError):
                answer = self._ask("shrink", TIMEOUT * _SHRINKING, record=astuple(work))
                return Failure(record, answer["problem"], answer["said"])
        raise RuntimeError(f"The processes that shrink trial {record.number} end again and again.")

    def close(self) -> None:
        """End the process; there is no other one after it."""
        self._closed = True
        if self._child is not None:
            self._child.kill()

    def _ask(self, command: str, seconds: float, **rest: Any) -> Any:
        if self._closed:
            raise RuntimeError("The campaign was broken off.")
        if self._child is None or not self._child.is_running:
            self._child = _started(self._campaign)
        kind, answer = envelope(self._child.exchange(request(command, 0, **rest), seconds, command), 0)
        if kind != "result":
            raise RuntimeError(answer)
        if "refused" in answer:
            raise (MissingFrameworkError if answer["missing"] else SubjectError)(answer["refused"])
        return answer


def _started(campaign: Campaign) -> Child:
    start = "import sys; sys.path[:] = sys.argv[1:]; from verification.campaigns.serving import serve; serve()"
    try:
        child = Child([sys.executable, "-c", start, *safe_path()], overheard=_overheard)
    except NoProgramError as error:
        raise SubjectError(f"a process for trials: {error}. Pass --jobs 1 to do without.") from error
    child.exchange(request("begin", 0, campaign=campaign.identity), TIMEOUT, "begin")
    return child


def _overheard(chunk: bytes) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(visible(chunk.decode("utf-8", "backslashreplace")))


@dataclass(frozen=True)
class Processes:
    """Takes trials in processes of this machine."""

    campaign: Campaign
    jobs: int

    def results(self, pieces: Iterable[Numbers]) -> Iterator[list[Record]]:
        """Yield what became of the trials of each piece of work, as it comes."""
        hands = [Hand(self.campaign) for _ in range(self.jobs)]
        idle: SimpleQueue[Hand] = SimpleQueue()
        for hand in hands:
            idle.put(hand)

        def attempt(piece: Numbers) -> list[Record]:
            hand = idle.get()
            try:
                return hand.attempt(piece)
            finally:
                idle.put(hand)

        pool = ThreadPoolExecutor(self.jobs)  # threads that wait for processes
        try:
            for future in as_completed([pool.submit(attempt, piece) for piece in pieces]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for hand in hands:
                hand.close()
            pool.shutdown()

    def shrink(self, record: Record) -> Failure:
        """Return a trial that failed on the smallest problem."""
        hand = Hand(self.campaign)
        try:
            return hand.shrink(record)
        finally:
            hand.close()
