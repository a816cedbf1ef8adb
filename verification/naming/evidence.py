"""Evidence: what a subject answered to each problem, beside what a fault would have answered.

An answer matches a fault's on a problem where every leaf of the gradients is within the bound for that problem, around
the fault's own answer: C u max(‖x‖, κ ‖x‖, s) as for right answers, with a margin since κ and s were measured at the
right answer. A leaf without a gradient counts as zero: some frameworks say None where others say 0. A fault that loses
a gradient is matched by None and by zeros to the bit, and by nothing that is merely small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults import CATALOGUE, AnswerFunction, Outcome, Question
from verification.judging.conventions import Declared
from verification.judging.standard import DECIDES, Standard
from verification.judging.tolerances import apart, bound_of_size, norm, over
from verification.problems.levels import cost_of_asking
from verification.problems.setting import Setting
from verification.subjects import Reply

#: Times the bound of a right answer. κ and s are measured at the right answer, and a fault amplifies rounding by
#: another factor, which nothing here measures: chosen, not derived.
_MARGIN = 4.0
#: So many answers of faults on a model are kept: those of the fault that is compared, on all observations.
_KEPT = 4
_UNUSED = re.compile("allow_unused|not have been used|unused")


@dataclass(frozen=True)
class Observation:
    """One answer: the problem's standard, the precision it was asked in, and how many calls came before.

    `overwrote` tells whether the subject changed the caller's arrays, and `wrong` what the findings are about. The
    problem of a golden vector `is_frozen`: nobody asks it again with another number in it.
    """

    standard: Standard
    dtype: str
    reply: Reply
    call: int = 0
    overwrote: bool = False
    wrong: tuple[str, ...] = ()
    is_frozen: bool = False

    @property
    def problem(self) -> Setting:
        """The problem, in float64."""
        return self.standard.problem


_OF_CATALOGUE = frozenset(answer for fault in CATALOGUE.values() for answer in fault.variants.values())


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
        self._right: dict[Standard, Outcome] = {}
        self._predicted: dict[tuple[Standard, AnswerFunction, int], Outcome] = {}

    def up_to(self, steps: float) -> Evidence:
        """Return the evidence of problems with at most so many inner steps, for a fault that takes long on others."""
        if all(observation.problem.inner_grad_steps <= steps for observation in self.observations):
            return self
        if steps not in self._shorter:
            short = (one for one in self.observations if one.problem.inner_grad_steps <= steps)
            self._shorter[steps] = Evidence(short, self._declared)
        return self._shorter[steps]

    def question(self, observation: Observation) -> Question:
        """Return the question that an observation answers; what is worked out for one subject goes with it."""
        if observation.standard not in self._questions:
            self._questions[observation.standard] = observation.standard.question.copied()
        return replace(self._questions[observation.standard], call=observation.call)

    def right(self, observation: Observation) -> Outcome:
        """Return the right answer to what was asked, under the conventions declared."""
        if observation.standard not in self._right:
            self._right[observation.standard] = self._declared.right(self.question(observation))
        return self._right[observation.standard]

    def predict(self, observation: Observation, answer: AnswerFunction) -> Outcome:
        """Return what a fault would have answered, under the conventions declared."""
        question = self.question(observation)
        if answer in _OF_CATALOGUE and observation.standard.posed is None:
            return self._declared.of(observation.standard.predict(answer, observation.call), question)
        # What is fitted or paired for one subject is of no use to the next one.
        key = observation.standard, answer, observation.call
        if key not in self._predicted:
            while len(self._predicted) >= _KEPT and observation.standard.posed is not None:
                del self._predicted[next(iter(self._predicted))]
            self._predicted[key] = answer(question)
        return self._declared.of(self._predicted[key], question)

    def mismatch(self, observation: Observation, predicted: Outcome) -> float:
        """Return the largest distance of a leaf from a prediction, as a part of what is allowed."""
        worst = 0.0
        for chain, expected in predicted.gradients.items():
            got = observation.reply.returned.get(chain)
            here = np.zeros(observation.problem.shape(chain)) if expected is None else expected
            there = np.zeros_like(here) if got is None else got
            if here.shape != there.shape or (expected is None and np.any(there)):
                return float("inf")
            worst = max(worst, over(apart(there, here), allowed(observation, chain, here)))
        return worst

    def matches(self, observation: Observation, predicted: Outcome) -> bool:
        """Return whether every leaf of the gradients is what was predicted."""
        return self.mismatch(observation, predicted) <= 1

    def matched_by(self, answer: AnswerFunction) -> bool:
        """Return whether a fault gives every answer that was seen; the first that it does not ends the comparison."""
        return bool(self.deciding) and all(
            self.matches(observation, self.predict(observation, answer)) for observation in self.deciding
        )

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
        for chain, expected in correct.gradients.items():
            other = predicted.gradients[chain]
            if other is None and lost(observation, chain):
                return True
            here = np.zeros(observation.problem.shape(chain)) if expected is None else expected
            there = np.zeros_like(here) if other is None else other
            if here.shape != there.shape or over(apart(there, here), allowed(observation, chain, here)) > DECIDES:
                return True
        return False

    def relative_error(self, observation: Observation, predicted: Outcome) -> float:
        """Return ‖returned − predicted‖ over ‖predicted‖, over all leaves together."""
        off = size = 0.0
        for chain, expected in predicted.gradients.items():
            got = observation.reply.returned.get(chain)
            if expected is not None:
                off += float(np.sum((expected if got is None else got - expected) ** 2))
                size += float(np.sum(expected**2))
        return float(np.sqrt(off / size)) if size else float(np.sqrt(off))


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


def allowed(observation: Observation, chain: str, expected: NDArray[Any]) -> float:
    """Return how far a leaf may be from what a fault predicts."""
    size, moves = norm(expected), observation.standard.sensitivity.gradients.get(chain, 0.0)
    return _MARGIN * bound_of_size(max(size, size * _kappa(observation), moves), observation.dtype)


def _is_finite(observation: Observation) -> bool:
    return all(leaf is None or bool(np.all(np.isfinite(leaf))) for leaf in observation.reply.returned.values())


def _kappa(observation: Observation) -> float:
    """Return the condition number of the whole gradient."""
    sensitivity = observation.standard.sensitivity
    total = norm(list(sensitivity.sizes.values()))
    return norm(list(sensitivity.gradients.values())) / total if total else 1.0
