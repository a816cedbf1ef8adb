"""Faults with a number that is searched for: rates, decays, momenta, clips, factors of a loss.

A search compares with the cheapest wrong answer, starts at usual numbers, and is given up where it comes no closer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from verification.faults import AnswerFunction, clips, optimizers, scales, tasks
from verification.faults.algorithms import with_update
from verification.faults.parts import AdaGrad
from verification.judging.tolerances import norm
from verification.naming.candidates import Candidate
from verification.naming.evidence import Evidence, Observation
from verification.naming.rules import short_numbers
from verification.naming.scaling import under
from verification.naming.vectors import beyond, first_wrong, returned
from verification.oracles.updates import Adam, Momentum, Part, RMSProp, WeightDecay
from verification.oracles.view import FlatArray
from verification.orders import Order

_STEPS = 12  # of a search
_CLOSER = 0.2  # what a whole step of a search takes of the distance, at least
_LEFT = 0.95  # what no number can take away is left, at most

#: What α, or both losses, are multiplied by where a scale of the loss, a wrong count or a wrong rate is left in.
_FACTORS = (
    *(2.0**power for power in (16, 15, 12, 10, 8, 4, 3, 2, 1, -1, -2, -3, -4, -8, -10, -16)),
    *(digit * 10.0**power for power in range(-5, 5) for digit in (1, 2, 3, 5)),
    *(-(10.0**power) for power in range(-2, 3)),
)
_STRIDE = 4  # between the factors that are compared first

#: The ids of faults, words for their number, the answer with it, and where its search begins.
Search = tuple[str, str, Callable[[float], AnswerFunction], tuple[float, ...]]

#: Parameters that code gives a rate of their own, by the names of all that adapt and the axes of each.
_PARTS: dict[str, Callable[[Sequence[tuple[str, int]], int], bool]] = {
    "parameters with less than two axes": lambda known, place: known[place][1] < 2,
    "parameters with two axes or more": lambda known, place: known[place][1] >= 2,
    "the last module": lambda known, place: _module(known[place][0]) == _module(known[-1][0]),
    "the first module": lambda known, place: _module(known[place][0]) == _module(known[0][0]),
}


def _module(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def searched(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield faults with a number that is searched for on the cheapest wrong answer."""
    first = first_wrong(evidence)
    if first is not None:
        yield from _found(evidence, first, _searches(evidence, first, order))


def rarely_searched(evidence: Evidence, _: Order) -> Iterator[Candidate]:
    """Yield another rate of some parameters, and pairs that come as one: of a scaled loss, and of one optimizer."""
    first = first_wrong(evidence)
    if first is not None:
        yield from _found(evidence, first, _rare_searches(evidence, first))


def decays(evidence: Evidence, first: Observation) -> Iterator[Candidate]:
    """Yield a weight decay, which is as small a mistake as λ is a number."""
    search: Search = ("G06", "a weight decay of", scales.with_weight_decay, (0.01, 1e-4, 1e-6))
    yield from _found(evidence, first, iter([search]))


def _found(evidence: Evidence, first: Observation, searches: Iterator[Search]) -> Iterator[Candidate]:
    """Yield what is found by searches, up to one that explains all.

    In one inner step any two of them may be the same, so that all are looked for where there is no answer with more.
    """
    longest = max(observation.problem.inner_grad_steps for observation in evidence.deciding)
    for ids, words, make, starts in searches:
        value = _search(evidence, first, make, starts)
        if value is not None:
            answer = make(value)
            yield Candidate(tuple(ids.split(" + ")), f"{words} {value:.6g}", answer)
            if longest > 1 and evidence.matched_by(answer):
                return


def _searches(evidence: Evidence, first: Observation, order: Order) -> Iterator[Search]:
    work = evidence.question(first).works[0]
    rates = np.unique(work.view.rate[work.view.inner_mask != 0])
    if rates.size > 1:
        yield "G10", "for all parameters, an inner learning rate of", scales.with_rate, tuple(rates)
    times = scales.with_scaled_loss
    yield "G10", "an effective learning rate of α times", times, _nearest_factors(evidence, first, times)
    yield "G06", "a weight decay of", scales.with_weight_decay, (0.01, 1.0, 5.0)
    yield "G06", "γ =", scales.with_decay, (0.99,)
    yield "M04", "μ =", tasks.with_momentum, (0.7,)
    yield "M04", "Nesterov's, μ =", lambda mu: with_update(Momentum(mu=mu, nesterov=True)), (0.7,)
    yield "M04", "as a moving average, μ =", lambda mu: with_update(Momentum(mu=mu, dampening=mu)), (0.7,)
    for name, part in (("Adam", Adam()), ("RMSprop", RMSProp()), ("AdaGrad", AdaGrad())):
        yield "M05", f"{name} at a rate of", partial(optimizers.at_rate, part), (1e-3, 1e-2, 0.1, 1.0)
    slope = work.inner_gradient(work.theta) * work.view.inner_mask
    size, largest = norm(slope), float(np.max(np.abs(slope)))
    leaves = [norm(leaf) for leaf in evidence.question(first).problem.split(slope).values()]
    graphs: tuple[clips.Graph, ...] = ("the factor", "the clip", "nothing") if order == 2 else ("the factor",)
    limits = tuple(share * size for share in (0.9, 0.3, 0.09, 0.02))
    for graph in graphs:
        id_ = "A07" if graph == "nothing" else "M02"
        by_norm, by_leaf = (partial(make, graph=graph) for make in (clips.with_clipped_norm, clips.with_clipped_leaves))
        yield id_, "by norm as in PyTorch, at", partial(by_norm, added=scales.PYTORCH_CLIP), limits
        yield id_, "by norm, at", by_norm, limits
        yield id_, "set to a norm of", partial(clips.with_set_norm, graph=graph), (0.9 * size,)
        for words, added in (
            ("each leaf by norm as in PyTorch, at", scales.PYTORCH_CLIP),
            ("each leaf by norm, at", 0.0),
        ):
            yield id_, words, partial(by_leaf, added=added), (0.9 * max(leaves), 0.3 * max(leaves))
    values = tuple(share * largest for share in (0.8, 0.5, 0.25, 0.1, 0.03, 0.01))
    yield "M02", "by value, at", clips.with_clipped_entries, values
    if order == 2:
        yield "A07", "by value, at", partial(clips.with_clipped_entries, graph="nothing"), values


def _rare_searches(evidence: Evidence, first: Observation) -> Iterator[Search]:
    for part, has in _PARTS.items():
        told = f"for {part} alone, an effective learning rate of α times"
        yield "G10", told, partial(scales.of_some_leaves, has), (2.0, 0.5, 10.0, 0.1, 100.0, 0.01)
    yield "G10", "an effective learning rate of α γᵏ in step k, γ =", scales.falling, (0.9, 0.5, 0.1, 2.0)
    yield "G06", "of φ − θ, a weight decay of", scales.with_pull, (0.01, 0.1, 1.0)
    yield "D11 + G10", "both losses times", _with_both_losses, _nearest_factors(evidence, first, _with_both_losses)
    yield "G06 + M04", "μ = 0.9, a weight decay of", partial(_decaying, Momentum(mu=0.9)), (0.1, 0.01)
    yield "G06 + M05", "Adam, a weight decay of", partial(_decaying, Adam()), (0.1, 0.01)


def _with_both_losses(factor: float) -> AnswerFunction:
    return under(lambda _: factor, scales.with_scaled_loss(factor))


def _decaying(part: Part, strength: float) -> AnswerFunction:
    return with_update(WeightDecay(strength=strength), part)


def _nearest_factors(
    evidence: Evidence, first: Observation, make: Callable[[float], AnswerFunction]
) -> tuple[float, ...]:
    """Return the usual factors with which a fault comes nearest to an answer: of every fourth, and those around it."""
    got, question = returned(first), evidence.question(first)
    if got is None:
        return ()

    def distance(factor: float) -> float:
        with np.errstate(all="ignore"):  # at a large rate a loss may overflow
            found = norm(beyond(make(factor)(question), got))
        return found if np.isfinite(found) else float("inf")

    factors = sorted(_FACTORS)
    spots = {spot: distance(factors[spot]) for spot in range(0, len(factors), _STRIDE)}
    for spot in sorted(spots, key=spots.__getitem__)[:2]:
        around = range(max(spot - _STRIDE + 1, 0), min(spot + _STRIDE, len(factors)))
        spots.update({other: distance(factors[other]) for other in around if other not in spots})
    return tuple(factors[spot] for spot in sorted(spots, key=spots.__getitem__)[:2] if np.isfinite(spots[spot]))


def _search(
    evidence: Evidence, observation: Observation, make: Callable[[float], AnswerFunction], starts: tuple[float, ...]
) -> float | None:
    """Return the value at which a fault gives this answer, or None.

    It is Gauss-Newton from the nearest of the starts, while that comes closer and may come much closer: of the residual
    r only the part along the slope d goes with the value, so that ‖r‖ sin(r, d) is left. A move is cut to the size of
    the value, and then comes closer by as much less. What is found is known to the rounding of this answer: a person
    has written the short number beside it, and others may need it exactly.
    """
    got = returned(observation)
    if got is None or not starts:
        return None
    question, most = evidence.question(observation), float("inf")

    def residual_at(value: float) -> FlatArray:
        return beyond(make(value)(question), got)

    with np.errstate(all="ignore"):
        known = {start: residual_at(start) for start in starts}
    value = min(known, key=lambda start: float(np.nan_to_num(norm(known[start]), nan=np.inf)))
    for _ in range(_STEPS):
        with np.errstate(all="ignore"):
            residual = known[value] if value in known else residual_at(value)
            distance = norm(residual)
            if evidence.is_given_by(make(value), observation):
                exact = (short for short in short_numbers(value) if evidence.is_given_by(make(short), observation))
                return next(exact, value)
            if not distance <= most:
                return None
            step = 1e-6 * max(abs(value), 1e-3)
            slope = (residual_at(value + step) - residual) / step
            square = float(slope @ slope)
        move = float(residual @ slope) / square if np.isfinite(square) and square else 0.0
        if distance**2 - move**2 * square > _LEFT**2 * distance**2:
            return None
        share = min(1.0, abs(value / move)) if move else 1.0
        value, most = value - share * move, (1 - share * _CLOSER) * distance
    return None
