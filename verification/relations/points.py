"""Relations about the inner loop: where it starts, where it ends, and what its end is for the outer gradient.

With step(θ, K) the answer for initial variables θ and K inner steps, and φ_k the variables after k of them. Finn,
Abbeel and Levine (2017), algorithm 1; Nichol, Achiam and Schulman (2018), section 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verification.judging.tolerances import FACTOR
from verification.problems.trees import Tree, leaves, map_leaves
from verification.relations.answer import Arrays, StepAnswer, dot, mean, norm
from verification.relations.bounds import Moves, compare, judged, sensitivity
from verification.relations.case import Case, NotTested, StepError
from verification.relations.costs import Cost, altered, in_place_of, three_parameters
from verification.relations.differences import derivative
from verification.relations.result import Result
from verification.relations.selections import adapted_chains


def no_steps(case: Case) -> Result:
    """K = 0: step(θ, 0) depends neither on α nor on the inner cost.

    φ_0 = θ, so that S and α enter nowhere. It breaks where an inner step is taken or an inner gradient added anyway.
    """
    still = case.but(steps=0)
    other = still.but(
        rate=case.scaled_rate(3.0),
        inner_cost=altered(case.inner_cost, lambda value, _: -2.0 * value),
        outer_cost=case.query_cost,
    )
    equation = "K = 0 with another α and another inner cost"
    wrong = case.but(steps=max(case.steps, 1)).answer
    return compare("no_steps", case, other.answer, still.answer, wrong, equation, moves=sensitivity(still))


def no_steps_gradient(case: Case) -> Result:
    """K = 0: the gradient is the plain gradient of the mean outer cost, v · step(θ, 0) = d/dε mean_t Q_t(θ + ε v).

    The derivative is taken by differences of the user's own cost function along random v, with an estimate of its
    error; the step has no part in it. It breaks on sums for means, missing tasks, exchanged data, exchanged selections,
    gradients that did not arrive, lost axes.
    """
    case.forbid("outer_v")
    if three_parameters(case.query_cost):
        raise NotTested("a cost of three parameters takes what the step selects, and cannot be called from outside")
    still = case.but(steps=0)
    gradient, moves = still.answer.gradients, sensitivity(still)
    _require_all(case, gradient)
    noise = case.unit_roundoff * max(abs(still.answer.cost), moves["cost"])
    lines = []
    for v in case.directions(3):
        slope, error = derivative(lambda e, v=v: outer_cost(still.moved(v, e)), noise)  # type: ignore[misc]
        bound = 4 * error + FACTOR * case.unit_roundoff * reach(v, gradient, moves)
        lines.append((abs(dot(gradient, v) - float(slope)), bound, abs(float(slope))))
    return _worst_line("no_steps_gradient", case, lines, "K = 0: the gradient against differences of the outer cost")


def reach(v: Arrays, gradient: Arrays, moves: Moves) -> float:
    """Return how far v · g moves per unit of relative change: Σ ‖v‖ max(‖g‖, s) over the leaves."""
    parts = [norm({c: v[c]}) * max(norm({c: g}), moves[f"gradients, {c}"]) for c, g in gradient.items()]
    return float(sum(parts))


def _require_all(case: Case, gradient: Arrays) -> None:
    missing = [chain for chain in case.theta if chain not in gradient]
    if missing:
        raise StepError(f"expected a gradient for every variable, but {', '.join(missing)} has none")


def _worst_line(name: str, case: Case, lines: list[tuple[float, float, float]], equation: str) -> Result:
    """Judge the (error, bound, effect) that is worst; all are absolute numbers."""
    error, bound, effect = max(lines, key=lambda line: np.inf if np.isnan(line[0]) else line[0] / (line[1] or 1e-300))
    unit = case.unit_roundoff * (effect or 1.0)
    apart = max(distance / (limit or 1e-300) for _, limit, distance in lines)
    return judged(name, error / unit, bound / unit, apart, equation)


def outer_cost(case: Case) -> float:
    """Return mean_t Q_t(θ), from the cost function itself."""
    batch, variables, _ = case.native()
    rows = [slice(None)] if case.batched else [slice(t, t + 1) for t in range(case.tasks)]
    batch_fn = case.options.get("outer_batch_fn") or _same
    with case.precision():
        parts = [batch_fn(_cut(batch, row)) for row in rows]
        values = [case.framework.to_numpy(case.query_cost(part, variables)) for part in parts]
    return float(np.mean([np.reshape(value, ()) for value in values]))


def _cut(batch: Tree, rows: slice) -> Tree:
    return map_leaves(lambda leaf: leaf[rows], batch)


def _same(batch: Tree) -> Tree:
    return batch


def zero_rate(case: Case) -> Result:
    """α = 0: step(θ, K) at α = 0 is step(θ, 0); first and second order agree there.

    It breaks where something other than −α∇S moves the inner loop (weight decay), where inner gradients are added to
    the outer one, and where an average over points is divided by the wrong count.
    """
    case.forbid("inner_optimization_step")
    if case.steps == 0:
        raise NotTested("K = 0")
    halted, still = case.but(rate=case.scaled_rate(0.0)), case.but(steps=0)
    moves = sensitivity(still)
    return compare("zero_rate", case, halted.answer, still.answer, case.answer, "α = 0 against K = 0", moves=moves)


def composition(case: Case) -> Result:
    """K1 steps and then K2: step(θ, K1 + K2) = step(φ_{K1}, K2), task by task.

    In first order that holds for cost, gradients and adapted variables, in second order for all but the gradients,
    which Jacobians of the first K1 steps multiply. K2 = 0 is among the splits: the gradient is ∇Q at the point that the
    step itself reports as adapted.
    """
    case.forbid("average_across_steps", "inner_optimization_step")
    case.require("return_inner_v")
    if case.steps == 0:
        raise NotTested("K = 0")
    whole = _without_gradients(case.answer) if case.order == 2 else case.answer
    results = []
    for first in sorted({1, (case.steps + 1) // 2, case.steps}):
        answer = mean([continued(single, first) for single in separately(case)])
        answer = _without_gradients(answer) if case.order == 2 else answer
        wrong = None if case.order == 2 else case.but(steps=case.steps - 1).answer
        equation = f"{first} + {case.steps - first} inner steps against {case.steps}"
        results.append(compare("composition", case, whole, answer, wrong, equation, moves=sensitivity(case)))
    return worst_of(results)


def separately(case: Case) -> list[Case]:
    """Return a case for each start: one in batched mode, one for each task in loop mode."""
    return [case] if case.batched else [case.task(t) for t in range(case.tasks)]


def continued(case: Case, first: int) -> StepAnswer:
    """Return step(φ_first, K − first)."""
    phi = case.but(steps=first).answer.adapted
    if phi is None:
        raise StepError("expected the adapted variables as a third result with return_inner_v=True, but got two")
    return case.but(steps=case.steps - first).starting_at(phi).answer


def _without_gradients(answer: StepAnswer) -> StepAnswer:
    return StepAnswer(answer.cost, {}, answer.adapted)


def worst_of(results: list[Result]) -> Result:
    """Return the first that failed, or else the first that is inconclusive, or else the one nearest its bound."""
    for verdict in ("fail", "inconclusive"):
        for result in results:
            if result.verdict == verdict:
                return result
    return max(results, key=lambda result: result.error / (result.bound or 1.0))


def linear_inner_cost(case: Case) -> Result:
    """For S(v) = c · v: step(θ, K) = step(θ − K α c, 0), in first and in second order.

    A linear inner cost has a constant gradient and no Hessian, so that φ_k = θ − k α c and ∂φ_K/∂θ is the identity:
    both orders are ∇Q(θ − K α c). With averaging, the mean over k. It breaks on a wrong number of steps, a wrong α, a
    wrong sign, and an outer gradient that is taken elsewhere.
    """
    case.forbid("inner_optimization_step")
    steps = max(case.steps, 1)
    moving = adapted_chains(case)
    if not case.rate_size:
        raise NotTested("α = 0")
    slope = _slope(case, moving, steps)
    linear = case.but(steps=steps, inner_cost=_linear(case, slope), outer_cost=case.query_cost)
    points = [linear.but(steps=0, variables=_displaced(case, slope, k)) for k in range(steps + 1)]
    used = points if case.options.get("average_across_steps") else points[-1:]
    expected = mean([point.answer for point in used])
    expected = StepAnswer(expected.cost, expected.gradients, points[-1].answer.adapted)
    equation = f"a linear inner cost: {steps} steps against the point where they end"
    moves = sensitivity(points[-1])
    wrong = points[-2].answer
    return compare("linear_inner_cost", case, linear.answer, expected, wrong, equation, moves=moves)


def _slope(case: Case, moving: list[str], steps: int) -> Arrays:
    """Return c: large enough to move each entry by a quarter of itself over all steps."""
    rng = np.random.default_rng(31)
    slope = {}
    for chain, leaf in case.theta.items():
        typical = float(np.sqrt(np.mean(np.square(leaf.astype(np.float64))))) or 1.0 if leaf.size else 1.0
        size = np.where(leaf == 0, typical, np.abs(leaf)) * rng.choice([-0.25, 0.25], leaf.shape)
        slope[chain] = (size / (steps * case.rate_size) * (chain in moving)).astype(leaf.dtype)
    return slope


def _linear(case: Case, slope: Arrays) -> Cost:
    """Return the cost c · v, the mean over rows in batched mode."""
    xp = case.framework.xp
    constants = {chain: case.framework.array(leaf / case.rows) for chain, leaf in slope.items()}

    def value(v: Tree) -> Any:
        given = {chain: leaf for chain, leaf in leaves(v).items() if leaf is not None}
        return sum(xp.sum(constants[chain] * leaf) for chain, leaf in given.items())

    return in_place_of(case.inner_cost, value)


def _displaced(case: Case, slope: Arrays, k: int) -> Tree:
    moved = case.theta
    for _ in range(k):
        moved = {c: leaf - np.asarray(case.rate_of(c), leaf.dtype) * slope[c] for c, leaf in moved.items()}
    return case.nested(moved)
