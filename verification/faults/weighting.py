"""Section O: sums of losses with other weights, along the inner loop (O08), and of support and query data (O11).

Where no such sum is declared there is nothing to change, and the answer is the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from verification.faults.question import AnswerFunction, Misreading, Question, each_task, misread
from verification.faults.work import Solved, Work, solve


def _with_weights(weights: Callable[[int], list[float]]) -> Misreading:
    """O08: other weights of the outer costs along the inner loop, where some are declared."""
    return misread(lambda work, _: work.changed(weights=weights) if _is_weighted(work) else work)


def _is_weighted(work: Work) -> bool:
    """Return whether weights of several points are declared; those of S and Q are another matter."""
    return work.view.weights is not None and not work.view.support_weight


last_point_alone = _with_weights(lambda steps: [0.0] * steps + [1.0])
uniform_weights = _with_weights(lambda steps: [0.0] + [1 / steps] * steps if steps else [1.0])
summed_weights = _with_weights(lambda steps: [0.0] + [1.0] * steps if steps else [1.0])


def with_points(weights: Callable[[int], Sequence[float]]) -> AnswerFunction:
    """O08: any weights of the outer costs at φ_0, …, φ_K."""
    return _with_weights(lambda steps: list(weights(steps)))


def _changed_weights(change: Callable[[list[float]], list[float]]) -> Misreading:
    def changed(work: Work, _: Question) -> Work:
        weights = work.view.weights
        if weights is None or not _is_weighted(work):
            return work
        return work.changed(weights=lambda steps: change(weights(steps)))

    return misread(changed)


def _earlier(weights: list[float]) -> list[float]:
    """Put the weight of φ_{k+1} on φ_k: the loss is taken before the step, and not after it."""
    return [*weights[1:], 0.0] if len(weights) > 1 else weights


weights_before_steps = _changed_weights(_earlier)
weights_reversed = _changed_weights(lambda weights: [*weights[:1], *weights[:0:-1]])
weights_over_steps = _changed_weights(lambda weights: [weight / max(len(weights) - 1, 1) for weight in weights])


def _with_support(support: float, query: Callable[[float], float]) -> Misreading:
    """Make a misreading with other weights of S(θ) and Q(φ_K), where their sum is declared."""

    def changed(work: Work, _: Question) -> Work:
        weights = work.view.weights
        if weights is None or not work.view.support_weight:
            return work
        return work.changed(
            support_weight=support * work.view.support_weight,
            weights=lambda steps: [query(weight) if weight else 0.0 for weight in weights(steps)],
        )

    return misread(changed)


def with_losses_times(weights: Callable[[int], Sequence[float]]) -> AnswerFunction:
    """O11: the declared weights of S(θ) and Q(φ_K), each times a number."""
    support, query = weights(0)
    return _with_support(support, lambda beta: query * beta)


def _support_at_end(work: Work, question: Question) -> Solved:
    view = work.view
    if not view.support_weight:
        return solve(work, question.order)
    query = solve(work.changed(support_weight=0.0), question.order)
    support = solve(work.changed(support_weight=0.0, weights=None, outer_costs=view.inner_costs), question.order)
    return Solved(
        query.cost + view.support_weight * support.cost,
        query.gradient + view.support_weight * support.gradient,
        query.adapted,
    )


#: O11: S(φ_K) for S(θ).
support_at_end = each_task(_support_at_end)
without_support = _with_support(0.0, lambda beta: beta)
without_query = _with_support(1.0, lambda _: 0.0)
without_beta = _with_support(1.0, lambda _: 1.0)
mean_of_both = _with_support(0.5, lambda beta: beta / 2)
