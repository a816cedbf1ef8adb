"""Evidence: what a subject answered to each problem, beside what a fault would have answered.

An answer matches a fault's on a problem where every leaf of the gradients is within the bound for that problem, around
the fault's own answer: C u max(‖x‖, κ ‖x‖, s) as for right answers, with a margin since κ and s were measured at the
right answer. Where an answer is beyond that and yet much nearer to the fault's than to the right one, the fault may
amplify rounding more than right code does, as an inner loop that runs away does, or a difference quotient: s is then
measured at the fault's own answer. A leaf without a gradient counts as zero: some frameworks say None where others say
0. A fault that loses a gradient is matched by None and by zeros to the bit, and by nothing that is merely small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import ALGORITHM_CATALOGUE, CATALOGUE, AnswerFunction, Outcome, Question
from verification.faults.question import After
from verification.judging.conventions import Declared
from verification.judging.standard import DECIDES, Standard
from verification.judging.tolerances import apart, bound_of_size, norm, over, unit_roundoff
from verification.problems.levels import cost_of_asking
from verification.problems.setting import Setting
from verification.subjects import Reply
from verification.vectors.standard import VectorStandard

#: Times the bound of a right answer. κ and s are measured at the right answer, and a fault amplifies rounding by
#: another factor, which nothing here measures: chosen, not derived.
_MARGIN = 4.0
#: So many bytes of faults' answers on a model are kept, and two answers in any case.
_KEPT = 2**27
#: From here on an answer is near a fault's: the fault leaves less than this part of the error unexplained. Chance, or
#: another fault, leaves most of it.
NEAR = 1e-3
_DRAWS = 3
_DELTA = 2.0**-34  # relative; far above rounding (2⁻⁵³), and so small that what is amplified stays in proportion
_SEED = 20180302
_UNUSED = re.compile("allow_unused|not have been used|unused")


@dataclass(frozen=True)
class Observation:
    """One answer: the problem's standard, the precision it was asked in, and how many calls came before.

    `overwrote` tells whether the subject changed the caller's arrays, and `wrong` what the findings are about.
    """

    standard: Standard
    dtype: str
    reply: Reply
    call: int = 0
    overwrote: bool = False
    wrong: tuple[str, ...] = ()

    @property
    def problem(self) -> Setting:
        """The problem, in float64."""
        return self.standard.problem

    @property
    def is_frozen(self) -> bool:
        """Whether it is a golden vector, which nobody asks again with another number in it."""
        return isinstance(self.standard, VectorStandard)


#: What is asked again for every subject.
_KNOWN = frozenset(
    answer for fault in (*CATALOGUE.values(), *ALGORITHM_CATALOGUE.values()) for answer in fault.variants.values()
)


def _is_known(answer: AnswerFunction) -> bool:
    return answer in _KNOWN or (isinstance(answer, After) and _is_known(answer.outer) and _is_known(answer.inner))


class Evidence:
    """All observations of a subject, and a memory of what faults answer to the same problems."""

    def __init__(self, observations: Iterable[Observation], declared: Declared) -> None:
        self._declared = declared
        #: Every answer, those too that cannot be compared.
        self.observations = list(observations)
        #: Whether some gradients came in another form than they should.
        self.malformed = any(observation.reply.malformed for observation in self.observations)
        #: Whether the subject stumbled over a variable that a cost does not use.
        self.unused_raised = any(
            _UNUSED.search(finding.message)
            for observation in self.observations
            for finding in observation.reply.findings
        )
        comparable = [
            observation
            for observation in self.observations
            if observation.reply.returned and not observation.reply.malformed
            # What a fault makes of other weights of the points is not known.
            if not (declared.weights_points and observation.problem.options.average_across_steps)
        ]
        precise = [observation for observation in comparable if observation.dtype == "float64"] or comparable
        finite = [observation for observation in precise if _is_finite(observation)] or precise
        #: How many answers hold NaN or infinity beside others that do not: a fault that diverges overflows somewhere,
        #: and where it does depends on the precision that it is worked in.
        self.not_finite = len(precise) - len(finite)
        #: The observations that decide; those in single precision only where there are no others.
        self.deciding = sorted(finite, key=lambda observation: cost_of_asking(observation.problem))
        self._shorter: dict[float, Evidence] = {}
        self._questions: dict[Standard, Question] = {}
        self._rough_questions: dict[Standard, Question] = {}
        self._right: dict[Standard, Outcome] = {}
        self._predicted: dict[tuple[Standard, AnswerFunction, int], Outcome] = {}
        self._moves: dict[tuple[Standard, AnswerFunction, int], dict[str, float]] = {}

    def up_to(self, steps: float) -> Evidence:
        """Return the evidence of problems with at most so many inner steps, for a fault that takes long on others."""
        if all(observation.problem.inner_grad_steps <= steps for observation in self.observations):
            return self
        if steps not in self._shorter:
            short = (one for one in self.observations if one.problem.inner_grad_steps <= steps)
            self._shorter[steps] = self.of(short)
        return self._shorter[steps]

    def of(self, observations: Iterable[Observation]) -> Evidence:
        """Return the evidence of other answers, under the same conventions; what is known of their problems stays."""
        found = Evidence(observations, self._declared)
        found._questions, found._rough_questions = self._questions, self._rough_questions
        return found

    def question(self, observation: Observation) -> Question:
        """Return the question that an observation answers; what is worked out for one subject goes with it."""
        if observation.standard not in self._questions:
            self._questions[observation.standard] = observation.standard.question.copied()
        return self._questions[observation.standard].at_call(observation.call)

    def right(self, observation: Observation) -> Outcome:
        """Return the right answer to what was asked, under the conventions declared."""
        standard = observation.standard
        if standard.posed is not None:  # a model, which has no conventions: its truth is the answer to the question
            known = standard.truths(own=False)[0].answer
            return Outcome(known.cost, {**known.gradients})
        if standard not in self._right:
            found = self._declared.right(self.question(observation))
            self._right[standard] = _compared(found, observation)
        return self._right[standard]

    def predict(self, observation: Observation, answer: AnswerFunction, *, is_shared: bool = False) -> Outcome:
        """Return what a fault would have answered, under the conventions declared.

        `is_shared` tells that the next subject will be asked it, too: one of the catalogue, or two of it at once.
        """
        question = self.question(observation)
        if (is_shared or _is_known(answer)) and observation.standard.posed is None:
            return self._declared.of(observation.standard.predict(answer, observation.call), question)
        # What is fitted for one subject is of no use to the next one.
        key = observation.standard, answer, observation.call
        if key not in self._predicted:
            found = _compared(answer(question), observation)
            if observation.standard.posed is not None:
                size = sum(leaf.nbytes for leaf in found.gradients.values() if leaf is not None)
                while len(self._predicted) > 1 and (len(self._predicted) + 1) * size > _KEPT:
                    del self._predicted[next(iter(self._predicted))]
            self._predicted[key] = found
        return self._declared.of(self._predicted[key], question)

    def estimate(self, observation: Observation, answer: AnswerFunction, *, is_shared: bool = False) -> Outcome:
        """Return a prediction to some ten digits, for a search that has a long way to go.

        It is kept for the next subject alone, where it `is_shared`.
        """
        if is_shared and observation.standard.posed is None:
            return self._declared.of(
                observation.standard.estimate(answer, observation.call), self.question(observation)
            )
        if observation.standard not in self._rough_questions:
            self._rough_questions[observation.standard] = observation.standard.rough_question.copied()
        question = self._rough_questions[observation.standard].at_call(observation.call)
        return self._declared.of(answer(question), question)

    def mismatch(self, observation: Observation, predicted: Outcome) -> float:
        """Return the largest distance of a leaf from a prediction, as a part of what is allowed."""
        return max(_mismatches(observation, predicted, {}), default=0.0)

    def matches(self, observation: Observation, predicted: Outcome, moves: Mapping[str, float] | None = None) -> bool:
        """Return whether every leaf of the gradients is what was predicted.

        `moves` is how far each leaf of a fault's answer moves per unit of relative change on the way, where known.
        """
        return all(part <= 1 for part in _mismatches(observation, predicted, moves or {}))

    def matched_by(self, answer: AnswerFunction) -> bool:
        """Return whether a fault gives every answer that was seen; the first that it does not ends the comparison."""
        found = bool(self.deciding) and all(self.is_given_by(answer, observation) for observation in self.deciding)
        if not found:
            for observation in self.deciding:
                if observation.standard.posed is not None:  # each of its answers is as large as the model
                    self._predicted.pop((observation.standard, answer, observation.call), None)
        return found

    def is_given_by(self, answer: AnswerFunction, observation: Observation) -> bool:
        """Return whether a fault gives an answer, to the rounding that right code or the fault itself amplifies."""
        predicted = self.predict(observation, answer)
        if predicted.is_open:
            return not self.is_right(observation)
        if self.matches(observation, predicted):
            return True
        if not self._is_near(observation, predicted):
            return False
        return self.matches(observation, predicted, self._moved(observation, answer))

    def _is_near(self, observation: Observation, predicted: Outcome) -> bool:
        """Return whether an answer is much nearer to a prediction than to the right answer, or half its digits agree.

        A difference quotient is off by little more than rounding where the costs are quadratic.
        """
        error = self.relative_error(observation, predicted)
        if error > NEAR:
            return False
        half = float(np.sqrt(unit_roundoff(observation.dtype)))
        wrong = self.relative_error(observation, self.right(observation))
        return error <= max(NEAR * min(wrong, 1.0), min(half, NEAR))

    def _moved(self, observation: Observation, answer: AnswerFunction) -> dict[str, float]:
        """Measure how far a fault's answer moves per unit of relative change, as for the bounds of right answers."""
        key = observation.standard, answer, observation.call
        if key not in self._moves:
            rng, question = np.random.default_rng(_SEED), self.question(observation)
            base = self.predict(observation, answer).gradients
            moves = dict.fromkeys(base, 0.0)
            for _ in range(_DRAWS):
                moved = self._declared.of(answer(question.disturbed(rng, _DELTA)), question).gradients
                for chain, leaf in base.items():
                    other = moved[chain]
                    if leaf is not None and other is not None:
                        moves[chain] = max(moves[chain], norm(other - leaf) / _DELTA)
            self._moves[key] = moves
        return self._moves[key]

    def is_right(self, observation: Observation) -> bool:
        """Return whether the gradients are right, None where 0 is right included."""
        return self.matches(observation, self.right(observation))

    def shows(self, observation: Observation, answer: AnswerFunction) -> bool:
        """Return whether a fault's answer to this problem can be told from the right one.

        What leaves the gradients right has to be seen: arrays of the caller that changed, or None for a zero.
        """
        correct, predicted = self.right(observation), self.predict(observation, answer)
        if predicted.overwritten is not None and observation.overwrote:
            return True
        if predicted.is_open:
            return False
        if any(other is None and lost(observation, chain) for chain, other in predicted.gradients.items()):
            return True
        return _differ(observation, correct, predicted)

    def agree(self, observation: Observation, one: AnswerFunction, other: AnswerFunction) -> bool:
        """Return whether two faults give the same answer to a problem, to what is allowed around it."""
        return not _differ(observation, self.predict(observation, one), self.predict(observation, other))

    def relative_error(self, observation: Observation, predicted: Outcome) -> float:
        """Return ‖returned − predicted‖ over ‖predicted‖, over all leaves together."""
        errors, sizes = [], []
        for chain, expected in predicted.gradients.items():
            got = observation.reply.returned.get(chain)
            if got is not None and expected is not None and got.shape != expected.shape:
                return float("inf")
            if got is not None or expected is not None:
                errors.append(norm(got if expected is None else expected if got is None else got - expected))
                sizes.append(0.0 if expected is None else norm(expected))
        off, size = norm(errors), norm(sizes)
        return off / size if size else off


def _mismatches(observation: Observation, predicted: Outcome, moves: Mapping[str, float]) -> Iterator[float]:
    """Yield how far each leaf is from a prediction, as a part of what is allowed."""
    for chain, expected in predicted.gradients.items():
        got = observation.reply.returned.get(chain)
        here = np.zeros(observation.problem.shape(chain)) if expected is None else expected
        there = np.zeros_like(here) if got is None else got
        if expected is None and np.any(there):
            yield float("inf")
        else:
            yield apart_by_bounds(observation, chain, there, here, moves.get(chain, 0.0))


def _compared(predicted: Outcome, observation: Observation) -> Outcome:
    """Return of a prediction what is compared: φ_K of every task is as large as the gradients of all."""
    return predicted if observation.reply.adapted is not None else replace(predicted, adapted=[])


def _differ(observation: Observation, one: Outcome, other: Outcome) -> bool:
    """Return whether two outcomes can be told apart by their gradients."""
    for chain, leaf in one.gradients.items():
        here = np.zeros(observation.problem.shape(chain)) if leaf is None else leaf
        there = np.zeros_like(here) if (found := other.gradients[chain]) is None else found
        if apart_by_bounds(observation, chain, there, here) > DECIDES:
            return True
    return False


def is_thin(observations: Sequence[Observation]) -> bool:
    """Return whether most answers are exceptions or cannot be read, so that the rest is no ground for a name.

    An exception about an unused variable is no gap in the evidence: it is a mistake of the catalogue itself.
    """
    missing = [
        observation
        for observation in observations
        if not observation.reply.returned
        and not any(_UNUSED.search(finding.message) for finding in observation.reply.findings)
    ]
    return 2 * len(missing) > len(observations)


def lost(observation: Observation, chain: str) -> bool:
    """Return whether a gradient is None, or was left out."""
    return not observation.reply.malformed and observation.reply.returned.get(chain) is None


def allowed(observation: Observation, chain: str, expected: NDArray[Any], moves: float = 0.0) -> float:
    """Return how far a leaf may be from what a fault predicts; `moves` is the sensitivity of the fault's own leaf."""
    size, known = norm(expected), observation.standard.sensitivity
    most = max(size, size * known.condition, known.gradients.get(chain, 0.0), moves)
    return _MARGIN * bound_of_size(most, observation.dtype)


def apart_by_bounds(
    observation: Observation, chain: str, got: NDArray[Any], expected: NDArray[Any], moves: float = 0.0
) -> float:
    """Return how far a leaf is from an expected one, as a part of what is allowed; infinity for another shape."""
    if got.shape != expected.shape:
        return float("inf")
    return over(apart(got, expected), allowed(observation, chain, expected, moves))


def _is_finite(observation: Observation) -> bool:
    return all(leaf is None or bool(np.all(np.isfinite(leaf))) for leaf in observation.reply.returned.values())
