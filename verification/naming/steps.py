"""How many inner steps were taken for each K, and the rule that they follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from verification.faults import AnswerFunction, place, scales
from verification.naming.evidence import Evidence, Observation
from verification.naming.scaling import alone, factor_of, is_nothing
from verification.naming.vectors import Named

#: What people take for K, simplest first; c is fitted. A rule that gives K itself everywhere explains nothing.
_STEP_RULES: dict[str, Callable[[int, int], int]] = {
    "always {c}": lambda _, c: c,
    "K, but at most {c}": min,
    "K, but at least {c}": max,
    "{c} K": lambda steps, c: c * steps,
    "K + {c}": lambda steps, c: steps + c,
    "K − {c}, but at least 0": lambda steps, c: max(steps - c, 0),
    "K / {c}, rounded down": lambda steps, c: steps // c,
    "K / {c}, rounded up": lambda steps, c: -(-steps // c),
}
MOST_STEPS = 8  # that are looked for beside K, 2K and 3K


def step_counts(
    evidence: Evidence, beside: Callable[[Any], AnswerFunction] = alone, *, is_scaled: bool = False
) -> Iterator[Named]:
    """Find the simplest rule by which the number of inner steps that were taken follows from K."""
    taken: dict[int, set[int]] = {}
    for observation in evidence.deciding:
        steps = observation.problem.inner_grad_steps
        near = taken.get(steps, {*range(MOST_STEPS + 1), *(steps * factor for factor in range(1, 4))})
        taken[steps] = {k for k in near if _are_taken(evidence, observation, beside(_steps(k)), is_scaled)}
        if not taken[steps]:
            return
    for words, rule in _STEP_RULES.items():
        for c in range(1, MOST_STEPS + 1):
            if all(rule(steps, c) in found for steps, found in taken.items()):
                answer = beside(place.with_steps(partial(_by_rule, rule, c)))
                yield "B12", f"inner steps: {words.format(c=c)}", answer
                return


def _are_taken(evidence: Evidence, observation: Observation, answer: AnswerFunction, is_scaled: bool) -> bool:
    if is_scaled and not is_nothing(observation):
        forms = [answer] if observation.problem.order != "reptile" else [answer, scales.displaced(answer)]
        return any(factor_of(evidence, observation, form) is not None for form in forms)
    return evidence.is_given_by(answer, observation)


@cache
def _steps(count: int) -> AnswerFunction:
    return place.with_steps(lambda _: count)


def _by_rule(rule: Callable[[int, int], int], c: int, steps: int) -> int:
    return rule(steps, c)
