"""The program that takes trials in a process of its own: it does what it is asked by lines of JSON."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from verification.campaigns.campaign import Campaign, Record
from verification.campaigns.trier import Trier
from verification.frameworks import MissingFrameworkError
from verification.isolation.channel import Alive, Channel
from verification.subjects import SubjectError


def serve() -> None:
    """Do work until nobody sends any more: whoever started this process may have been killed."""
    server = _Server()
    handlers = {"begin": server.begin, "attempt": server.attempt, "shrink": server.shrink}
    nowhere = os.open(os.devnull, os.O_WRONLY)  # which trial ended the process is told, and not in which line
    Channel(nowhere).serve({name: _telling(handler) for name, handler in handlers.items()})


class _Server:
    """A campaign's trials, taken one after the other."""

    def __init__(self) -> None:
        self._campaign: Campaign | None = None
        self._made: Trier | None = None

    def begin(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the campaign."""
        self._campaign = Campaign.of(request["campaign"])
        return {}

    def attempt(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take some trials."""
        return {"trials": [astuple(record) for record in self._trier.attempt(request["numbers"])]}

    def shrink(self, request: dict[str, Any]) -> dict[str, Any]:
        """Shrink one that failed."""
        failure = self._trier.shrink(Record(*request["record"]))
        return {"problem": failure.problem, "said": failure.said}

    @property
    def _trier(self) -> Trier:
        if self._made is None:
            assert self._campaign is not None, "there is nothing to try before the campaign is known"
            self._made = Trier(self._campaign)
        return self._made


def _telling(handler: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any], Alive], dict[str, Any]]:
    """Return a handler that says why a subject cannot be used, and where the judge itself fails."""

    def answer(request: dict[str, Any], _: Alive) -> dict[str, Any]:
        try:
            return handler(request)
        except (SubjectError, MissingFrameworkError) as error:
            return {"refused": str(error), "missing": isinstance(error, MissingFrameworkError)}
        except Exception:
            raise RuntimeError(traceback.format_exc()) from None

    return answer
