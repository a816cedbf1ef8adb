"""From a wrong answer to the name of the mistake.

Every fault of the catalogue is asked the same problems, and the answers are compared. What matches on every problem is
named, single faults first, then faults with one parameter to fit (a factor, an effective learning rate, a decay, a
clip, a momentum, the variables left out), a factor beside any fault, weights over tasks and steps, and any fault of a
misread question, with a factor or without. Fewest changes come first, and what the evidence cannot
distinguish is reported together. Where nothing matches, the family is inferred from how the error grows with α.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verification.faults import CATALOGUE
from verification.judging.conventions import Declared
from verification.naming.algorithms import (
    undeclared,
    undeclared_and_wrong,
    undeclared_beside,
    undeclared_under_a_scale,
    wrong_parts,
)
from verification.naming.candidates import (
    Candidate,
    fitted_ones,
    in_one_mode,
    lower_precision,
    paired,
    scaled,
    single,
    weighted,
)
from verification.naming.costs import another_cost
from verification.naming.evidence import Evidence, Observation, lost
from verification.naming.exchanged import explained, put_back
from verification.naming.further import of_models
from verification.naming.parameters import of_parameters
from verification.naming.wording import Diagnosis, diagnosis_of, of_another_form, several
from verification.orders import Order

#: A source of candidates.
Kind = Callable[[Evidence, Order], Iterable[Candidate]]
#: From the simplest on.
KINDS: tuple[Kind, ...] = (
    wrong_parts, single, undeclared, fitted_ones, of_models, lower_precision, in_one_mode, scaled,
    undeclared_under_a_scale, undeclared_and_wrong, weighted, paired,
    undeclared_beside,
)  # fmt: skip


def diagnose(
    observations: list[Observation], order: Order, declared: Declared, kinds: Sequence[Kind] = KINDS
) -> list[Diagnosis]:
    """Return what the evidence singles out, best first; an empty list where nothing of the catalogue fits it."""
    evidence = Evidence(observations, declared)
    if evidence.malformed:
        return [of_another_form()]
    beside = _beside_the_gradients(evidence)
    if beside:
        return [another_cost(evidence) if beside == _COST_ALONE else several(beside)]
    instead = of_parameters(evidence, order)
    if instead is not None:
        return [instead]
    found = _explaining(evidence, order, kinds)
    if not found:
        ways = (explained(moved, way, _explaining(moved, order, kinds)) for way, moved in put_back(evidence))
        found = next(filter(None, ways), [])
    return ranked_diagnoses(evidence, found, order) if found else []


def _explaining(evidence: Evidence, order: Order, kinds: Sequence[Kind]) -> list[Candidate]:
    """Return what explains the evidence with the fewest faults, of the simplest kind of which anything does.

    What rests on one answer, and leaves others open, stands where no kind has anything better.
    """
    weak: list[Candidate] = []
    for kind in kinds:
        found = [candidate for candidate in kind(evidence, order) if _explains(evidence, candidate)]
        strong = [candidate for candidate in found if not _rests_on_one(evidence, candidate)]
        if strong:
            return _fewest(strong)
        weak = weak or found
    return _fewest(weak)


def _fewest(found: list[Candidate]) -> list[Candidate]:
    fewest = min((len(candidate.faults) for candidate in found), default=0)
    return [candidate for candidate in found if len(candidate.faults) == fewest]


def _rests_on_one(evidence: Evidence, candidate: Candidate) -> bool:
    """Return whether at most one answer tells a candidate from a right step, beside some that it leaves open."""
    if candidate.by_size:
        return False
    evidence = evidence.up_to(candidate.most_steps)
    open_ones = [one for one in evidence.deciding if evidence.predict(one, candidate.answer).is_open]
    return bool(open_ones) and sum(evidence.shows(one, candidate.answer) for one in evidence.deciding) <= 1


_PARTS = {
    "cost": "the cost is wrong",
    "adapted": "the adapted variables are wrong",
    "exception": "the subject raised an exception",
    "program": "the program broke down",
    "process": "the process broke down",
    "result": "a result is not an answer",
    "dtype": "a dtype is wrong",
    "inputs": "the call changed the caller's arrays",
}
_RIGHT_GRADIENTS = "the gradients are right on every answer that decides"
_COST_ALONE = f"{_RIGHT_GRADIENTS}; {_PARTS['cost']}"


def _beside_the_gradients(evidence: Evidence) -> str:
    """Say what is wrong where the gradients that came are right, and no fault of the catalogue is about it.

    It is empty where a gradient is wrong, and where nothing but a lost zero or a change of the caller's arrays is seen.
    """
    if not evidence.deciding or not all(evidence.is_right(observation) for observation in evidence.deciding):
        return ""
    wrong = {what for observation in evidence.observations for what in observation.wrong}
    if evidence.unused_raised:
        wrong -= {"exception", "process", "program"}
    words = [word for what, word in _PARTS.items() if what in wrong - {"inputs"}]
    if evidence.not_finite:
        words.append("gradients hold NaN or infinity")
    decided = {id(observation) for observation in evidence.deciding}
    others = [
        observation
        for observation in evidence.observations
        if observation.reply.returned and id(observation) not in decided
    ]
    if not evidence.not_finite and not all(evidence.is_right(observation) for observation in others):
        words.append("gradients of other answers, for example in single precision, are wrong")
    none_for_zero = any(
        lost(observation, chain) for observation in evidence.deciding for chain in observation.reply.returned
    )
    if not words and "gradients" in wrong and not none_for_zero:
        words.append("their error is little more than rounding")
    if not words:
        return ""
    words += ["a gradient of 0 is None"] * none_for_zero + [_PARTS["inputs"]] * ("inputs" in wrong)
    return f"{_RIGHT_GRADIENTS}; {', and '.join(words)}"


def _explains(evidence: Evidence, candidate: Candidate) -> bool:
    """Return whether a candidate gives every answer that was seen, and is not right on all of them."""
    if candidate.by_size:
        return True
    evidence = evidence.up_to(candidate.most_steps)
    if not evidence.matched_by(candidate.answer):
        return False
    if candidate.faults == ("F02",) and evidence.unused_raised:
        return True
    return any(evidence.shows(observation, candidate.answer) for observation in evidence.deciding)


def _unexplained(evidence: Evidence, candidate: Candidate, order: Order) -> tuple[str, ...]:
    """Return the faults that are seen beside a candidate: zeros that are None, and changes of the caller's arrays."""
    evidence = evidence.up_to(candidate.most_steps)
    predicted = [(observation, evidence.predict(observation, candidate.answer)) for observation in evidence.deciding]
    found = []
    # The gradients for the other set, F04, leave out some that are asked for; where all is 0, nothing may have come.
    if candidate.faults != ("F04",) and any(
        lost(observation, chain) and leaf is not None
        for observation, known in predicted
        for chain, leaf in known.gradients.items()
        if any(leaf is None or np.any(leaf) for leaf in known.gradients.values())
    ):
        found.append("F02")
    if any(observation.overwrote for observation, _ in predicted) and all(
        known.overwritten is None for _, known in predicted
    ):
        found.append("E02")
    return tuple(id_ for id_ in found if order in CATALOGUE[id_].orders and id_ not in candidate.faults)


def ranked_diagnoses(evidence: Evidence, found: list[Candidate], order: Order) -> list[Diagnosis]:
    """Rank by what else agrees: side effects, adapted variables, costs. Equal ones cannot be told apart."""
    # Among equals the usual form of a fault comes before a variant of another.
    ranked = sorted(found, key=lambda candidate: (_disagreements(evidence, candidate), bool(candidate.detail)))
    least = _disagreements(evidence, ranked[0])
    equal = [candidate for candidate in ranked if _disagreements(evidence, candidate) == least]
    equal = [
        replace(candidate, faults=candidate.faults + _unexplained(evidence, candidate, order)) for candidate in equal
    ]
    names = tuple(dict.fromkeys(" + ".join(candidate.faults) for candidate in equal))
    known: dict[tuple[str, ...], Diagnosis] = {}
    for candidate in equal:
        others = tuple(name for name in names if name != " + ".join(candidate.faults))
        known.setdefault(candidate.faults, diagnosis_of(evidence, candidate, others))
    return list(known.values())


def _disagreements(evidence: Evidence, candidate: Candidate) -> tuple[int, int, int, int]:
    """Count where a candidate leaves open what comes, then where side effects, φ_K and costs are not what it gives."""
    evidence = evidence.up_to(candidate.most_steps)
    left_open = side = adapted = cost = 0
    for observation in evidence.deciding:
        predicted = evidence.predict(observation, candidate.answer)
        if predicted.is_open:
            left_open += 1
            continue
        side += (predicted.overwritten is not None) != observation.overwrote
        if observation.reply.adapted is not None and predicted.adapted:
            adapted += not _close_adapted(observation, predicted.adapted[0])
        if observation.reply.cost is not None:
            cost += not np.isclose(observation.reply.cost, predicted.cost, rtol=1e-4, atol=0)
    return left_open, side, adapted, cost


def _close_adapted(observation: Observation, vector: Any) -> bool:
    """Compare the first task's adapted variables; single precision is enough to tell points apart."""
    assert observation.reply.adapted is not None
    leaves = observation.problem.split(vector)
    return all(
        np.allclose(observation.reply.adapted[chain][0], leaf, rtol=1e-4, atol=1e-4)
        for chain, leaf in leaves.items()
        if chain in observation.reply.adapted
    )
