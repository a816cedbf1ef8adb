"""Faults with one number that nobody knows beforehand: it is fitted on one answer and has to hold on all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import AnswerFunction, Outcome, Question, parameters, place, scales, state, tasks
from verification.judging.tolerances import norm
from verification.naming.evidence import Evidence, Observation

Named = tuple[str, str, AnswerFunction]

_RATES = (0.1, 0.3, 0.6, 1.6, 3.0, 8.0, 30.0, -0.3, -3.0)  # where a search for a factor of α begins
_LIMITS = (0.1, 1.0, 10.0, 100.0)  # where a search for a clip begins
_EACH_TASK = "of each task,"
_ITERATIONS = 25
_SETTLED = 1e-13  # relative: a thousand roundings, less than any bound that the value is then held against


def fitted(evidence: Evidence) -> Iterator[Named]:
    """Yield (id, what was fitted, answer) for each family of faults that can be fitted to the first telling answer."""
    first = first_wrong(evidence)
    if first is None:
        return
    yield from constant_factor(evidence, first)
    clips = list(clips_read_off(evidence))
    yield from clips
    # Where one clip explains all, no other form of it is looked for; and a clip of the mean makes it smaller.
    explained = any(evidence.matched_by(answer) for _, _, answer in clips)
    got = returned(first)
    smaller = got is not None and norm(got) < norm(vector(evidence.right(first)))
    for id_, words, make, starts in _searches(first):
        if id_ == "G07" and (explained or not (smaller or words.startswith(_EACH_TASK))):
            continue
        value = _search(evidence, first, make, starts)
        if value is not None:
            yield id_, f"{words} {value:.6g}", make(value)
    yield from _step_counts(evidence)
    yield from _left_out(evidence)


def first_wrong(evidence: Evidence) -> Observation | None:
    """Return the cheapest wrong answer with all its leaves."""
    wrong = [
        observation
        for observation in evidence.deciding
        if not evidence.matches(observation, evidence.right(observation))
    ]
    whole = [
        observation for observation in wrong if all(leaf is not None for leaf in observation.reply.returned.values())
    ]
    return whole[0] if whole else None


Search = tuple[str, str, Callable[[float], AnswerFunction], tuple[float, ...]]


def _searches(first: Observation) -> Iterator[Search]:
    yield "G10", "an effective learning rate of α times", scales.with_scaled_loss, _RATES
    usual = first.problem.inner_learning_rate
    alpha = usual if isinstance(usual, float) else 0.1
    yield "G01", "an inner learning rate of", scales.with_rate, tuple(alpha * factor for factor in _RATES)
    yield "G06", "γ =", scales.with_decay, (0.999, 0.95, 0.8)
    yield "G06", "a weight decay of", scales.with_weight_decay, (0.001, 0.1, 1.0)
    yield "G06", "of the variables used, a weight decay of", scales.with_weight_decay_of_used, (0.001, 0.1, 1.0)
    yield "G07", f"{_EACH_TASK} by value, at", scales.clip_each_by_value, _LIMITS
    for words, clip in _NORMS.items():
        yield "G07", f"{words}, at", clip, _LIMITS
        yield "G07", f"{words} as in PyTorch, at", partial(clip, added=scales.PYTORCH_CLIP), _LIMITS
    yield "E04", "a momentum of", state.with_momentum, (0.9, 0.5)
    yield "E04", "within a call, a momentum of", _momentum_within_a_call, (0.9, 0.5)


#: Clips that a search finds; those of the whole gradient by its norm can be read off.
_NORMS: dict[str, Callable[..., AnswerFunction]] = {
    "by the largest entry": scales.clip_by_largest,
    "of each leaf, by norm": scales.clip_leaves_by_norm,
    f"{_EACH_TASK} by norm": scales.clip_each_by_norm,
}


def _momentum_within_a_call(mu: float) -> AnswerFunction:
    return state.with_momentum(mu, across_calls=False)


def vector(outcome: Outcome) -> NDArray[Any]:
    """Return all gradients of an outcome in one vector, None as nothing."""
    return np.concatenate([np.ravel(leaf) for leaf in outcome.gradients.values() if leaf is not None])


def returned(observation: Observation) -> NDArray[Any] | None:
    """Return all gradients of an answer in one vector, or None where one is missing or not of its shape."""
    parts = []
    for chain, leaf in observation.reply.returned.items():
        if leaf is None or leaf.shape != observation.problem.shape(chain) or not np.all(np.isfinite(leaf)):
            return None
        parts.append(np.ravel(leaf).astype(np.float64))
    return np.concatenate(parts)


def ratio(got: NDArray[Any], predicted: NDArray[Any]) -> float | None:
    """Return the c that makes c · predicted nearest to `got`."""
    square = float(predicted @ predicted)
    return float(got @ predicted) / square if square else None


def constant_factor(evidence: Evidence, first: Observation) -> Iterator[Named]:
    """Yield the factor that brings the right answer nearest to a wrong one."""
    got = returned(first)
    factor = None if got is None else ratio(got, vector(evidence.right(first)))
    if factor is not None:
        yield "D11", f"c = {factor:.{12 if abs(factor - 1) < 1e-4 else 6}g}", tasks.multiplied(factor)


def clips_read_off(evidence: Evidence) -> Iterator[Named]:
    """The clip is the largest entry, or the norm, of an answer that is smaller than the right one."""
    for name, make, size in (("value", scales.clip_by_value, _largest), ("norm", scales.clip_by_norm, norm)):
        for observation in evidence.deciding:
            got = returned(observation)
            # Smaller by more than float32 can leave: where a clip does not act, its limit cannot be read off.
            if got is not None and size(got) < 0.999 * size(vector(evidence.right(observation))):
                yield "G07", f"by {name}, at {size(got):.6g}", make(size(got))
                if name == "norm":
                    # PyTorch multiplies by limit / (‖g‖ + ε), so that ‖got‖ = limit ‖g‖ / (‖g‖ + ε).
                    limit = size(got) * (1 + scales.PYTORCH_CLIP / size(vector(evidence.right(observation))))
                    yield (
                        "G07",
                        f"by norm as in PyTorch, at {limit:.6g}",
                        scales.clip_by_norm(limit, scales.PYTORCH_CLIP),
                    )
                break


def _largest(gradient: NDArray[Any]) -> float:
    return float(np.max(np.abs(gradient)))


def _search(
    evidence: Evidence, observation: Observation, make: Callable[[float], AnswerFunction], starts: tuple[float, ...]
) -> float | None:
    """Return the value at which a fault gives this answer, by Gauss-Newton from several starts, or None."""
    got = returned(observation)
    if got is None:
        return None
    for start in starts:
        value = _gauss_newton(lambda x: vector(evidence.predict(observation, make(x))) - got, start)
        if value is not None and evidence.matches(observation, evidence.predict(observation, make(value))):
            return value
    return None


def _gauss_newton(residual: Callable[[float], NDArray[Any]], value: float) -> float | None:
    for _ in range(_ITERATIONS):
        with np.errstate(all="ignore"):  # a search may leave the region where the costs are finite
            here = residual(value)
            # A forward difference errs by the step and by rounding over the step: √u, about 1e-8, balances the two, and
            # a search needs a slope to some digits only. Near 0 the step is that of a thousandth.
            step = 1e-7 * max(abs(value), 1e-3)
            slope = (residual(value + step) - here) / step
            square = float(slope @ slope)
        if not np.isfinite(square) or square == 0:
            return None
        # Gauss-Newton for one unknown: the least squares of residual − slope · move. A move is cut to |value|, so that
        # it at most doubles the value or brings it to 0, beyond which costs may overflow.
        move = float(here @ slope) / square
        value -= float(np.clip(move, -abs(value), abs(value))) if abs(move) > abs(value) else move
        if abs(move) <= _SETTLED * abs(value):
            return value
    return value


#: What people take for K, simplest first; c is fitted. A rule that gives K itself everywhere explains nothing.
_STEP_RULES: dict[str, Callable[[int, int], int]] = {
    "always {c}": lambda _, c: c,
    "K, but at most {c}": min,
    "K, but at least {c}": max,
    "{c} K": lambda steps, c: c * steps,
    "K + {c}": lambda steps, c: steps + c,
    "K − {c}, but at least 0": lambda steps, c: max(steps - c, 0),
    "K / {c}, rounded down": lambda steps, c: steps // c,
}
_MOST_STEPS = 8  # that are looked for beside K, 2K and 3K


def _step_counts(evidence: Evidence) -> Iterator[Named]:
    """Find the simplest rule by which the number of inner steps that were taken follows from K."""
    taken: dict[int, set[int]] = {}
    for observation in evidence.deciding:
        steps = observation.problem.inner_grad_steps
        near = taken.get(steps, {*range(_MOST_STEPS + 1), *(steps * factor for factor in range(1, 4))})
        taken[steps] = {k for k in near if evidence.matches(observation, evidence.predict(observation, _steps(k)))}
        if not taken[steps]:
            return
    for words, rule in _STEP_RULES.items():
        for c in range(1, _MOST_STEPS + 1):
            if all(rule(steps, c) in found for steps, found in taken.items()):
                yield "B12", f"inner steps: {words.format(c=c)}", place.with_steps(partial(_by_rule, rule, c))
                return


@cache
def _steps(count: int) -> AnswerFunction:
    return place.with_steps(lambda _: count)


def _by_rule(rule: Callable[[int, int], int], c: int, steps: int) -> int:
    return rule(steps, c)


def _left_out(evidence: Evidence) -> Iterator[Named]:
    """Find which variables stayed where they were, for each choice of variables that adapt."""
    stayed: dict[Adapting, tuple[str, ...]] = {}
    for observation in evidence.deciding:
        key = _adapting(evidence.question(observation))
        if key not in stayed and not evidence.matches(observation, evidence.right(observation)):
            found = next((kept for kept in _some(key[1]) if _stay(evidence, observation, kept)), None)
            if found is None:
                return
            stayed[key] = found
    # Where nothing at all adapts, wherever something is wrong, the inner loop is what is wrong.
    if any(kept != adapting for (_, adapting), kept in stayed.items()):
        names = ", ".join(dict.fromkeys(name for kept in stayed.values() for name in kept))
        yield "F03", f"never adapted: {names}", lambda question: _with_left_out(question, stayed)


#: The variables of a problem and those of them that adapt.
Adapting = tuple[tuple[str, ...], tuple[str, ...]]


def _adapting(question: Question) -> Adapting:
    return tuple(question.problem.names), tuple(parameters.adapting(question))


def _some(adapting: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield every choice of some of the variables, fewest first."""
    for count in range(1, len(adapting) + 1):
        yield from combinations(adapting, count)


def _stay(evidence: Evidence, observation: Observation, kept: tuple[str, ...]) -> bool:
    return evidence.matches(observation, evidence.predict(observation, parameters.never_adapted(*kept)))


def _with_left_out(question: Question, stayed: dict[Adapting, tuple[str, ...]]) -> Outcome:
    return parameters.never_adapted(*stayed.get(_adapting(question), ()))(question)
