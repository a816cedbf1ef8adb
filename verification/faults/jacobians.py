"""Second order by hand, u ← u − H_k αu from the last inner step to the first, and what is written in its place.

They are forms of G09; `ALL_BUT_THE_FIRST` is one of A08. With another inner update than plain descent there is nothing
of the kind to write by hand, and the answer is the right one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verification.faults import order
from verification.faults.question import AnswerFunction, Question, each_task
from verification.faults.work import Points, Product, Solved, Work, pull_back, solve
from verification.oracles.view import FlatArray


def _by_hand(through: Callable[[Work, Points, FlatArray], FlatArray]) -> AnswerFunction:
    """Make an answer of another way back through plain descent."""

    def back(work: Work, points: Points, u: FlatArray) -> FlatArray:
        is_plain = work.view.update is None and work.view.hessian_free is None
        return (through if is_plain else pull_back)(work, points, u)

    return order.with_pull_back(back)


#: u ↦ H αu, or what is written for it.
_Rated = Callable[[Work, Product, FlatArray], FlatArray]
_RATED: dict[str, _Rated] = {
    "": lambda work, product, u: product(work.alpha * u),
    "α H u for H αu": lambda work, product, u: work.alpha * product(u),
    "α left out": lambda work, product, u: product((work.alpha != 0) * u),
}


def _by_products(rated: _Rated, sign: int, turn: int) -> AnswerFunction:
    """Make an answer of u ← u ± H αu over the inner steps, back (−1) or forth (1)."""

    def through(work: Work, points: Points, u: FlatArray) -> FlatArray:
        for product in (work.inner_products(points) if points else [])[::turn]:
            u = u + sign * rated(work, product, u)
        return u

    return _by_hand(through)


def _summed(work: Work, points: Points, u: FlatArray) -> FlatArray:
    products = work.inner_products(points) if points else []
    return u - sum((product(work.alpha * u) for product in products), start=0 * u)


def _of_steps(choose: Callable[[Points], Points]) -> AnswerFunction:
    return _by_hand(lambda work, points, u: pull_back(work, choose(points), u))


#: What is said of each, with its answer.
BY_HAND: dict[str, AnswerFunction] = {
    ", ".join(filter(None, (rate, sign, turn))): _by_products(rated, -1 if not sign else 1, -1 if not turn else 1)
    for sign in ("", "plus for minus")
    for rate, rated in _RATED.items()
    for turn in ("", "in the order of the steps, not back")
    if rate or sign or turn
} | {
    "a sum of products for the product of all": _by_hand(_summed),
    "the factor of the last step left out": _of_steps(lambda points: points[:-1]),
    "the factor of the first step alone": _of_steps(lambda points: points[:1]),
    "one factor, at θ, whatever K is": _by_hand(lambda work, _, u: pull_back(work, [work.theta], u)),
}
ALL_BUT_THE_FIRST: AnswerFunction = _of_steps(lambda points: points[1:])


def first_order_of(*chains: str) -> AnswerFunction:
    """A01: the inner gradients of some variables are held."""

    def one_task(work: Work, question: Question) -> Solved:
        kept = np.ones_like(work.theta)
        for chain in chains:
            kept[question.spots()[chain]] = 0

        def through(work: Work, points: Points, u: FlatArray) -> FlatArray:
            return pull_back(work.changed(inner_mask=work.view.inner_mask * kept), points, u)

        return solve(work, question.order, pull_back=through)

    return each_task(one_task)
