"""Evidence: what a subject answered to each problem, beside what a fault would have answered.

An answer matches a fault's on a problem where every leaf of the gradients is within the bound for that problem, around
the fault's own answer: C u max(‖x‖, κ ‖x‖, s) as for right answers, with a margin since κ and s were measured at the
right answer. A leaf without a gradient counts as zero: some frameworks say None where others say 0. A fault that loses
a gradient is matched by None and by zeros to the bit, and by nothing that is merely small.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from verification.faults import CATALOGUE, Outcome, Question, pose
from verification.judging.conventions import Declared
from verification.judging.tolerances import FACTOR, Sensitivity, unit_roundoff
from verification.problems.problem import Problem
from verification.subjects import Reply

_MARGIN = 4.0
_UNUSED = re.compile("allow_unused|not have been used|unused")
Answer = Callable[[Question], Outcome]


@dataclass(frozen=True)
class Observation:
    """One answer: the problem (in float64, on autograd), the precision it was asked in, and how many calls came before.

    `overwrote` tells whether the subject changed the caller's arrays, and `wrong` what the findings are about.
    """

    problem: Problem
    dtype: str
    reply: Reply
    sensitivity: Sensitivity
    call: int = 0
    overwrote: bool = False
    wrong: tuple[str, ...] = ()


Predicted = dict[tuple[Answer, int], Outcome]
#: What the faults of the catalogue answer to each problem; every subject is held against the same answers.
_PREDICTED: WeakKeyDictionary[Problem, Predicted] = WeakKeyDictionary()
_OF_CATALOGUE = frozenset(answer for fault in CATALOGUE.values() for answer in fault.variants.values())


class Evidence:
    """All observations of a subject, and a memory of what faults answer to the same problems."""

    def __init__(self, observations: Iterable[Observation], declared: Declared) -> None:
        self._declared = declared
        seen = list(observations)
        #: Every answer, those too that cannot be compared.
        self.seen = seen
        #: Whether some gradients came in another form than they should.
        self.malformed = any(each.reply.malformed for each in seen)
        #: Whether the subject stumbled over a variable that a cost does not use.
        self.unused_raised = any(_UNUSED.search(found.message) for each in seen for found in each.reply.findings)
        told = [each for each in seen if each.reply.returned and not each.reply.malformed]
        if declared.weights_points:  # what a fault makes of other weights is not known
            told = [each for each in told if not each.problem.options.average_across_steps]
        precise = [each for each in told if each.dtype == "float64"] or told
        finite = [each for each in precise if _is_finite(each)] or precise
        #: How many answers hold NaN or infinity beside others that do not: a fault that diverges overflows somewhere,
        #: and where it does depends on the precision that it is worked in.
        self.not_finite = len(precise) - len(finite)
        #: The observations that decide; those in single precision only where there are no others.
        self.deciding = sorted(finite, key=lambda seen: cost_of_asking(seen.problem))
        self._questions: dict[tuple[str, Any], Question] = {}
        self._right: dict[tuple[str, Any], Outcome] = {}
        self._predicted: dict[Problem, Predicted] = {}

    def question(self, seen: Observation) -> Question:
        """Return the question that an observation answers; its gradients are kept from one fault to the next."""
        key = (seen.problem.name, seen.problem.order)
        if key not in self._questions:
            self._questions[key] = pose(seen.problem)
        return replace(self._questions[key], call=seen.call)

    def right(self, seen: Observation) -> Outcome:
        """Return the right answer to what was asked, under the conventions declared."""
        key = (seen.problem.name, seen.problem.order)
        if key not in self._right:
            self._right[key] = self._declared.right(self.question(seen))
        return self._right[key]

    def predict(self, seen: Observation, answer: Answer) -> Outcome:
        """Return what a fault would have answered, under the conventions declared."""
        asked = self.question(seen)
        # What is fitted or paired for one subject is of no use to the next one.
        memory = _PREDICTED if answer in _OF_CATALOGUE else self._predicted
        known = memory.setdefault(seen.problem, {})
        if (answer, seen.call) not in known:
            known[answer, seen.call] = answer(asked)
        return self._declared.of(known[answer, seen.call], asked)

    def mismatch(self, seen: Observation, predicted: Outcome) -> float:
        """Return the largest distance of a leaf from a prediction, as a part of what is allowed."""
        worst = 0.0
        for chain, expected in predicted.gradients.items():
            got = seen.reply.returned.get(chain)
            here = np.zeros(seen.problem.shape(chain)) if expected is None else expected
            there = np.zeros_like(here) if got is None else got
            if here.shape != there.shape or (expected is None and np.any(there)):
                return float("inf")
            worst = max(worst, _ratio(there - here, allowed(seen, chain, here)))
        return worst

    def matches(self, seen: Observation, predicted: Outcome) -> bool:
        """Return whether every leaf of the gradients is what was predicted."""
        return self.mismatch(seen, predicted) <= 1

    def matched_by(self, answer: Answer) -> bool:
        """Return whether a fault gives every answer that was seen; the first that it does not ends the comparison."""
        return bool(self.deciding) and all(self.matches(seen, self.predict(seen, answer)) for seen in self.deciding)

    def is_right(self, seen: Observation) -> bool:
        """Return whether the gradients are right, None where 0 is right included."""
        return self.matches(seen, self.right(seen))

    def shows(self, seen: Observation, answer: Answer) -> bool:
        """Return whether a fault's answer to this problem can be told from the right one.

        What leaves the gradients right has to be seen: arrays of the caller that changed, or None for a zero.
        """
        correct, predicted = self.right(seen), self.predict(seen, answer)
        if predicted.overwritten is not None and seen.overwrote:
            return True
        for chain, expected in correct.gradients.items():
            other = predicted.gradients[chain]
            if other is None and lost(seen, chain):
                return True
            here = np.zeros(seen.problem.shape(chain)) if expected is None else expected
            there = np.zeros_like(here) if other is None else other
            if here.shape != there.shape or _ratio(there - here, allowed(seen, chain, here)) > 2:
                return True
        return False

    def relative_error(self, seen: Observation, predicted: Outcome) -> float:
        """Return ‖returned − predicted‖ over ‖predicted‖, over all leaves together."""
        off = size = 0.0
        for chain, expected in predicted.gradients.items():
            got = seen.reply.returned.get(chain)
            if expected is not None:
                off += float(np.sum((expected if got is None else got - expected) ** 2))
                size += float(np.sum(expected**2))
        return float(np.sqrt(off / size)) if size else float(np.sqrt(off))


def lost(seen: Observation, chain: str) -> bool:
    """Return whether a gradient is None, or was left out."""
    return not seen.reply.malformed and seen.reply.returned.get(chain) is None


def allowed(seen: Observation, chain: str, expected: NDArray[Any]) -> float:
    """Return how far a leaf may be from what a fault predicts."""
    moves = seen.sensitivity.gradients
    size = float(np.linalg.norm(expected))
    return _MARGIN * FACTOR * unit_roundoff(seen.dtype) * max(size, size * _kappa(seen), moves.get(chain, 0.0))


def _is_finite(seen: Observation) -> bool:
    return all(leaf is None or bool(np.all(np.isfinite(leaf))) for leaf in seen.reply.returned.values())


def _kappa(seen: Observation) -> float:
    """Return the condition number of the whole gradient."""
    moves = np.array(list(seen.sensitivity.gradients.values()))
    sizes = np.array(list(seen.sensitivity.sizes.values()))
    total = float(np.linalg.norm(sizes))
    return float(np.linalg.norm(moves)) / total if total else 1.0


def _ratio(difference: NDArray[Any], bound: float) -> float:
    size = float(np.linalg.norm(difference))
    if not np.isfinite(size):
        return float("inf")
    return size / bound if bound else (0.0 if size == 0 else float("inf"))


def cost_of_asking(problem: Problem) -> int:
    """Return roughly how long a fault takes on a problem: cheap ones first, since one mismatch is enough."""
    size = sum(int(np.prod(problem.shape(chain), dtype=int)) for chain in problem.names)
    # Problems with fewer than two steps tell little; they come last.
    return size * problem.num_tasks * problem.inner_grad_steps + (10_000 if problem.inner_grad_steps < 2 else 0)
