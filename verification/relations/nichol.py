"""The two coefficients of Nichol, Achiam and Schulman (2018), section 5, for any step.

Draw two minibatches independently from a finite set, adapt on one with K = 1, and take the outer gradient on the other.
In their notation AvgGrad is the expected gradient at θ, and AvgGradInner = E[H̄_2 ḡ_1] the expected product of one
minibatch's Hessian with another's gradient, whose direction increases the inner product of gradients. To order α²,

    E[g_MAML] = AvgGrad − 2 α AvgGradInner,        E[g_FOMAML] = AvgGrad − α AvgGradInner.

The expectation is a sum here: all n² pairs, as the tasks of one call. With ḡ and H̄ the mean gradient and Hessian over
the minibatches, AvgGrad = ḡ and AvgGradInner = H̄ ḡ; both come from differences of the cost function alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from verification.frameworks import framework as framework_named
from verification.oracles.finite_differences import extrapolated_gradient
from verification.problems.trees import Tree, map_leaves
from verification.relations.answer import Array, Arrays
from verification.relations.case import Case, make_case
from verification.relations.differences import derivative
from verification.relations.points import outer_cost
from verification.verdicts import Verdict

_RATE = 2.0**-4  # times 1/‖H‖: where the expansion starts
_HALVINGS = 5
_TOLERANCE = 0.02  # of a coefficient: far below 1, the distance from one order to the other
_CAUTION = 4.0


@dataclass(frozen=True)
class Coefficients:
    """The c and b of E[g] = c · AvgGrad − b · α AvgGradInner + O(α²), with an estimate of the error of each.

    `residual` is what is left of the first-order term beside AvgGradInner, relative to it: 0 where the expansion holds.
    """

    avg_grad: float
    avg_grad_inner: float
    errors: tuple[float, float]
    residual: float

    def verdict(self, order: int) -> Verdict:
        """Return whether they are 1 and 1 (order 1: FOMAML), or 1 and 2 (order 2: MAML)."""
        if order not in (1, 2):
            raise ValueError(f"order: expected 1 or 2, but got {order!r}.")
        off = (abs(self.avg_grad - 1), abs(self.avg_grad_inner - order), self.residual)
        doubts = (*self.errors, self.errors[1])
        if not all(number <= _TOLERANCE + doubt for number, doubt in zip(off, doubts, strict=True)):
            return "fail"
        return "pass" if max(self.errors) < 0.25 else "inconclusive"


def expansion_coefficients(
    step: Callable[..., Any],
    minibatches: Tree,
    cost: Callable[..., Any],
    variables: Tree,
    *,
    framework: str = "autograd",
    **options: Any,
) -> Coefficients:
    """Fit both coefficients of a step's expected gradient, by enumeration of all pairs of minibatches.

    Args:
        step: an implementation with the interface of `refmaml.fomaml_step`, called in loop mode.
        minibatches: container of arrays; the leading axis counts the minibatches.
        cost: cost(batch, v) of one minibatch, with a leading axis of length 1.
        variables: θ, a container of float arrays, in double precision.
        framework: the arrays that the step works on.
        options: more keywords for the step.
    """
    one_way = _Pairs(step, minibatches, cost, variables, framework, options)
    mean, curved, doubt = one_way.expected()
    start = one_way.answer(0.0)
    size = float(np.linalg.norm(mean))
    rate = _RATE * size / (float(np.linalg.norm(curved)) or size)
    slopes = [(start - one_way.answer(rate * 0.5**k)) / (rate * 0.5**k) for k in range(_HALVINGS)]
    slope, error = _at_zero(slopes)
    length = float(np.linalg.norm(curved))
    inner = float(slope @ curved) / length**2
    return Coefficients(
        avg_grad=float(start @ mean) / size**2,
        avg_grad_inner=inner,
        errors=(_CAUTION * doubt / size, _CAUTION * (error + abs(inner) * doubt) / length),
        residual=float(np.linalg.norm(slope - inner * curved)) / length,
    )


def _at_zero(values: list[Array]) -> tuple[Array, float]:
    """Extrapolate values at halved rates to rate 0 (Richardson), with the last correction for an error."""
    column = values
    for m in range(1, len(values)):
        factor = 2.0**m
        column, coarser = [(factor * b - a) / (factor - 1) for a, b in pairwise(column)], column
    return column[0], float(np.linalg.norm(column[0] - coarser[-1]))


class _Pairs:
    """All pairs of minibatches as tasks: the first is the support set, the second the query set."""

    def __init__(
        self,
        step: Callable[..., Any],
        minibatches: Tree,
        cost: Callable[..., Any],
        variables: Tree,
        framework: str,
        options: dict[str, Any],
    ) -> None:
        native = framework_named(framework)
        data = map_leaves(lambda leaf: np.array(native.to_numpy(leaf)), minibatches)
        single = make_case(step, native, data, cost, cost, variables, 0, 0.0, batched=False, **options)
        first, second = (number.ravel() for number in np.indices((single.tasks, single.tasks)))
        pairs = {name: map_leaves(lambda leaf, i=index: leaf[i], data)  # type: ignore[misc]
                 for name, index in (("support", first), ("query", second))}  # fmt: skip
        self.minibatches: Case = single
        self.pairs = single.but(
            batch=pairs,
            steps=1,
            inner_cost=lambda batch, v: cost(batch["support"], v),
            outer_cost=lambda batch, v: cost(batch["query"], v),
        )

    def answer(self, rate: float) -> Array:
        """Return E[g] at a learning rate, as a vector."""
        return self._flat(self.pairs.but(rate=rate).answer.gradients)

    def expected(self) -> tuple[Array, Array, float]:
        """Return AvgGrad and AvgGradInner with an error for both, by differences of the mean cost."""
        point = self._flat(self.minibatches.theta)
        mean, error = extrapolated_gradient(self._costs, point)
        size = float(np.linalg.norm(mean))
        direction = mean / size

        def gradient(e: float) -> Array:
            return extrapolated_gradient(self._costs, point + e * direction)[0]

        curved, doubt = derivative(gradient, float(np.linalg.norm(error)))
        return mean, curved * size, max(float(np.linalg.norm(error)), doubt * size)

    def _costs(self, points: Array) -> Array:
        return np.array([outer_cost(self.minibatches.but(variables=self._nested(point))) for point in points])

    def _flat(self, arrays: Arrays) -> Array:
        return np.concatenate([np.ravel(arrays[chain]).astype(np.float64) for chain in self.minibatches.theta])

    def _nested(self, vector: Array) -> Tree:
        theta = self.minibatches.theta
        ends = np.cumsum([leaf.size for leaf in theta.values()])
        parts = np.split(vector, ends[:-1])
        return self.minibatches.nested({c: p.reshape(theta[c].shape) for c, p in zip(theta, parts, strict=True)})
