"""Which faults a run would not have noticed, on the problems that it asked."""

from __future__ import annotations

from collections.abc import Iterable

from verification.faults import CATALOGUE
from verification.faults.question import AnswerFunction
from verification.judging.standard import DECIDES, Standard
from verification.orders import Order
from verification.problems.levels import cost_of_asking, is_asked_twice

#: A problem in a precision, with all that is known of it.
Posed = tuple[Standard, str]


def overlooked(tested: Iterable[Posed], order: Order) -> list[str]:
    """Return the faults of an order that none of these problems, in its precision, shows, by their ids."""
    cheapest_first = sorted(tested, key=lambda pair: cost_of_asking(pair[0].problem))
    found = []
    for fault in CATALOGUE.values():
        # G11, which only float64 shows, needs no rule: in bounds of float32 its distance is next to nothing.
        able = [pair for pair in cheapest_first if pair[0].problem.inner_grad_steps <= fault.most_steps]
        if order in fault.orders and not all(is_shown(answer, able) for answer in fault.variants.values()):
            found.append(fault.id)
    return found


def is_shown(answer: AnswerFunction, tested: Iterable[Posed]) -> bool:
    """Return whether one of these problems, in its precision, tells a fault's answer from the right one."""
    return any(
        standard.distance(answer, dtype, call=call) >= DECIDES
        for standard, dtype in tested
        for call in range(1 + is_asked_twice(standard.problem))
    )
