"""Conventions: what an author may mean otherwise, and declares.

A sum over tasks, other points in an average, another scale of Reptile or a clipped meta-gradient is no fault where its
author says so. A declared convention changes what is expected; an undeclared one is found like a fault, and the report
names the option that declares it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from verification.faults import Outcome, Question
from verification.faults.order import right
from verification.faults.place import average_without_start, scaled, sum_over_points, sum_without_start
from verification.faults.question import AnswerFunction
from verification.faults.scales import PYTORCH_CLIP, Gradients, by_rates, clipped, norm_clipped


@dataclass(frozen=True)
class Convention:
    """`after` changes any answer; `answer` stands for the right one where the inner points are weighted otherwise.

    `keeps_cost` tells whether the cost is what it is without the convention: a sum of gradients may come with either.
    `or_after` is another way to do what `after` does that is as right.
    """

    name: str
    meaning: str
    after: Callable[[Outcome, Question], Outcome] | None = None
    answer: AnswerFunction | None = None
    keeps_cost: bool = True
    or_after: Callable[[Outcome, Question], Outcome] | None = None


def _summed(outcome: Outcome, question: Question) -> Outcome:
    return scaled(outcome, question.tasks)


def _per_step(outcome: Outcome, question: Question) -> Outcome:
    return scaled(outcome, 1 / max(question.problem.inner_grad_steps, 1))


#: The cost is a report of the author's own, and is not compared: an outer loop needs the gradients alone.
OWN_COST = "own-cost"
_PLAIN = {
    convention.name: convention
    for convention in (
        Convention("sum-over-tasks", "gradients are the sum over tasks", after=_summed, keeps_cost=False),
        Convention(
            "average-adapted-points",
            "an average over steps leaves θ out",
            answer=average_without_start,
            keeps_cost=False,
        ),
        Convention("sum-over-points", "an average over steps is a sum", answer=sum_over_points, keeps_cost=False),
        Convention("reptile-displacement", "Reptile returns θ − φ_K", after=by_rates),
        Convention("reptile-per-step", "Reptile returns (θ − φ_K)/(Kα)", after=_per_step),
        Convention(OWN_COST, "the cost is another, and is not compared", keeps_cost=False),
    )
}
NAMES = (*_PLAIN, "clip-value=C", "clip-norm=C")


def convention(name: str) -> Convention:
    """Return the convention that a name declares.

    Raises:
        ValueError: there is no such convention, or its number is none.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    kind, _, number = name.partition("=")
    try:
        limit = float(number)
    except ValueError:
        limit = float("nan")
    if kind not in ("clip-value", "clip-norm") or not 0 < limit < float("inf"):
        raise ValueError(f"convention: expected one of {', '.join(NAMES)} with C a positive number, but got {name!r}.")
    words = "every entry" if kind == "clip-value" else "the norm"
    by_norm = kind == "clip-norm"
    return Convention(
        name,
        f"{words} of the gradients is clipped at {limit:g}",
        after=_clipping(partial(norm_clipped if by_norm else clipped, limit=limit)),
        or_after=_clipping(partial(norm_clipped, limit=limit, added=PYTORCH_CLIP)) if by_norm else None,
    )


def _clipping(clip: Callable[[Gradients], Gradients]) -> Callable[[Outcome, Question], Outcome]:
    return lambda outcome, _: replace(outcome, gradients=clip(outcome.gradients))


@dataclass(frozen=True)
class Declared:
    """The conventions of a run, together."""

    conventions: tuple[Convention, ...] = ()

    def right(self, question: Question) -> Outcome:
        """Return the right answer under the conventions."""
        answers = {convention.answer for convention in self.conventions if convention.answer is not None}
        # Both weightings of points together mean the sum over φ_1, …, φ_K.
        answer = sum_without_start if len(answers) > 1 else next(iter(answers), right)
        return self.of(answer(question), question)

    def of(self, outcome: Outcome, question: Question) -> Outcome:
        """Return what an answer becomes under the conventions."""
        for convention in self.conventions:
            if convention.after is not None:
                outcome = convention.after(outcome, question)
        return outcome

    @property
    def readings(self) -> tuple[Declared, ...]:
        """The conventions as they stand, and where one of them can be kept in another way, that."""
        if all(convention.or_after is None for convention in self.conventions):
            return (self,)
        return self, Declared(
            tuple(
                replace(convention, after=convention.or_after or convention.after, or_after=None)
                for convention in self.conventions
            )
        )

    @property
    def keep_cost(self) -> bool:
        """Whether the cost is what it is without the conventions."""
        return all(convention.keeps_cost for convention in self.conventions)

    @property
    def weights_points(self) -> bool:
        """Whether averages over steps are declared to be others."""
        return any(convention.answer is not None for convention in self.conventions)
