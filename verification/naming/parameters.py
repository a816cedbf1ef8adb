"""Answers that are no gradients but parameters, and gradients that a multiple of the parameters was added to.

Both are a·θ + b·g with the right gradient g: (1, −β) is θ after an outer step, and (1, −α) in Reptile the mean of the
adapted points; (λ, 1) is the gradient of the cost with ½λ‖θ‖² added to it. Two numbers are fitted to one answer by
least squares, and have to hold on all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from verification.faults import Outcome
from verification.naming.evidence import Evidence, Observation
from verification.naming.rules import decimal, short_numbers
from verification.naming.vectors import first_wrong, least_squares, returned, vector
from verification.naming.wording import Diagnosis, without_a_name
from verification.orders import Order
from verification.problems.problem import Problem
from verification.problems.trees import leaves

_NEAR = 1e-6  # of a fitted number that has to be 1: far above rounding, and no step or decay is so small


@dataclass(frozen=True)
class _Reading:
    """What the answers may be: a·θ + b·g, b times α where it `is_of_rate`; and what is said of them."""

    a: float
    b: float
    is_of_rate: bool
    said: Diagnosis

    def gives(self, evidence: Evidence, one: Observation) -> bool:
        """Return whether this is what an answer is."""
        rate = one.problem.inner_learning_rate
        if self.is_of_rate and not np.isscalar(rate):
            return False
        expected = _combined(evidence, one, self.a, self.b * (float(rate) if self.is_of_rate else 1.0))
        return expected is not None and evidence.matches(one, expected)


def of_parameters(evidence: Evidence, order: Order) -> Diagnosis | None:
    """Return what is said of parameters in place of gradients, or beside them; None where the answers are neither."""
    first = first_wrong(evidence)
    if first is None or not all(isinstance(one.problem, Problem) for one in evidence.deciding):
        return None
    got, parts = returned(first), (_combined(evidence, first, 1.0, 0.0), _combined(evidence, first, 0.0, 1.0))
    if got is None or parts[0] is None or parts[1] is None or vector(parts[0]).size != got.size:
        return None
    found = least_squares(np.stack([vector(part) for part in parts if part], axis=1), got)
    if found is None:
        return None
    a, b = found[0]
    readings = _readings(order, float(a), float(b), first.problem.inner_learning_rate)
    return next(
        (one.said for one in readings if all(one.gives(evidence, answer) for answer in evidence.deciding)), None
    )


def _readings(order: Order, a: float, b: float, rate: object) -> Iterator[_Reading]:
    """Yield what two fitted numbers can mean, those with a short number first."""
    if abs(a - 1) < _NEAR and b < 0:
        share = -b / rate if order == "reptile" and isinstance(rate, float) else 0.0
        for epsilon in (*short_numbers(share), share) if share else ():
            what = "the mean of φ_K over the tasks" if epsilon == 1 else f"θ + ε(φ_K − θ) with ε = {decimal(epsilon)}"
            yield _Reading(1.0, -epsilon, True, _instead(what, "(θ − φ_K)/α"))
        for beta in (*short_numbers(-b), -b):
            what = f"θ − βg, the variables after an outer step, with β = {decimal(beta)}"
            declared = f"the gradients g, or declare the step: --returns parameters --outer-rate {decimal(beta)}"
            yield _Reading(1.0, -beta, False, _instead(what, declared))
    if abs(b - 1) < _NEAR and a:
        for decay in (*short_numbers(a), a):
            yield _Reading(decay, 1.0, False, _decayed(decay))


def _instead(what: str, wanted: str) -> Diagnosis:
    return without_a_name(
        title="parameters where gradients are expected", evidence=f"every answer is {what}", advice=f"Return {wanted}."
    )


def _decayed(decay: float) -> Diagnosis:
    return without_a_name(
        title="right gradients with a weight decay added",
        evidence=f"every answer is g + λθ with the right gradients g and λ = {decimal(decay)}",
        advice="Leave the decay to the outer optimizer, or take it out for the check: a meta-gradient has none.",
    )


def _combined(evidence: Evidence, one: Observation, a: float, b: float) -> Outcome | None:
    """Return a·θ + b·g leaf by leaf; None where a variable is of another shape, or a learned rate, which is none."""
    right, theta = evidence.right(one), leaves(one.standard.generic.variables)
    found = {}
    for chain, leaf in right.gradients.items():
        if leaf is None or chain not in theta or theta[chain].shape != leaf.shape:
            return None
        mine = np.asarray(theta[chain], np.float64)
        found[chain] = a * mine + b * leaf
    return Outcome(right.cost, {**found}, right.adapted)
