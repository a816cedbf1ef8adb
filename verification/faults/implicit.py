"""The implicit gradient of iMAML, wrongly taken: g = (I + H/λ)⁻¹ ∇Q(φ_K), H = ∇²S(φ_K)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from verification.faults.algorithms import changing
from verification.faults.question import AnswerFunction, Question, each_task
from verification.faults.work import Points, Solved, Work, descend, implicitly, solve
from verification.oracles.implicit import Implicit
from verification.oracles.updates import Part, Proximal
from verification.oracles.view import Costs, FlatArray


def _gradient(of: Callable[[Work, Points, Implicit], FlatArray]) -> AnswerFunction:
    """Make an answer with another gradient, from the points of the inner loop and what is declared."""

    def one_task(work: Work, question: Question) -> Solved:
        right, declared = solve(work, question.order), work.view.implicit
        if declared is None or question.order != 2:
            return right
        return replace(right, gradient=of(work, descend(work), declared) * work.view.outer_mask)

    return each_task(one_task)


def _with_strength(strength: Callable[[float], float]) -> AnswerFunction:
    """Solve with another strength than λ."""

    def gradient(work: Work, points: Points, declared: Implicit) -> FlatArray:
        return implicitly(work, replace(declared, strength=strength(declared.strength)), points[-1])

    return _gradient(gradient)


def with_steps(count: int) -> AnswerFunction:
    """O14: fewer steps of conjugate gradients than are declared, or than the solution takes."""

    def gradient(work: Work, points: Points, declared: Implicit) -> FlatArray:
        steps = min(count, declared.cg_steps or count)
        return implicitly(work, replace(declared, cg_steps=steps), points[-1])

    return _gradient(gradient)


def _with_hessian_of(costs: Callable[[Work], Costs]) -> AnswerFunction:
    """O14: the Hessian of other costs."""

    def gradient(work: Work, points: Points, declared: Implicit) -> FlatArray:
        (product,) = work.changed(inner_costs=costs(work)).inner_products(points[-1:])
        return declared.by_conjugate_gradients(product, work.full_outer_gradient(points[-1]))

    return _gradient(gradient)


def _through_the_loop(work: Work, points: Points, declared: Implicit) -> FlatArray:
    """Differentiate the steps φ_{k+1} = φ_k − α(∇S(φ_k) + λ(φ_k − θ)): u ← u − α(H_k + λ)u, and αλu goes to θ."""
    u = work.full_outer_gradient(points[-1])
    kept = 0 * u
    for product in reversed(work.inner_products(points[:-1])):
        moved = work.alpha * u
        kept = kept + declared.strength * moved
        u = u - product(moved) - declared.strength * moved
    return kept + u


def _first_term(work: Work, points: Points, declared: Implicit) -> FlatArray:
    u = work.full_outer_gradient(points[-1])
    return u - work.inner_product(points[-1], u) / declared.strength


def _pulled(times: float) -> Callable[[Part], tuple[Part, ...]]:
    def change(part: Part) -> tuple[Part, ...]:
        return (replace(part, strength=times * part.strength),) if isinstance(part, Proximal) else (part,)

    return change


without_strength = _with_strength(lambda _: 1.0)
strength_for_inverse = _with_strength(lambda strength: 1 / strength)
other_sign = _with_strength(lambda strength: -strength)
not_times_strength = _gradient(
    lambda work, points, declared: implicitly(work, declared, points[-1]) / declared.strength
)
#: (2I + H/λ)⁻¹ is ½ (I + H/2λ)⁻¹, whose conjugate gradients take the same steps.
with_bent_pull = _gradient(
    lambda work, points, declared: implicitly(work, replace(declared, strength=2 * declared.strength), points[-1]) / 2
)
strength_ahead = _with_strength(lambda strength: strength + 1)
times_strength = _gradient(lambda work, points, declared: implicitly(work, declared, points[-1]) * declared.strength)
first_term = _gradient(_first_term)
at_start = _gradient(lambda work, points, declared: implicitly(work, declared, points[0]))
hessian_at_start = _gradient(lambda work, points, declared: implicitly(work, declared, points[-1], bent_at=points[0]))
hessian_of_query = _with_hessian_of(lambda work: work.view.inner_costs_on_query)
hessian_of_outer_cost = _with_hessian_of(lambda work: work.view.outer_costs)
through_the_loop = _gradient(_through_the_loop)
without_pull = changing(lambda part: () if isinstance(part, Proximal) else (part,))
twice_the_pull = changing(_pulled(2.0))
half_the_pull = changing(_pulled(0.5))
