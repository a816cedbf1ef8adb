"""Variables and gradients that are paired by their places in two lists: in the inner update, or in the answer.

A list of variables or of gradients is in some order, and the gradients that are None may be left out of theirs, so that
those after them go to the variables before. What pairs arrays of other shapes raises, or makes arrays of other shapes
by broadcasting: what comes of that is not known (`Outcome.is_open`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from verification.faults.order import right
from verification.faults.question import AnswerFunction, Method, Outcome, Question, each_task
from verification.faults.work import Points, Solved, Work, solve
from verification.oracles.updates import InnerUpdate, Part, State, Vector
from verification.oracles.view import FlatArray

_NOTHING = -1  # in place of the coordinate whose gradient one gets
Spots = dict[str, NDArray[np.intp]]

#: The orders that code has: as the variables stand, as JAX and TensorFlow keep the keys of a dict, and from the end on.
_STANDING, _BY_NAME = "as they stand", "by name"
_ORDERS: dict[str, Callable[[Spots], list[str]]] = {
    _STANDING: list,
    _BY_NAME: sorted,
    "in reverse": lambda spots: list(reversed(spots)),
    "by size": lambda spots: sorted(spots, key=lambda chain: spots[chain].size),
}


@dataclass(frozen=True)
class Pairing:
    """The orders of the two lists, and whether the gradients that are None are left out of theirs."""

    variables: str = _STANDING
    gradients: str = _STANDING
    without_none: bool = False

    def __str__(self) -> str:
        if self.variables == self.gradients:
            words = "" if self.variables == _STANDING else self.variables
        else:
            words = f"variables {self.variables}, gradients {self.gradients}"
        return ", ".join(filter(None, ("after None was left out" * self.without_none, words)))

    def pairs(self, spots: Spots, ignored: Collection[str]) -> dict[str, str | None]:
        """Return, for each variable, the one whose gradient it gets, or None where the shorter list has ended."""
        variables, gradients = _ORDERS[self.variables](spots), _ORDERS[self.gradients](spots)
        if self.without_none:
            gradients = [chain for chain in gradients if chain not in ignored]
        return dict.fromkeys(variables) | dict(zip(variables, gradients, strict=False))


#: The likeliest, which stand in the catalogue: with others few built-in problems have an answer that is known.
USUAL_IN_UPDATE = (Pairing(without_none=True),)
USUAL_IN_ANSWER = Pairing(gradients=_BY_NAME), Pairing(without_none=True)


def pairings() -> Iterator[Pairing]:
    """Yield every pairing that is not the right one."""
    for variables, gradients, without_none in product(_ORDERS, _ORDERS, (False, True)):
        if without_none or variables != gradients:
            yield Pairing(variables, gradients, without_none)


@cache
def in_update(pairing: Pairing) -> AnswerFunction:
    """F05: each variable moves by the gradient at its place."""

    def answer(question: Question) -> Outcome:
        spots = _moving(question)
        taking = np.full(question.works[0].theta.size, _NOTHING)
        for chain, other in pairing.pairs(spots, question.problem.ignored_by_inner).items():
            if other is None:
                continue
            try:
                taking[spots[chain]] = spots[other]
            except ValueError:
                # Steps broadcast as NumPy does: what fits into the variable is subtracted from it, and that is known.
                return replace(right(question), is_open=question.problem.inner_grad_steps > 0)
        return moved_by_others(question, taking)

    return answer


def _moving(question: Question) -> Spots:
    """Return the coordinates of the variables that adapt."""
    moving = np.any([work.view.inner_mask for work in question.works], axis=0)
    return {chain: where for chain, where in question.spots().items() if np.any(moving[where])}


@cache
def in_answer(pairing: Pairing) -> Method:
    """F05: each variable is given the gradient at its place."""
    return Method(finish=partial(exchanged, pairing))


def exchanged(pairing: Pairing, found: Outcome, question: Question) -> Outcome:
    """Return an outcome with each gradient at the variable that a pairing gives it to.

    A variable that has no gradient may have got one by another mistake, and is then not None.
    """
    spots = {chain: where for chain, where in question.spots().items() if chain in found.gradients}
    nothing = {chain for chain, leaf in found.gradients.items() if leaf is None or not np.any(leaf)}
    without = nothing.intersection(without_gradient(question))
    known = {None: None} | {chain: None if chain in without else leaf for chain, leaf in found.gradients.items()}
    taken = pairing.pairs(spots, without)
    return replace(found, gradients={chain: known[taken[chain]] for chain in found.gradients})


def without_gradient(question: Question) -> Collection[str]:
    """Return the variables whose gradient is None: second order also has the paths through the inner gradients."""
    problem = question.problem
    if question.order == "reptile":  # the sum of inner gradients
        return problem.ignored_by_inner
    if question.order == 2 and problem.inner_grad_steps:
        return set(problem.ignored_by_outer) & set(problem.ignored_by_inner)
    return problem.ignored_by_outer


def paired_wrongly(question: Question) -> Outcome:
    """F05: each variable moves by the gradient of the next one of its shape."""
    return moved_by_others(question, _in_rings(question, question.spots()))


def adapting_paired_wrongly(question: Question) -> Outcome:
    """F05: the same among the variables that adapt."""
    return moved_by_others(question, _in_rings(question, _moving(question)))


def _in_rings(question: Question, spots: Spots) -> NDArray[np.intp]:
    """Return, for each coordinate, the one whose gradient it gets: equal shapes in a ring."""
    taking = np.arange(question.works[0].theta.size)
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for chain, where in spots.items():
        by_shape.setdefault(where.shape, []).append(chain)
    for ring in by_shape.values():
        for chain, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            taking[spots[chain]] = spots[following]
    return taking


def moved_by_others(question: Question, taking: NDArray[np.intp]) -> Outcome:
    """Return what comes of it where each coordinate moves by another one's gradient, or by none."""
    return each_task(lambda work, question: _permuted(work, question, taking))(question)


@dataclass(frozen=True, kw_only=True)
class Exchanged(Part):
    """d with the gradient of another coordinate in each, or 0 where it has none: what an optimizer is then given."""

    taking: tuple[int, ...]
    is_elementwise: ClassVar[bool] = False

    def direction(self, xp: Any, state: State, g: Vector, phi: Vector, k: int, age: int) -> Vector:  # noqa: ARG002
        """Return the gradient with its entries in the order of the others' places."""
        taking = np.array(self.taking)
        return xp.where(taking != _NOTHING, g[..., taking], 0.0)

    def arriving(self, back: Vector, k: int) -> Vector:  # noqa: ARG002
        """Return what each coordinate's gradient was given to."""
        return _spread(np.array(self.taking), back)


def _spread(taking: NDArray[np.intp], back: FlatArray) -> FlatArray:
    """Return Pᵀ u, where a step moves by P ∇S."""
    found, moves = np.zeros_like(back), taking != _NOTHING
    np.add.at(found, taking[moves], back[moves])
    return found


def _permuted(work: Work, question: Question, taking: NDArray[np.intp]) -> Solved:
    declared, moves = work.view.update, taking != _NOTHING
    if declared is not None:
        exchanged = Exchanged(taking=tuple(taking.tolist()))
        return solve(work.changed(update=InnerUpdate((exchanged, *declared.parts))), question.order)

    def descend(work: Work) -> Points:
        points = [work.theta]
        for _ in range(work.view.steps):
            gradient = work.inner_gradient(points[-1])
            points.append(points[-1] - work.alpha * np.where(moves, gradient[taking], gradient.dtype.type(0)))
        return points

    def pull_back(work: Work, points: Points, u: FlatArray) -> FlatArray:
        for multiply in reversed(work.inner_products(points)):
            u = u - multiply(_spread(taking, work.alpha * u))
        return u

    return solve(work, question.order, descend=descend, pull_back=pull_back)
