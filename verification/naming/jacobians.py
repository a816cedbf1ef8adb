"""What people write by hand in place of the Jacobian of the inner loop."""

from __future__ import annotations

from collections.abc import Iterator

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
