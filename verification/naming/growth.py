"""The family of a mistake that has no name: how the error grows with the learning rate.

‖wrong − right‖ grows like α^p, with p = 0 for a mistake in the outer loop (data exchanged, a scale, a task left out), 1
in the inner loop (wrong point, wrong number of steps, the order, the sign) and 2 in the inner recursion. Where p is 0
and the adapted variables are wrong, the inner loop is wrong from its first step on, however small the rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verification.faults import pose
from verification.isolation.asking import relations_of
from verification.judging.conventions import Declared
from verification.judging.tolerances import FACTOR, norm, unit_roundoff
from verification.naming.evidence import Evidence, Observation
from verification.naming.vectors import vector
from verification.naming.where import right_parts
from verification.naming.wording import Diagnosis, several
from verification.orders import Order
from verification.problems import suite
from verification.problems.levels import cost_of_asking
from verification.problems.problem import Problem
from verification.relations.taylor import order_in_alpha
from verification.subjects import SkippedError, Subject

_LADDER = tuple(2.0**-k for k in range(3, 9))  # exact in binary, from the rate of the built-in problems down
_PROBES = ("mlp-tanh-mse", "quadratic")  # of the built-in problems these show a growth best; else the cheapest does
_OUTER = "the outer loop: its data, its scale, the tasks or variables that it takes"
_INNER = "the inner loop: the point at which the outer gradient is taken, the number of steps, their sign or rate"
_RECURSION = "the inner recursion: where the inner gradients of later steps are taken"
#: What a power of α points to, by the order of the step.
_WORDS: dict[Order, dict[int, str]] = {
    1: {0: _OUTER, 1: _INNER, 2: _RECURSION},
    2: {
        0: _OUTER,
        1: f"{_INNER}; or the differentiation of the inner loop: the Jacobians of its steps",
        2: f"{_RECURSION}; or the differentiation of the inner loop: where the Hessians are taken",
    },
    "reptile": {
        0: f"{_OUTER}; or the number of inner steps, their sign, and the division by α",
        1: f"{_RECURSION}, and with which rate; or a differentiation of the inner loop, which Reptile has not",
    },
}
_FROM_THE_START = "the inner loop, wrong from its first step on: where it begins, and the first update"
_CLOSE = 1e-4  # single precision is enough to tell points apart


@dataclass(frozen=True)
class Growth:
    """How far the gradients on a problem are off at each learning rate, and how far rounding alone may bring them.

    `exponent` is the p of ‖wrong − right‖ ~ α^p; None where the errors have not settled on a whole number.
    """

    problem: str
    order: Order
    rates: tuple[float, ...]
    errors: tuple[float, ...]
    noise: tuple[float, ...]
    exponent: float | None


def family(subject: Subject, order: Order, observations: list[Observation], declared: Declared) -> list[Diagnosis]:
    """Ask again at smaller learning rates, and tell the family by the order in α; never more than that."""
    answered = [observation for observation in observations if observation.reply.returned]
    known = right_parts(Evidence(answered, declared))
    known = f"; the answers are {known}" if known else ""
    for problem in _probes(answered):
        exponent = _measured(subject, problem, declared).exponent
        if exponent is not None:
            grown = _growth(exponent, order, _is_moved(observations, declared))
            return [several(f"{grown}{known}{_broken(subject, problem)}")]
    return [several(known)] if answered else []


def growth(subject: Subject, observations: list[Observation], declared: Declared) -> list[Growth]:
    """Ask again at smaller learning rates, and return how the error grows on one problem; nothing where none came."""
    probes = _probes([observation for observation in observations if observation.reply.returned])
    return [_measured(subject, problem, declared) for problem in probes[:1]]


def _measured(subject: Subject, problem: Problem, declared: Declared) -> Growth:
    gaps = [_gap(subject, problem, rate, declared) for rate in _LADDER]
    errors, noise = (tuple(size[part] for size in gaps) for part in (0, 1))
    fit = order_in_alpha(list(_LADDER), list(errors), list(noise))
    exponent = fit.order if fit.verdict == "pass" else None
    return Growth(problem.name, problem.order, _LADDER, errors, noise, exponent)


def _probes(answered: list[Observation]) -> list[Problem]:
    """Return the problems to ask again at other rates: two built-in ones, or the cheapest two of somebody's own."""
    problems = {one.standard: one.standard.generic for one in answered if not one.is_frozen}.values()
    built_in = {suite.kind(problem.name): problem for problem in problems if problem.is_built_in}
    own = [problem for problem in problems if not problem.is_built_in and np.isscalar(problem.inner_learning_rate)]
    chosen = [built_in[name] for name in _PROBES if name in built_in]
    return chosen or sorted(own, key=cost_of_asking)[:2]


def _growth(measured: float, order: Order, moved: bool) -> str:
    """Say what the order in α points to, where it is one of those known; `moved`: the adapted variables are wrong."""
    where = _WORDS[order].get(round(measured))
    grown = f"the error grows like α^{round(measured, 2) + 0.0:.2f}"  # never minus zero
    if moved and order != "reptile" and round(measured) == 0:
        return f"{grown} and the adapted variables are wrong, too, which points to {_FROM_THE_START}"
    return f"{grown}, which points to {where}" if where else ""


def _is_moved(observations: list[Observation], declared: Declared) -> bool:
    """Return whether adapted variables were told that are not the right ones."""
    for observation in observations:
        given = {chain: leaf for chain, leaf in (observation.reply.adapted or {}).items() if observation.reply.returned}
        right = declared.right(observation.standard.question).adapted if given else []
        for task, adapted in enumerate(right):
            for chain, leaf in observation.problem.split(adapted).items():
                rows = given.get(chain, ())
                if task < len(rows) and not np.allclose(rows[task], leaf, rtol=_CLOSE, atol=_CLOSE):
                    return True
    return False


def _broken(subject: Subject, problem: Problem) -> str:
    """Name the first relation that does not hold: steps are held against them, from the simplest on."""
    if subject.kind != "step" or problem.order not in (1, 2):
        return ""
    found = relations_of(subject, problem, until_broken=True)
    return next((f"; the first relation that is broken is {name}: {found[name].sentence}" for name in found.broken), "")


def _gap(subject: Subject, problem: Problem, rate: float, declared: Declared) -> tuple[float, float]:
    """Return how far an answer is from the right one at a learning rate, and how far rounding alone may bring it."""
    changed = replace(problem, inner_learning_rate=rate)
    try:
        reply, _ = subject.pose(problem, "float64", rate=rate).ask()
    except SkippedError:
        return float("nan"), 0.0
    if not reply.returned:
        return float("nan"), 0.0
    right = declared.right(pose(changed))
    size = norm(vector(right))
    noise = FACTOR * unit_roundoff("float64") * size
    parts: list[Any] = []
    for chain, leaf in right.gradients.items():
        got = reply.returned.get(chain)
        if leaf is not None:
            parts.append(np.ravel((np.zeros_like(leaf) if got is None or got.shape != leaf.shape else got) - leaf))
    return norm(np.concatenate(parts)), noise
