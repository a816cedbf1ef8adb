"""The implicit gradient of iMAML, wrongly taken: g = (I + H/λ)⁻¹ ∇Q(φ_K), H = ∇²S(φ_K)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from verification.faults.algorithms import changing
from verification.faults.question import AnswerFunction, Question, each_task
from verification.faults.work import Points, Solved, Work, descend, implicitly, solve
from verification.oracles.updates import Part, Proximal
from verification.oracles.view import FlatArray


def _gradient(of: Callable[[Work, Points, float], FlatArray]) -> AnswerFunction:
    """Make an answer with another gradient than the implicit one, from the points of the inner loop and λ."""

    def one_task(work: Work, question: Question) -> Solved:
        right = solve(work, question.order)
        if work.view.implicit is None or question.order != 2:
            return right
        return replace(right, gradient=of(work, descend(work), work.view.implicit.strength) * work.view.outer_mask)

    return each_task(one_task)


def _with_strength(work: Work, strength: float) -> Work:
    assert work.view.implicit is not None
    return work.changed(implicit=replace(work.view.implicit, strength=strength))


def _hessian_elsewhere(work: Work, points: Points, start: FlatArray) -> FlatArray:
    """Solve with ∇Q(φ_K), and the Hessian at another point."""
    assert work.view.implicit is not None
    (product,) = work.inner_products([start])
    return work.view.implicit.by_conjugate_gradients(product, work.full_outer_gradient(points[-1]))


def _hessian_of_query(work: Work, points: Points, _: float) -> FlatArray:
    assert work.view.implicit is not None
    (product,) = work.changed(inner_costs=work.view.inner_costs_on_query).inner_products(points[-1:])
    return work.view.implicit.by_conjugate_gradients(product, work.full_outer_gradient(points[-1]))


def _through_the_loop(work: Work, points: Points, strength: float) -> FlatArray:
    """Differentiate the steps φ_{k+1} = φ_k − α(∇S(φ_k) + λ(φ_k − θ)): u ← u − α(H_k + λ)u, and αλu goes to θ."""
    u = work.full_outer_gradient(points[-1])
    kept = 0 * u
    for product in reversed(work.inner_products(points[:-1])):
        moved = work.alpha * u
        kept = kept + strength * moved
        u = u - product(moved) - strength * moved
    return kept + u


def _pulled(times: float) -> Callable[[Part], tuple[Part, ...]]:
    def change(part: Part) -> tuple[Part, ...]:
        return (replace(part, strength=times * part.strength),) if isinstance(part, Proximal) else (part,)

    return change


without_strength = _gradient(lambda work, points, _: implicitly(_with_strength(work, 1.0), points[-1]))
strength_for_inverse = _gradient(lambda work, points, s: implicitly(_with_strength(work, 1 / s), points[-1]))
other_sign = _gradient(lambda work, points, s: implicitly(_with_strength(work, -s), points[-1]))
not_times_strength = _gradient(lambda work, points, s: implicitly(work, points[-1]) / s)
at_start = _gradient(lambda work, points, _: implicitly(work, points[0]))
hessian_at_start = _gradient(lambda work, points, _: _hessian_elsewhere(work, points, points[0]))
hessian_of_query = _gradient(_hessian_of_query)
through_the_loop = _gradient(_through_the_loop)
twice_the_pull = changing(_pulled(2.0))
half_the_pull = changing(_pulled(0.5))
