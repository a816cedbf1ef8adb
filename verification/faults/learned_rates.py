"""O10: another gradient by the learned rates of Meta-SGD than the declared one, beside a right one by the variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verification.faults.order import right
from verification.faults.question import AnswerFunction, Outcome, Question, combined
from verification.faults.work import Points, Solved, Work, at_rates, descend, pull_back, solve
from verification.oracles.updates import LearnedRates
from verification.oracles.view import FlatArray
from verification.orders import Order

Leaves = dict[str, Any]


def _changed(change: Callable[[Leaves, Question], Leaves]) -> AnswerFunction:
    """Make an answer with other gradients by the learned rates, and all else as it should be."""

    def answer(question: Question) -> Outcome:
        found = right(question)
        rates = {chain: leaf for chain, leaf in found.gradients.items() if chain in question.problem.learned_rates}
        return replace(found, gradients={**found.gradients, **(change(rates, question) if rates else {})})

    return answer


def _each(change: Callable[[Any], Any]) -> AnswerFunction:
    return _changed(lambda rates, _: {chain: change(leaf) for chain, leaf in rates.items()})


def _as_one(*, mean: bool) -> AnswerFunction:
    """Return what one rate for all would have, in place of each: the sum of all, or their mean."""

    def change(rates: Leaves, _: Question) -> Leaves:
        total, count = sum(leaf.sum() for leaf in rates.values()), sum(leaf.size for leaf in rates.values())
        return {chain: np.full_like(leaf, total / count if mean else total) for chain, leaf in rates.items()}

    return _changed(change)


def _mean_of_each(rates: Leaves, question: Question) -> Leaves:
    """Return the mean over the entries of a variable, for a rate that all of them have as well."""
    update, spots = question.works[0].view.update, question.spots()
    parts = [part for part in (update.parts if update else ()) if isinstance(part, LearnedRates)]
    if not parts:  # another fault has left them out
        return rates
    places = np.array(parts[0].places)  # a rate's own place is its own
    entries = np.bincount(places[places != np.arange(places.size)], minlength=places.size)
    entries = np.maximum(entries, 1)
    return {chain: np.full_like(leaf, np.mean(leaf / entries[spots[chain]])) for chain, leaf in rates.items()}


def _with_others(of: Callable[[Question], Outcome | None]) -> AnswerFunction:
    """Make an answer with the gradients by the rates that another answer has; None leaves them right."""

    def change(rates: Leaves, question: Question) -> Leaves:
        other = of(question)
        return rates if other is None else {chain: other.gradients[chain] for chain in rates}

    return _changed(change)


def _variables_at_first_order(question: Question) -> Outcome:
    """Take the gradients by the variables at first order, where those by the rates are as declared."""
    found, rates = right(question), question.problem.learned_rates
    if question.order != 2 or not rates:
        return found
    first = right(replace(question, order=1)).gradients
    return replace(found, gradients={chain: leaf if chain in rates else first[chain]
                                     for chain, leaf in found.gradients.items()})  # fmt: skip


def _of_one_step(of: Callable[[Work, Points, Order], FlatArray]) -> AnswerFunction:
    """Take the gradient by the rates from one step, where the outer cost is that of the last point alone."""

    def solved(work: Work, question: Question) -> Solved:
        found, points = solve(work, question.order), descend(work)
        return replace(found, gradient=of(work, points, question.order)) if len(points) > 1 else found

    def answer(question: Question) -> Outcome | None:
        if any(work.view.weights is not None or work.view.average for work in question.works):
            return None
        return combined(question, [solved(work, question) for work in question.works])

    return _with_others(answer)


def _first_order(work: Work, points: Points, u: FlatArray) -> FlatArray:
    update = work.view.update
    return 0 * u if update is None else at_rates(work, update, points, u)


def _of_first(work: Work, points: Points, order: Order) -> FlatArray:
    u = work.full_outer_gradient(points[-1])
    return _first_order(work, points[:1], u if order == 1 else pull_back(work, points[1:-1], u))


def _of_last(work: Work, points: Points, _: Order) -> FlatArray:
    return _first_order(work, points[-2:-1], work.full_outer_gradient(points[-1]))


def _over_steps(rates: Leaves, question: Question) -> Leaves:
    steps = max(question.problem.inner_grad_steps, 1)
    return {chain: leaf / leaf.dtype.type(steps) for chain, leaf in rates.items()}


def _times_tasks(rates: Leaves, question: Question) -> Leaves:
    return {chain: leaf * leaf.dtype.type(question.tasks) for chain, leaf in rates.items()}


def _by_logarithms(rates: Leaves, question: Question) -> Leaves:
    """Return ∂L/∂ log r = r ∂L/∂r."""
    spots, theta = question.spots(), question.works[0].theta
    return {chain: leaf * theta[spots[chain]] for chain, leaf in rates.items()}


VARIANTS: dict[str, AnswerFunction] = {
    "none at all": _each(lambda _: None),
    "with the other sign": _each(lambda leaf: -leaf),
    "the sum of all, as of one rate": _as_one(mean=False),
    "the mean of all": _as_one(mean=True),
    "the sum over each variable": _each(lambda leaf: np.full_like(leaf, leaf.sum())),
    "the mean over each variable": _changed(_mean_of_each),
    "of the last step alone": _of_one_step(_of_last),
    "of the first step alone": _of_one_step(_of_first),
    "with the inner gradients held": _with_others(lambda question: right(replace(question, order=1))),
    "right, but those by the variables at first order": _variables_at_first_order,
    "divided by K": _changed(_over_steps),
    "summed over the tasks": _changed(_times_tasks),
    "times the rate, as by its logarithm": _changed(_by_logarithms),
}
