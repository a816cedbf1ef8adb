"""What a cost is that is not the expected one, where the gradients are right.

A step that trains on the right gradients may still report another number for its progress: the loss before adaptation,
that of the support set, that of the last task. Each is worked out for every problem, and one that agrees on all of them
is named. No fault of the catalogue is looked for here: what a mistake makes of the gradients is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from verification.faults.work import Work, descend
from verification.judging.conventions import OWN_COST
from verification.judging.tolerances import unit_roundoff
from verification.naming.evidence import Evidence, Observation
from verification.naming.wording import Diagnosis, beside_right_gradients
from verification.problems.setting import Setting

#: S(φ_k) and Q(φ_k) for k = 0, …, K to the number that a subject may report of a task.
_Reported = Callable[[Sequence[float], Sequence[float]], float]
#: Far above rounding, and far below what another point or task makes: a part of the square root of the unit.
_PART = 2.0**-6
#: What single precision leaves of a mean of a few numbers, generously.
_SINGLE = 2.0**-20


def _mean(values: Sequence[float]) -> float:
    # Without an inner step there is nothing to take the mean of, and nothing is known of what is reported.
    return float(np.mean(values)) if values else float("nan")


#: What is reported of a task, the usual first.
_OF_A_TASK: dict[str, _Reported] = {
    "Q(φ_K), the outer cost after adaptation": lambda _, outer: outer[-1],
    "Q(θ), the outer cost before adaptation": lambda _, outer: outer[0],
    "S(φ_K), the inner cost after adaptation": lambda inner, _: inner[-1],
    "S(θ), the inner cost before adaptation": lambda inner, _: inner[0],
    "S(φ_{K−1}), the inner cost that the last inner step saw": lambda inner, _: _mean(inner[-2:-1]),
    "Q(φ_{K−1}), the outer cost one inner step too early": lambda _, outer: _mean(outer[-2:-1]),
    "(S(φ_0) + … + S(φ_{K−1}))/K": lambda inner, _: _mean(inner[:-1]),
    "S(φ_0) + … + S(φ_{K−1})": lambda inner, _: _mean(inner[:-1]) * len(inner[:-1]),
    "(S(φ_1) + … + S(φ_K))/K": lambda inner, _: _mean(inner[1:]),
    "(S(φ_0) + … + S(φ_K))/(K + 1)": lambda inner, _: _mean(inner),
    "(Q(φ_1) + … + Q(φ_K))/K": lambda _, outer: _mean(outer[1:]),
    "(Q(φ_0) + … + Q(φ_K))/(K + 1)": lambda _, outer: _mean(outer),
    "S(φ_K) + Q(φ_K)": lambda inner, outer: inner[-1] + outer[-1],
}
#: What is made of the tasks.
_OF_ALL_TASKS: dict[str, Callable[[Sequence[float]], float]] = {
    "the mean over the tasks of": _mean,
    "the sum over the tasks of": lambda values: _mean(values) * len(values),
    "the last task's": lambda values: values[-1],
    "the first task's": lambda values: values[0],
    "1/T times the mean over the tasks of": lambda values: _mean(values) / len(values),
}


def another_cost(evidence: Evidence) -> Diagnosis:
    """Return what is said of right gradients beside a wrong cost."""
    costs = [(one, one.reply.cost) for one in evidence.deciding if one.reply.cost is not None]
    if not costs or not np.all(np.isfinite([cost for _, cost in costs])):
        return beside_right_gradients("wrong")
    if _changes(costs):
        return beside_right_gradients("another one when the same problem is asked again")
    known = next(_readings(evidence, costs), "")
    return beside_right_gradients(known or "wrong", convention=OWN_COST if known else None)


def _readings(evidence: Evidence, costs: Sequence[tuple[Observation, float]]) -> Iterator[str]:
    """Say in words what the costs are, every way that gives all of them."""
    tables = [[_table(work) for work in evidence.question(one).works] for one, _ in costs]
    for reduction, reduced in _OF_ALL_TASKS.items():
        for words, reported in _OF_A_TASK.items():
            expected = [reduced([reported(inner, outer) for inner, outer in tasks]) for tasks in tables]
            if _all_near(costs, expected):
                yield f"{reduction} {words}"
    parts = [cost / evidence.right(one).cost for one, cost in costs if evidence.right(one).cost]
    if parts and max(abs(part - 1) for part in parts) < _SINGLE:
        yield "right to single precision, but not further"
    elif parts and _all_near(costs, [parts[0] * evidence.right(one).cost for one, _ in costs]):
        yield f"{parts[0]:.6g} times the right one"


def _changes(costs: Sequence[tuple[Observation, float]]) -> bool:
    """Return whether one problem got two costs."""
    known: dict[tuple[Setting, str], float] = {}
    return any(known.setdefault((one.problem, one.dtype), cost) != cost for one, cost in costs)


def _table(work: Work) -> tuple[list[float], list[float]]:
    """S and Q at φ_0, …, φ_K."""
    points = descend(work)
    return [float(work.inner_cost(phi)) for phi in points], [float(work.outer_cost(phi)) for phi in points]


def _all_near(costs: Sequence[tuple[Observation, float]], expected: Sequence[float]) -> bool:
    """Return whether some costs are those expected; NaN stands for what is not known, and something has to be."""
    known = [(one, cost, here) for (one, cost), here in zip(costs, expected, strict=True) if not np.isnan(here)]
    return bool(known) and all(
        abs(cost - here) <= _PART * np.sqrt(unit_roundoff(one.dtype)) * abs(here) for one, cost, here in known
    )
