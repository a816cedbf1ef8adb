"""A Dask cluster that takes the trials of a campaign: on other machines, any of which may go away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from verification.campaigns.campaign import Campaign, Failure, Record
from verification.campaigns.takers import Hand, Numbers
from verification.frameworks import MissingFrameworkError
from verification.subjects import SubjectError

#: A worker of the cluster may have several threads, and has one process that takes trials.
_ONE_AT_A_TIME = Lock()


def require_distributed() -> Any:
    """Return Dask's package.

    Raises:
        MissingFrameworkError: it is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingFrameworkError(
            f"--scheduler needs the package distributed, which is not installed here ({error}). Install it, for "
            "example with: python -m pip install 'refmaml[distributed]'"
        ) from error
    return distributed


@dataclass(frozen=True)
class Cluster:
    """Takes trials on a Dask cluster, whose scheduler gives the work of a worker that goes away to another one."""

    campaign: Campaign
    address: str

    def results(self, pieces: Iterable[Numbers]) -> Iterator[list[Record]]:
        """Yield what became of the trials of each piece of work, as it comes."""
        distributed = require_distributed()
        with self._client(distributed) as client:
            work = [client.submit(_attempt, self.campaign, piece, pure=False) for piece in pieces]
            for future in distributed.as_completed(work):
                yield future.result()

    def shrink(self, record: Record) -> Failure:
        """Return a trial that failed on the smallest problem."""
        with self._client(require_distributed()) as client:
            found: Failure = client.submit(_shrink, self.campaign, record, pure=False).result()
        return found

    def _client(self, distributed: Any) -> Any:
        try:
            return distributed.Client(self.address)
        except (OSError, ValueError) as error:
            raise SubjectError(f"there is no Dask scheduler at {self.address}: {error}.") from error


@lru_cache(maxsize=1)
def _hand(campaign: Campaign) -> Hand:
    return Hand(campaign)


def _attempt(campaign: Campaign, piece: Numbers) -> list[Record]:
    with _ONE_AT_A_TIME:
        return _hand(campaign).attempt(piece)


def _shrink(campaign: Campaign, record: Record) -> Failure:
    with _ONE_AT_A_TIME:
        return _hand(campaign).shrink(record)
