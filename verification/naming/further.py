"""Faults that are looked for where none of the catalogue's own, and no number in one, gives the answers."""

from __future__ import annotations

from collections.abc import Iterator

from verification.faults import MODEL_CATALOGUE
from verification.faults.jacobians import ALL_BUT_THE_FIRST, BY_HAND
from verification.naming.candidates import Candidate
from verification.naming.evidence import Evidence
from verification.orders import Order


def by_hand(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield the forms that second order takes by hand, where the inner update is plain descent."""
    works = [work for observation in evidence.deciding for work in evidence.question(observation).works]
    if order != 2 or any(work.view.update or work.view.hessian_free for work in works):
        return
    for detail, answer in BY_HAND.items():
        yield Candidate(("G09",), detail, answer)
    yield Candidate(("A08",), "all but the first", ALL_BUT_THE_FIRST)


def of_models(_: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield what code on models has and the built-in problems show as well: the data of a task in a wrong place."""
    for id_ in ("C07", "D13"):
        if order in MODEL_CATALOGUE[id_].orders:
            for variant, answer in MODEL_CATALOGUE[id_].variants.items():
                yield Candidate((id_,), variant, answer)
