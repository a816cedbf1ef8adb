"""What replies to one problem are held against: made once, and handed along with the problem.

Truth, sensitivity, the question that faults answer, and the distance to the nearest wrong answer are worked out when
they are first wanted, since each takes a noticeable part of a second. A problem of the suite and a problem that
somebody brings are treated alike: nothing is looked up by a problem's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from verification.algorithms import PLAIN, Algorithm
from verification.faults import CATALOGUE, Outcome, Question, pose, pose_roughly
from verification.faults.question import AnswerFunction
from verification.judging import tolerances
from verification.judging.conventions import Declared
from verification.judging.tolerances import Sensitivity, norm, over, unit_roundoff
from verification.judging.truth import Truth, from_oracles, from_reference
from verification.orders import Order
from verification.problems import suite
from verification.problems.problem import Problem
from verification.problems.setting import Setting
from verification.problems.trees import leaves

#: The faults that a single answer is held against to tell whether it decides anything. The central ones show on every
#: problem with an inner step and change its answer by α; the subtle one by α², so that it fades first, and on some
#: problems (one step, a linear inner cost) it is no fault at all.
_CENTRAL = ("A01", "A04", "B01", "B02", "B03", "G04")
_SUBTLE = ("B06",)
_OF_ORDER = ("A01", "A04")
#: Below this distance, in bounds, an answer decides nothing.
DECIDES = 2.0


@dataclass(frozen=True, eq=False)
class Standard:
    """A problem in float64, on autograd where it is one of the judge's kind, with what is known of its answers.

    `certified` is an answer that was worked out elsewhere, such as a golden vector's: it then stands in place of the
    reference and of the oracles. `allowance` likewise is a sensitivity that need not be measured, and `posed` a
    question that is put already. A model of somebody's own comes with all three, and with a `part` of itself that is
    asked first for the separation: a mistake in that part alone is hardly ever further off, and is found faster.
    """

    problem: Setting
    certified: Truth | None = None
    allowance: Sensitivity | None = None
    posed: Question | None = None
    part: Standard | None = None
    _predictions: dict[tuple[AnswerFunction, int], Outcome] = field(default_factory=dict, init=False, repr=False)
    _estimates: dict[tuple[AnswerFunction, int], Outcome] = field(default_factory=dict, init=False, repr=False)
    _distances: dict[tuple[AnswerFunction, int], float] = field(default_factory=dict, init=False, repr=False)

    @property
    def generic(self) -> Problem:
        """The problem, where its costs are written for every array framework.

        Raises:
            TypeError: they are those of a model in one framework.
        """
        if not isinstance(self.problem, Problem):
            raise TypeError(f"{self.problem.name} has the costs of one framework, and none for other arrays.")
        return self.problem

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """How far the answer moves per unit of relative change on the way."""
        return self.allowance or tolerances.sensitivity(self.generic)

    def truths(self, *, own: bool) -> list[Truth]:
        """Return the expected answers: the reference's, or for `refmaml`'s own code those of the oracles alone."""
        if self.certified is not None:
            return [self.certified]
        return self._oracles if own else [self._reference]

    def prepare(self) -> None:
        """Work out now what an answer of somebody's own step will be held against."""
        self.truths(own=False)
        self.separation("float64")

    @cached_property
    def _reference(self) -> Truth:
        return from_reference(self.generic)

    @cached_property
    def _oracles(self) -> list[Truth]:
        return from_oracles(self.generic, self.sensitivity.cost)

    @cached_property
    def question(self) -> Question:
        """The question that the problem puts to faults; gradients are kept from one fault to the next."""
        return self.posed or pose(self.generic)

    @cached_property
    def rough_question(self) -> Question:
        """The same question with second derivatives to some ten digits, in a fraction of the time."""
        return self.posed or pose_roughly(self.generic)

    def predict(self, answer: AnswerFunction, call: int = 0) -> Outcome:
        """Return what a fault of the catalogue answers after `call` earlier calls; it is kept for the next subject.

        On a model there is no next subject, and a hundred answers would be a hundred models.
        """
        if self.posed is not None:
            return answer(self.question.at_call(call))
        if (answer, call) not in self._predictions:
            self._predictions[answer, call] = answer(self.question.at_call(call))
        return self._predictions[answer, call]

    def estimate(self, answer: AnswerFunction, call: int = 0) -> Outcome:
        """Return a prediction to some ten digits, kept like one, for a problem that is not of a model."""
        if (answer, call) not in self._estimates:
            self._estimates[answer, call] = answer(self.rough_question.at_call(call))
        return self._estimates[answer, call]

    def read_back(self, rate: float) -> Standard:
        """Return the standard for gradients that are read back as (θ − θ')/β, with what is known already."""
        least = tolerances.starts_over(self.generic, rate)
        found = replace(self, allowance=self.sensitivity.at_least(least))
        bounds = ("allowance", "sensitivity", "_separation", "_distances")
        vars(found).update({name: known for name, known in vars(self).items() if name not in bounds})
        return found

    # How far wrong answers are

    def distance(self, answer: AnswerFunction, dtype: str, *, call: int = 0) -> float:
        """Return how many bounds a fault's gradients are from the right ones, on the leaf that shows it best.

        It is infinite where a fault loses a gradient or writes into the caller's variables, and 0 where its outcome is
        open; `call` counts the calls before. Bounds are proportional to the unit roundoff, so that one measurement
        serves every precision.
        """
        if (answer, call) not in self._distances:
            self._distances[answer, call] = self._distance(answer, call)
        return self._distances[answer, call] * unit_roundoff("float64") / unit_roundoff(dtype)

    def _distance(self, answer: AnswerFunction, call: int) -> float:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a fault may diverge, or divide by α = 0
            wrong = answer(self._measuring.at_call(call))
        if wrong.overwritten is not None and not np.array_equal(wrong.overwritten, self._measuring.works[0].theta):
            return float("inf")  # without a step, and with a rate of 0, there is nothing else to write
        if wrong.is_open:
            return 0.0
        ratios = []
        for chain, leaf in self._roughly_right.gradients.items():
            other = wrong.gradients[chain]
            if leaf is None or other is None or other.shape != leaf.shape:
                return float("inf")
            bound = tolerances.bound(leaf, self.sensitivity.gradients[chain], "float64")
            ratios.append(over(norm(other - leaf), bound))
        return max(ratios)

    def separation(self, dtype: str) -> float:
        """Return the distance, in bounds, from the right gradients to the nearest that a central fault gives."""
        of_part = 0.0 if self.part is None else self.part.separation(dtype)
        if of_part >= DECIDES:
            return of_part
        return self._separation * unit_roundoff("float64") / unit_roundoff(dtype)

    @property
    def has_bounds(self) -> bool:
        """Whether bounds could be derived for all gradients."""
        return bool(np.all(np.isfinite(list(self.sensitivity.gradients.values()))))

    @cached_property
    def _separation(self) -> float:
        if not self.has_bounds:
            return 0.0  # no bound could be derived: any answer is within it
        if not self.problem.inner_grad_steps or not any(map(np.any, leaves(self.problem.inner_learning_rate).values())):
            return float("inf")  # nothing adapts: there is nothing that such a fault could change
        declared = isinstance(self.problem, Problem) and not self.problem.algorithm.is_plain
        # Adam's first step, or a clipped one, has next to no derivative: first and second order may be one answer.
        subtle = (*_SUBTLE, *_OF_ORDER) if declared else _SUBTLE
        return nearest(
            self.problem.order, lambda fault: self.distance(CATALOGUE[fault].variants[""], "float64"), subtle
        )

    @cached_property
    def _measuring(self) -> Question:
        # At first order a Hessian has a part in faults alone that are far off; at second order, in the right answer.
        return self.rough_question if self.problem.order == 1 else self.question

    @cached_property
    def _roughly_right(self) -> Outcome:
        return Declared().right(self._measuring)


def nearest(order: Order, distance_of: Callable[[str], float], subtle: Sequence[str] = _SUBTLE) -> float:
    """Return the least distance of the central faults, and of the subtle ones where float64 shows them to be faults."""
    distances = {fault: distance_of(fault) for fault in {*_CENTRAL, *subtle} if order in CATALOGUE[fault].orders}
    return min(distance for fault, distance in distances.items() if fault not in subtle or distance >= DECIDES)


class Standards:
    """The standards of problems, each made when it is first wanted: what several runs can share."""

    def __init__(self) -> None:
        self._made: dict[tuple[str | Problem, Order, float | None, Algorithm], Standard] = {}

    def of(
        self,
        problem: str | Problem,
        order: Order,
        outer_rate: float | None = None,
        algorithm: Algorithm = PLAIN,
    ) -> Standard:
        """Return the standard of a problem, or of a built-in one by its name, with an outer step where one is taken."""
        key = (problem, order, outer_rate, algorithm)
        if key not in self._made:
            if isinstance(problem, str):
                made = suite.problem(problem, order=order, algorithm=algorithm)
            else:
                made = problem if algorithm.is_plain else replace(problem, algorithm=algorithm)
                made = made.native("autograd", "float64")
            self._made[key] = Standard(made.with_outer_step(outer_rate or made.outer_learning_rate))
        return self._made[key]
