"""Relations about the Hessian of the inner cost: a first-order step does not see it, a second-order step has to.

With H the Hessian of S and one inner step, gM = (I − αH(θ)) ∇Q(φ_1) and gF = ∇Q(φ_1), so that gM − gF = −αH∇Q(φ_1)
(Finn, Abbeel and Levine, 2017, section 5.2; Nichol, Achiam and Schulman, 2018, section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from verification.judging.tolerances import FACTOR
from verification.problems.trees import Tree, leaves
from verification.relations.answer import Array, Arrays, StepAnswer, dot, mean, norm
from verification.relations.bounds import Moves, compare, judged, sensitivity
from verification.relations.case import Case, NotTested, StepError
from verification.relations.costs import Cost, altered
from verification.relations.differences import derivative
from verification.relations.points import reach, separately
from verification.relations.result import Result
from verification.relations.selections import adapted_chains
from verification.relations.taylor import OrderFit, order_in_alpha

#: The answer at θ + ε v.
Line = Callable[[float], StepAnswer]
_CAUTION = 4.0  # an error estimate of differences is one of its size, and no bound


def hessian_blindness(case: Case) -> Result:
    """S plus ½ (θ − θ_0)ᵀ B (θ − θ_0), at θ = θ_0 and K = 1: gF stays, and gM shifts by −α B ∇Q(φ_1).

    The added term has no gradient at θ_0, only the Hessian B, so that φ_1 stays where it is and cost and adapted
    variables with it. B is diagonal, with entries of either sign of about 1/α. For second order ∇Q(φ_1) is the step's
    own answer at φ_1 for K = 0, task by task. It breaks on second order under the name of first, and the reverse.
    """
    one = case.but(steps=1)
    moving = adapted_chains(one)
    if not case.rate_size:
        raise NotTested("α = 0")
    if not any(chain in one.answer.gradients for chain in moving):
        raise NotTested("no variable is in both inner_v and outer_v")
    bend = _bend(case, moving)
    bent = one.but(inner_cost=_bent(one, bend), outer_cost=one.query_cost)
    shifted = _shifted(one, bend, known=case.order == 2)
    expected, wrong = (shifted, one.answer) if case.order == 2 else (one.answer, shifted)
    second_order = "a curved term in the inner cost shifts second order by −αB∇Q"
    equation = second_order if case.order == 2 else "a curved term in the inner cost leaves first order alone"
    return compare("hessian_blindness", case, bent.answer, expected, wrong, equation, moves=sensitivity(one))


def _bend(case: Case, moving: list[str]) -> Arrays:
    """Return the diagonal of B by key chain, rows alike in batched mode."""
    rng = np.random.default_rng(37)
    bend = {}
    for chain, leaf in case.theta.items():
        shape = leaf.shape[1:] if case.batched else leaf.shape
        drawn = rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape) * (chain in moving) / case.rate_size
        bend[chain] = drawn.astype(leaf.dtype)
    return bend


def _bent(case: Case, bend: Arrays) -> Cost:
    xp, make = case.framework.xp, case.framework.array
    halves = {c: make(np.broadcast_to(b / (2 * case.rows), case.theta[c].shape)) for c, b in bend.items()}
    start = {c: make(leaf) for c, leaf in case.theta.items()}

    def change(value: Any, v: Tree) -> Any:
        given = {c: leaf for c, leaf in leaves(v).items() if leaf is not None}
        return value + sum(xp.sum(halves[c] * (leaf - start[c]) ** 2) for c, leaf in given.items())

    return altered(case.inner_cost, change)


def _shifted(one: Case, bend: Arrays, *, known: bool) -> StepAnswer:
    """Return the answer shifted by −α B ∇Q(φ_1); without φ_1 a first-order gradient is ∇Q(φ_1) itself."""
    share = 0.5 if one.options.get("average_across_steps") else 1.0
    at_end = (
        mean([outer_gradient_at_end(single) for single in separately(one)]).gradients if known else one.answer.gradients
    )
    shift = {c: share * one.rate_of(c) * bend[c] * g for c, g in at_end.items()}
    return StepAnswer(one.answer.cost, {c: g - shift[c] for c, g in one.answer.gradients.items()}, one.answer.adapted)


def outer_gradient_at_end(case: Case) -> StepAnswer:
    """Return step(φ_K, 0), whose gradient is ∇Q(φ_K) in either order; of one task, or of all in batched mode."""
    case.require("return_inner_v")
    return case.but(steps=0).starting_at(_adapted(case.answer)).answer


def one_step_gap(case: Case) -> Result:
    """K = 1: gM − gF = −αH∇Q(φ_1), along random directions v.

    φ_1 = θ − α∇S(θ), so that −αHv is dφ_1/dv − v, by differences of the adapted variables that the step returns. A
    first-order step gives gF, and v · gM is the derivative of its own cost by differences; a second-order one gives
    gM, and gF is its answer at φ_1 for K = 0. It breaks where cost, gradient and adapted variables do not belong
    together.
    """
    return chain_rule(case.but(steps=1), "one_step_gap", "K = 1: gM − gF against −αH∇Q")


def all_steps_gap(case: Case) -> Result:
    """Any K: v · (gM − gF) = mean_t (dφ_K/dv − v) · ∇Q_t(φ_K), the chain rule through the whole inner loop.

    It is `one_step_gap` without the restriction to K = 1, and breaks on Jacobians of the inner loop that are left out.
    """
    if case.steps < 2:
        raise NotTested("K is less than 2, where it is the relation for K = 1")
    return chain_rule(case, "all_steps_gap", f"K = {case.steps}: gM − gF against (dφ_K/dθ − I)ᵀ∇Q")


def chain_rule(case: Case, name: str, equation: str) -> Result:
    """Judge v · gM = mean_t (dφ_K/dv) · ∇Q_t(φ_K) along a random direction v."""
    case.forbid("inner_v", "outer_v", "average_across_steps")
    case.require("return_inner_v")
    v = case.directions(1)[0]
    along = cache(lambda e: case.moved(v, e).answer)
    moves = sensitivity(case)
    if case.order == 2:
        total, error = dot(v, case.answer.gradients), _rounding(case, v, case.answer.gradients, moves)
    else:
        total, error = _cost_slope(case, along, moves)
    rows = [outer_gradient_at_end(single) if case.order == 2 else single.answer for single in _each_task(case)]
    parts = [_pushed(case, along, t, row.gradients, moves) for t, row in enumerate(rows)]
    chained = float(np.mean([slope for slope, _ in parts]))
    bound = error + float(
        np.mean([doubt + _rounding(case, v, rows[t].gradients, moves) for t, (_, doubt) in enumerate(parts)])
    )
    plain = float(np.mean([dot(v, row.gradients) for row in rows]))
    unit = case.unit_roundoff * (abs(total) or 1.0)
    apart = abs(chained - plain) / (bound or 1e-300)
    return judged(name, abs(total - chained) / unit, bound / unit, apart, equation)


def _each_task(case: Case) -> list[Case]:
    return [case.task(t) for t in range(case.tasks)]


def _cost_slope(case: Case, along: Line, moves: Moves) -> tuple[float, float]:
    """Return v · gM, by differences of the cost that the step returns, and a bound on its error."""
    noise = case.unit_roundoff * max(abs(case.answer.cost), moves["cost"])
    slope, error = derivative(lambda e: along(e).cost, noise)
    return float(slope), _CAUTION * error


def _pushed(case: Case, along: Line, t: int, gradient: Arrays, moves: Moves) -> tuple[float, float]:
    """Return (dφ_K/dv) · ∇Q(φ_K) of task t, and a bound on the error of the differences."""
    chains = list(gradient)
    _adapted(case.answer)  # which must be there, for its error to be known

    def end(e: float) -> Array:
        return np.concatenate([np.ravel(_adapted(along(e))[c][t]) for c in chains])

    noise = case.unit_roundoff * norm({c: np.asarray(moves[f"adapted, {c}"]) for c in chains})
    push, error = derivative(end, noise)
    flat = np.concatenate([np.ravel(gradient[c]).astype(np.float64) for c in chains])
    return float(push @ flat), _CAUTION * error * float(np.linalg.norm(flat))


def _adapted(answer: StepAnswer) -> Arrays:
    if answer.adapted is None:
        raise StepError("expected the adapted variables as a third result with return_inner_v=True, but got two")
    return answer.adapted


def _rounding(case: Case, v: Arrays, gradient: Arrays, moves: Moves) -> float:
    return FACTOR * case.unit_roundoff * reach(v, gradient, moves)


def gap_order(case: Case) -> Result:
    """‖gM − gF‖/α tends to a constant as α → 0: the gap has order 1 in α.

    For a second-order step the gap is taken whole, with gF its answer at φ_K for K = 0; for a first-order step along
    its gradient v, with v · gM the derivative of its cost. An order of 0 says that the outer loop is wrong; 2, that
    the first power is missing. It breaks on a gradient that is not ∇Q at α = 0.
    """
    case.forbid("inner_v", "outer_v", "average_across_steps")
    if case.steps == 0 or not case.rate_size:
        raise NotTested("K = 0 or α = 0")
    moves, factors = sensitivity(case), [2.0**-j for j in range(4, 9)]
    weaker = [case.but(rate=case.scaled_rate(factor)) for factor in factors]
    if case.order == 2:
        pairs = [_whole_gap(single, moves) for single in weaker]
    else:
        v = _along_gradient(case)
        pairs = [_gap_along(single, v, moves) for single in weaker]
    fit = order_in_alpha([case.rate_size * f for f in factors], [g for g, _ in pairs], [n for _, n in pairs])
    return _judged_order(fit)


def _along_gradient(case: Case) -> Arrays:
    """Return the step's own gradient with the length of θ: ∇Qᵀ H ∇Q is least likely to vanish."""
    gradient = case.answer.gradients
    size, length = norm(gradient), norm(case.directions(1)[0])
    if not size:
        raise NotTested("the gradient is zero")
    return {c: np.asarray(g, np.float64) * (length / size) for c, g in gradient.items()}


def _whole_gap(case: Case, moves: Moves) -> tuple[float, float]:
    plain = mean([outer_gradient_at_end(single) for single in separately(case)]).gradients
    gap = norm({c: g - plain[c] for c, g in case.answer.gradients.items()})
    return gap, case.unit_roundoff * norm({c: np.asarray(moves[f"gradients, {c}"]) for c in plain})


def _gap_along(case: Case, v: Arrays, moves: Moves) -> tuple[float, float]:
    slope, error = _cost_slope(case, lambda e: case.moved(v, e).answer, moves)
    return abs(slope - dot(v, case.answer.gradients)), error


def _judged_order(fit: OrderFit) -> Result:
    error = abs(fit.order - 1)
    said = f"the gap between the orders grows like α^{fit.order:.3g}"
    if not fit.window or fit.verdict == "inconclusive":
        sentence = "the gap between the orders does not rise clear of the noise."
        verdict = fit.verdict if fit.verdict == "fail" else "inconclusive"
        return Result(
            "gap_order", verdict, np.nan, np.nan, sentence if verdict != "fail" else "an answer is not finite."
        )
    settled = error <= 0.2 + fit.error
    return Result("gap_order", "pass" if settled else "fail", error, 0.2 + fit.error, f"{said}, where α^1 is right.")
