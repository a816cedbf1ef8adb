"""Threads that help with one call: woken when there is enough to do, and never waited for before they have begun.

Whoever calls does the work too, by claiming chunks until none is left. A helper that another process keeps from
running claims nothing, and the caller has then done everything itself and takes the helper's job back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]


class _Order:
    """A job for one helper, that either the helper begins or the caller takes back."""

    def __init__(self, job: Job) -> None:
        self._waiting: list[Job] = [job]
        self._done = threading.Semaphore(0)
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Run the job, unless it was taken back."""
        try:
            job = self._waiting.pop()  # atomic, so that only one of two threads gets it
        except IndexError:
            return
        try:
            job()
        except BaseException as error:
            self._error = error
        self._done.release()

    def finish(self) -> None:
        """Take the job back where it has not begun, or else wait for it."""
        try:
            self._waiting.pop()
        except IndexError:
            self._done.acquire()
            if self._error is not None:
                raise self._error from None


class Crew:
    """Helpers that stay for the life of the process."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._helpers = 0
        self._process = os.getpid()
        self._growing = threading.Lock()

    def run(self, mine: Job, others: list[Job]) -> None:
        """Run `mine` here and `others` on helpers, as far as they come in time."""
        self._grow(len(others))
        orders = [_Order(job) for job in others]
        for order in orders:
            self._orders.put(order)
        try:
            mine()
        finally:
            for order in orders:
                order.finish()

    def _grow(self, wanted: int) -> None:
        if wanted <= self._helpers and self._process == os.getpid():
            return
        with self._growing:
            if self._process != os.getpid():  # a fork has no threads
                self._orders, self._helpers, self._process = SimpleQueue(), 0, os.getpid()
            for _ in range(wanted - self._helpers):
                threading.Thread(target=self._serve, args=(self._orders,), daemon=True, name="refmaml").start()
            self._helpers = max(self._helpers, wanted)

    @staticmethod
    def _serve(orders: SimpleQueue[_Order]) -> None:
        while True:
            orders.get().begin()


CREW = Crew()


def default_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
