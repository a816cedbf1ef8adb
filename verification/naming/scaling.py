"""A factor on top of any answer: free on each problem, and then explained by one rule for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from verification.faults import AnswerFunction, Outcome, Question, scales
from verification.faults.place import scaled
from verification.faults.question import Misreading
from verification.judging.tolerances import norm
from verification.naming.evidence import NEAR, Evidence, Observation
from verification.naming.rules import Rule, rules
from verification.naming.vectors import ratio, returned
from verification.orders import Order

#: The ids of faults at once, words for the numbers in them, and the answer.
Product = tuple[tuple[str, ...], str, AnswerFunction]

#: The same of a misread question, under which other faults may be.
Reading = tuple[tuple[str, ...], str, Misreading]
#: The question as it was asked.
AS_ASKED: Reading = ((), "", Misreading(lambda question: question))

#: What a factor gives as well: a scale on a scale is one scale.
SCALES = frozenset({"D01", "D02", "D11", "G03"})
#: Choices of an implementation that exclude one another: each is made once.
_CHOICES = (
    frozenset({"C05", "C06", "D08", "G01", "G02", "G10"}),  # the inner rate
    frozenset({"B01", "B02", "B03", "B07", "B12"}),  # the number of inner steps
    frozenset({"C01", "C03", "C04"}),  # the data and costs
)
_TRIED = 6  # rules of a factor that are held against all answers, the simplest first


def under(factor: Callable[[Question], float], answer: AnswerFunction) -> AnswerFunction:
    """Return a fault's answer multiplied by a factor, which may depend on the question."""

    def multiplied(question: Question) -> Outcome:
        return scaled(answer(question), factor(question))

    return multiplied


def alone(answer: AnswerFunction) -> AnswerFunction:
    """Return a fault with nothing beside it."""
    return answer


def is_same_choice(one: str, other: str) -> bool:
    """Return whether two faults are of the same choice: a step makes one of them at a time."""
    return one == other or any({one, other} <= choice for choice in _CHOICES)


def joined(*words: str) -> str:
    """Return words with commas between them, without those that are empty."""
    return ", ".join(word for word in words if word)


def factor_of(
    evidence: Evidence, observation: Observation, answer: AnswerFunction, predicted: Outcome | None = None
) -> float | None:
    """Return the c with which c times a fault's answer is what came, or None where there is none.

    `predicted` is the fault's answer, where it is known.
    """
    predicted = predicted or evidence.predict(observation, answer)
    factor = nearest_factor(observation, predicted)
    if factor is None:
        return None
    if evidence.matches(observation, scaled(predicted, factor)):
        return factor
    # Where a fault amplifies rounding, its error may be in one leaf, and the nearest factor puts it into all of them.
    if abs(factor - 1) < NEAR and evidence.is_given_by(answer, observation):
        return 1.0
    return factor if evidence.is_given_by(under(lambda _: factor, answer), observation) else None


def nearest_factor(observation: Observation, predicted: Outcome) -> float | None:
    """Return the c with which c times a prediction is about what came, or None where it is not even that."""
    got = returned(observation, none_is_zero=True, like=predicted)
    if got is None or not np.any(got):
        return None
    shapes = {chain: observation.problem.shape(chain) for chain in predicted.gradients}
    expected = np.concatenate(
        [np.ravel(np.zeros(shapes[chain]) if leaf is None else leaf) for chain, leaf in predicted.gradients.items()]
    )
    factor = ratio(got, expected) if got.shape == expected.shape else None
    return factor if factor and norm(got - factor * expected) <= NEAR * norm(got) else None


def is_nothing(observation: Observation) -> bool:
    """Return whether an answer is 0, which any factor leaves as it is."""
    return not any(leaf is not None and np.any(leaf) for leaf in observation.reply.returned.values())


def under_a_scale(
    evidence: Evidence, observations: Sequence[Observation], base: Product, order: Order
) -> Iterator[Product]:
    """Yield a fault under the simplest factor with which it gives every answer; the factor may be 1.

    `observations` are the wrong answers: what is right everywhere else fixes no factor.
    """
    ids, detail, answer = base
    for shown, before in _scales_of(answer, order):
        factors = []
        for observation in observations:
            if evidence.predict(observation, shown).is_open:
                continue
            factor = factor_of(evidence, observation, shown)
            if factor is None and is_nothing(observation) and evidence.is_given_by(shown, observation):
                continue  # Reptile without a step: any factor of 0 gives 0
            if factor is None:
                break
            factors.append((factor, evidence.question(observation)))
        else:
            for rule in _some(rules(factors, order)):  # no rule where there are no factors
                scale = (*before, *rule.faults)
                whole = under(rule, shown) if rule.faults else shown
                if (scale or ids) and evidence.matched_by(whole):
                    words = joined(*(word for _, word in scale), detail)
                    yield tuple(dict.fromkeys((*(id_ for id_, _ in scale), *ids))), words, whole
                    return


def _some(found: Iterator[Rule]) -> list[Rule]:
    return [rule for rule, _ in zip(found, range(_TRIED), strict=False)]


def _scales_of(answer: AnswerFunction, order: Order) -> Iterator[tuple[AnswerFunction, tuple[tuple[str, str], ...]]]:
    """Yield an answer as it is, and for Reptile as a displacement, which α divides for each variable by itself."""
    yield answer, ()
    if order == "reptile":
        yield scales.displaced(answer), (("G03", "not divided"),)
