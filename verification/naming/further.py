"""Faults of code on models that are looked for where none of the catalogue's own gives the answers."""

from __future__ import annotations

from collections.abc import Iterator

from verification.faults import MODEL_CATALOGUE
from verification.naming.candidates import Candidate
from verification.naming.evidence import Evidence
from verification.orders import Order


def of_models(_: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield what code on models has and the built-in problems show as well: the data of a task in a wrong place."""
    for id_ in ("C07", "D13"):
        if order in MODEL_CATALOGUE[id_].orders:
            for variant, answer in MODEL_CATALOGUE[id_].variants.items():
                yield Candidate((id_,), variant, answer)
