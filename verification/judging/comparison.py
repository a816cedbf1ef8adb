"""One reply beside the truth: findings, the largest error over its bound, and how far wrong answers are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from verification.faults import CATALOGUE, Outcome, Question, pose, pose_roughly
from verification.faults.question import Answer
from verification.judging import tolerances
from verification.judging.conventions import Declared
from verification.judging.tolerances import Sensitivity, norm, unit_roundoff
from verification.judging.truth import Truth
from verification.orders import Order
from verification.problems import suite
from verification.problems.problem import Problem
from verification.subjects import Finding, Reply

#: The faults that a single answer is held against to tell whether it decides anything. The central ones show on every
#: problem with an inner step and change its answer by α; the subtle one by α², so that it fades first, and on some
#: problems (one step, a linear inner cost) it is no fault at all.
_CENTRAL = ("A01", "A04", "B01", "B02", "B03", "G04")
_SUBTLE = ("B06",)
#: Below this distance, in bounds, an answer decides nothing.
DECIDES = 2.0


@lru_cache(maxsize=1024)
def sensitivity(name: str, order: Order) -> Sensitivity:
    """Return the sensitivity of a built-in problem, measured once."""
    return tolerances.sensitivity(suite.made(name, order))


def compare(problem: Problem, reply: Reply, truths: Iterable[Truth], declared: Declared) -> tuple[list[Finding], float]:
    """Return what is wrong with a reply to a built-in problem, and the largest error over its bound."""
    return compare_within(sensitivity(problem.name, problem.order), problem, reply, truths, declared)


def compare_within(
    moves: Sensitivity, problem: Problem, reply: Reply, truths: Iterable[Truth], declared: Declared
) -> tuple[list[Finding], float]:
    """Return what is wrong with a reply to any problem of this sensitivity, and the largest error over its bound."""
    dtype = str(problem.dtype)
    known = list(truths)
    by_reading = (
        [each for truth in known for each in _measure(problem, reply, truth, moves, dtype, reading)]
        for reading in declared.readings
    )
    measured = min(by_reading, key=lambda each: max((ratio for _, ratio in each), default=float("inf")))
    wrong = _first_of_each_leaf(finding for finding, ratio in measured if ratio > 1)
    return [*reply.findings, *wrong], max((ratio for _, ratio in measured), default=float("inf"))


def differences(problem: Problem, first: Reply, second: Reply) -> list[Finding]:
    """Return where the gradients of two replies to one problem differ by more than rounding."""
    moves = sensitivity(problem.name, problem.order)
    unit = unit_roundoff(problem.dtype)
    found = []
    for chain in first.gradients.keys() & second.gradients.keys():
        one, other = first.gradients[chain], second.gradients[chain]
        limit = tolerances.FACTOR * unit * max(norm(one), moves.gradients[chain])
        if not np.array_equal(one, other, equal_nan=True) and not over(_apart(other, one), limit) <= 1:
            size = norm(one)
            share = f"by {100 * _apart(other, one) / size:.2g} %" if size else "where that is 0"
            found.append(Finding("gradients", f"it differs from the first {share}", chain, one, other))
    return sorted(found, key=lambda each: str(each.leaf))


def _first_of_each_leaf(findings: Iterator[Finding]) -> list[Finding]:
    """Keep one finding for each leaf where several sources of the truth agree that it is wrong."""
    kept: dict[tuple[str, str | None], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.what, finding.leaf), finding)
    return list(kept.values())


def _measure(
    problem: Problem, reply: Reply, truth: Truth, moves: Sensitivity, dtype: str, declared: Declared
) -> Iterator[tuple[Finding, float]]:
    """Yield a finding for each part of a reply with its error over its bound; above 1 it is wrong."""
    answer = truth.answer
    told = Outcome(answer.cost, dict(answer.gradients))
    expected = declared.of(told, pose(problem)) if declared.conventions else told
    if declared.weights_points and problem.options.average_across_steps:
        expected = declared.right(pose(problem))
    if reply.cost is not None and declared.keep_cost:
        yield _measured("cost", None, np.asarray(answer.cost), np.asarray(reply.cost), moves.cost, dtype, truth.source)
    for chain, got in reply.gradients.items():
        right = expected.gradients[chain]
        if right is not None:
            scale = _scale(right, answer.gradients[chain])
            parts = ("gradients", chain, right, got, scale * moves.gradients[chain], dtype, truth.source)
            yield _measured(*parts, scale * truth.errors[chain])
    for chain, got in (reply.adapted or {}).items():
        yield _measured("adapted", chain, answer.adapted[chain], got, moves.adapted[chain], dtype, truth.source)


def _scale(declared: NDArray[Any], plain: NDArray[Any]) -> float:
    """Return how much larger a convention makes a leaf, and with it the leaf's rounding."""
    size = norm(plain)
    return max(1.0, norm(declared) / size) if size else 1.0


def _measured(
    what: str,
    chain: str | None,
    expected: NDArray[Any],
    got: NDArray[Any],
    moves: float,
    dtype: str,
    source: str,
    oracle_error: float = 0.0,
) -> tuple[Finding, float]:
    size = norm(expected)
    bound = tolerances.bound(expected, moves, dtype, oracle_error)
    error = _apart(got, expected)
    # Rounding to a subnormal number has a least unit of its own.
    unit = max(unit_roundoff(dtype) * (size or 1.0), float(np.finfo(dtype).smallest_subnormal))
    units = f"{error / unit:.3g} units of rounding, where {bound / unit:.3g} are allowed"
    message = f"it is not 0, as it is by {source}"
    if size:
        message = f"it differs from {source} by {100 * error / size:.2g} % ({units})"
    if not np.all(np.isfinite(got)):
        message = f"it holds NaN or infinity, where {source} has finite numbers"
    return Finding(what, message, chain, expected, got, error / unit, bound / unit), over(error, bound)


def _apart(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return ‖got − expected‖, scaled, since squares overflow beyond 1e154 and vanish below 1e-162."""
    difference = np.abs(np.asarray(got, np.float64) - expected)
    largest = float(np.max(difference))
    return float(np.linalg.norm(difference / largest)) * largest if 0 < largest < float("inf") else largest


def over(error: float, bound: float) -> float:
    """Return error / bound, where a bound of 0 allows 0 alone; NaN is infinitely wrong, lest a maximum lose it."""
    if not np.isfinite(error):
        return float("inf")
    return error / bound if bound else (0.0 if error == 0 else float("inf"))


def separation(name: str, order: Order, dtype: str) -> float:
    """Return the distance, in bounds, from the right gradients to the nearest that a central fault gives."""
    return _separation_of_float64(name, order) * _in_bounds_of(dtype)


def _in_bounds_of(dtype: str) -> float:
    """Bounds are proportional to the unit roundoff, so that one measurement in float64 serves every precision."""
    return unit_roundoff("float64") / unit_roundoff(dtype)


@lru_cache(maxsize=1024)
def _separation_of_float64(name: str, order: Order) -> float:
    problem = suite.made(name, order)
    if not problem.inner_grad_steps:
        return float("inf")  # nothing adapts: there is nothing that such a fault could change
    return nearest(order, lambda id_: distance(problem, "float64", CATALOGUE[id_].variants[""]))


def nearest(order: Order, distance_of: Callable[[str], float]) -> float:
    """Return the least distance of the central faults, and of the subtle ones where float64 shows them to be faults."""
    central = [distance_of(id_) for id_ in _CENTRAL if order in CATALOGUE[id_].orders]
    subtle = [distance_of(id_) for id_ in _SUBTLE if order in CATALOGUE[id_].orders]
    return min([*central, *(each for each in subtle if each >= DECIDES)])


#: The question that a problem puts and the right answer to it: every fault is held against the same.
_ASKED: WeakKeyDictionary[Problem, tuple[Question, Outcome]] = WeakKeyDictionary()


def distance(problem: Problem, dtype: str, answer: Answer, *, call: int = 0) -> float:
    """Return how many bounds a fault's gradients are from the right ones, on the leaf that shows it best.

    It is infinite where a fault loses a gradient or writes into the caller's variables; `call` counts the calls before.
    """
    if problem not in _ASKED:
        # At first order a Hessian has a part in faults alone that are far off; at second order, in the right answer.
        asked = pose_roughly(problem) if problem.order == 1 else pose(problem)
        _ASKED[problem] = asked, Declared().right(asked)
    asked, right = _ASKED[problem]
    with np.errstate(over="ignore", invalid="ignore"):  # a fault may diverge
        wrong = answer(replace(asked, call=call))
    if wrong.overwritten is not None:
        return float("inf")
    moves = sensitivity(problem.name, problem.order)
    ratios = []
    for chain, leaf in right.gradients.items():
        other = wrong.gradients[chain]
        if leaf is None or other is None or other.shape != leaf.shape:
            return float("inf")
        bound = tolerances.bound(leaf, moves.gradients[chain], "float64")
        ratios.append(over(float(np.linalg.norm(other - leaf)), bound))
    return max(ratios) * _in_bounds_of(dtype)
