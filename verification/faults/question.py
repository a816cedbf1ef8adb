"""What a fault is asked and what it answers: a whole step of several tasks."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from verification.faults.work import (
    Points,
    Product,
    Solved,
    Work,
    by_autograd,
    by_complex_step,
    mean,
    products_by_autograd,
    products_by_differences,
    solve,
)
from verification.oracles.view import Costs, FlatArray
from verification.orders import Order
from verification.problems.answers import selected
from verification.problems.problem import Problem
from verification.problems.setting import Setting

_MISREADINGS = 256  # that are kept of one question, the newest: more than the catalogue has


@dataclass(frozen=True)
class Question:
    """A problem as works, one for each task; `call` counts the calls that came before this one.

    `posed_in` puts the same question in another precision. `is_misread` tells that it is no longer what was asked.
    """

    problem: Setting
    works: list[Work]
    order: Order
    posed_in: Callable[[Any], Question]
    call: int = 0
    is_misread: bool = False
    _misread: dict[Misreading, Question] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def tasks(self) -> int:
        """The number of tasks, T."""
        return len(self.works)

    def at_call(self, call: int) -> Question:
        """Return the question of a later call, or this one with what is known of it."""
        return self if call == self.call else replace(self, call=call)

    def misread(self, reading: Misreading) -> Question:
        """Return what a misreading makes of the question, which is kept of a small one: other faults stand beside it.

        What a second misreading makes of the first is asked once.
        """
        if self.is_misread or not all(work.is_small for work in self.works):
            return reading.change(self)
        if reading not in self._misread:
            while len(self._misread) >= _MISREADINGS:
                del self._misread[next(iter(self._misread))]
            self._misread[reading] = replace(reading.change(self), is_misread=True)
        return self._misread[reading]

    def copied(self) -> Question:
        """Return the question with a memory of its own: what is worked out from here on is forgotten with it."""
        return replace(self, works=[replace(work, memory=copy(work.memory)) for work in self.works])

    def disturbed(self, rng: np.random.Generator, delta: float) -> Question:
        """Return the question with θ, gradients and curvature each off by a relative ±δ, with signs by chance."""
        return replace(self, works=[_disturbed(work, rng, delta) for work in self.works])

    def spots(self) -> dict[str, NDArray[Any]]:
        """Return the coordinates of each variable in the flat vector, by key chain."""
        return self.problem.split(np.arange(self.works[0].theta.size))


def _disturbed(work: Work, rng: np.random.Generator, delta: float) -> Work:
    def off(array: FlatArray) -> FlatArray:
        return array * (1 + delta * rng.choice([-1.0, 1.0], array.shape))

    def derive(costs: Costs, phi: FlatArray) -> FlatArray:
        return off(work.derive(costs, phi))

    def curve(costs: Costs, points: Points) -> list[Product]:
        return [partial(multiply, product) for product in work.curve(costs, points)]

    def multiply(product: Product, u: FlatArray) -> FlatArray:
        return off(product(u))

    return replace(work, view=replace(work.view, theta=off(work.theta)), derive=derive, curve=curve, memory={})


def pose(problem: Problem) -> Question:
    """Return the question that a problem puts, to predict what a fault answers to it."""
    works = [Work(view, by_complex_step, products_by_autograd) for view in problem.views(anp)]
    return Question(problem, works, problem.order, partial(pose_in, problem))


def pose_roughly(problem: Problem) -> Question:
    """Return the question that a problem puts, to tell fast how far off a fault's answer is, to some ten digits."""
    works = [Work(view, by_complex_step, products_by_differences) for view in problem.views(anp)]
    return Question(problem, works, problem.order, partial(pose_in, problem))


def pose_in(problem: Problem, dtype: Any, call: int = 0) -> Question:
    """Return the question to be worked in a precision, as an implementation does."""
    works = [Work(view, by_autograd, products_by_autograd) for view in problem.views(anp, dtype=dtype)]
    return Question(problem, works, problem.order, partial(pose_in, problem), call)


@dataclass(frozen=True)
class Outcome:
    """What a step with a fault returns: cost, gradients by key chain (None: no gradient reached it), φ_K of each task.

    `overwritten` holds what the fault leaves in the caller's variables, where it leaves something. An outcome `is_open`
    where code with the fault raises, or gives what nobody knows: the rest is then the right answer.
    """

    cost: float
    gradients: dict[str, NDArray[Any] | None]
    adapted: list[FlatArray] = field(default_factory=list)
    overwritten: FlatArray | None = None
    is_open: bool = False


#: What a step answers to a question: the right one, or one with a fault.
AnswerFunction = Callable[[Question], Outcome]


def outcome(question: Question, cost: Any, gradient: FlatArray, adapted: list[FlatArray]) -> Outcome:
    """Return an outcome with a whole gradient vector cut into the selected leaves."""
    leaves: dict[str, NDArray[Any] | None] = {
        chain: leaf for chain, leaf in question.problem.split(gradient).items() if chain in selected(question.problem)
    }
    return Outcome(float(cost), leaves, adapted)


def combined(question: Question, solved: list[Solved]) -> Outcome:
    """Return the mean over tasks: the right way to put them together."""
    gradient = mean([solution.gradient for solution in solved])
    return outcome(
        question, mean([solution.cost for solution in solved]), gradient, [solution.adapted for solution in solved]
    )


#: What is done to one task.
OneTask = Callable[[Work, Question], Solved]


def rightly(work: Work, question: Question) -> Solved:
    """Solve one task as it should be."""
    return solve(work, question.order)


@dataclass(frozen=True)
class Method:
    """A step by its choices, each of them right where it is None: a fault makes one or two of them otherwise.

    `one_task` goes through the inner loop of a task and differentiates it; `around` makes a task's answer of such ways
    through it, as a mean over points does; `between` takes the tasks one after the other; `reduction` puts them
    together; `scale` multiplies the result, and `finish` changes what is returned. Faults of different choices combine.
    """

    one_task: OneTask | None = None
    around: Callable[[OneTask], OneTask] | None = None
    between: Callable[[OneTask, Question], list[Solved]] | None = None
    reduction: Callable[[Question, list[Solved]], Outcome] | None = None
    scale: Callable[[Outcome, Question], Outcome] | None = None
    finish: Callable[[Outcome, Question], Outcome] | None = None

    def __call__(self, question: Question) -> Outcome:
        """Answer a question with these choices."""
        one_task = self.one_task or rightly
        if self.around is not None:
            one_task = self.around(one_task)
        taken = self.between or _each_by_itself
        return self.after((self.reduction or combined)(question, taken(one_task, question)), question)

    def after(self, found: Outcome, question: Question) -> Outcome:
        """Return what these choices make of a result."""
        for change in (self.scale, self.finish):
            found = found if change is None else change(found, question)
        return found

    @property
    def choices(self) -> dict[str, Callable[..., Any]]:
        """The choices that are made otherwise, by their names."""
        made = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: choice for name, choice in made.items() if choice is not None}


def _each_by_itself(one_task: OneTask, question: Question) -> list[Solved]:
    return [one_task(work, question) for work in question.works]


def each_task(one_task: OneTask) -> Method:
    """Make an answer of what is done to each task, with the right mean over tasks."""
    return Method(one_task=one_task)


@dataclass(frozen=True)
class Misreading:
    """An answer that is right, but to another question: the simplest kind of fault; others combine with it."""

    change: Callable[[Question], Question]

    def __call__(self, question: Question) -> Outcome:
        """Answer the changed question; leaves and tasks stay those of the asked one."""
        changed = question.misread(self)
        return combined(question, [solve(work, changed.order) for work in changed.works])


def misread(change: Callable[[Work, Question], Work]) -> Misreading:
    """Make a misreading of what is changed in each task."""
    return Misreading(lambda question: replace(question, works=[change(work, question) for work in question.works]))


@dataclass(frozen=True)
class After:
    """A fault that answers the question that a misreading makes; two of the same parts are equal."""

    outer: AnswerFunction
    inner: Misreading

    def __call__(self, question: Question) -> Outcome:
        """Answer the changed question; leaves and tasks are those that the misreading has."""
        return self.outer(question.misread(self.inner))


def after(outer: AnswerFunction, inner: Misreading) -> AnswerFunction:
    """Return the fault `outer` answering the question that the misreading `inner` makes of what was asked."""
    return After(outer, inner)


def together(one: AnswerFunction, other: AnswerFunction) -> AnswerFunction | None:
    """Return the step with two faults, the second a misreading where either is; None where both make one choice."""
    if isinstance(other, Misreading):
        return after(one, other)
    if isinstance(one, Misreading):
        return after(other, one)
    methods = [fault for fault in (one, other) if isinstance(fault, Method)]
    if len(methods) == 1:
        (last,) = methods
        return _finished(last, other if last is one else one)
    if not methods or methods[0].choices.keys() & methods[1].choices.keys():
        return None
    return Method(**methods[0].choices, **methods[1].choices)


def _finished(last: Method, answer: AnswerFunction) -> AnswerFunction | None:
    """Return a fault whose answer is changed when it is there; None where a method changes more than that."""
    return _Finished(last, answer) if last.choices.keys() <= {"scale", "finish"} else None


@dataclass(frozen=True)
class _Finished:
    last: Method
    answer: AnswerFunction

    def __call__(self, question: Question) -> Outcome:
        return self.last.after(self.answer(question), question)
