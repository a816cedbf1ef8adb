"""From a problem to a frozen vector: certified answers, condition numbers, answers of the faults, and what it kills."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from math import hypot, isinf

from verification.vectors.generator.balls import (
    Scalar,
    UndecidedError,
    relative_radius_bits,
    rounded,
    rounded_or_zero,
    with_enough_bits,
)  # fmt: skip
from verification.vectors.generator.catalogue import CATALOGUE, Fault
from verification.vectors.generator.conditioning import condition
from verification.vectors.generator.confirmation import confirm
from verification.vectors.generator.layout import Array, Json, array_layout, hex_float, variable_shapes
from verification.vectors.generator.setting import Gradients, setting_of
from verification.vectors.generator.step import Answer, answer, rule_of, solve, tasks_of
from verification.vectors.generator.text import compact

FACTOR = 64
MARGIN = 2  # a fault counts as killed at twice the bound: then no answer within a bound of it can pass
UNITS = {"float64": (2.0**-53, 2.0**-1074), "float32": (2.0**-24, 2.0**-149)}


def identity(slug: str, problem: Json) -> str:
    """Return the id: the slug and a hash of the problem."""
    return f"{slug}-{sha256(compact(problem).encode()).hexdigest()[:10]}"


def certify(slug: str, problem: Json, dtypes: list[str], notes: list[str]) -> Json:
    """Return the vector of a problem."""
    bits, (right, expected, radius) = with_enough_bits(lambda: _expected(problem))
    kappa = condition(problem, slug)
    counterfactuals = _counterfactuals(problem, expected)
    return {
        "id": identity(slug, problem),
        "notes": notes,
        "dtypes": dtypes,
        "problem": problem,
        "expected": expected,
        "condition": kappa,
        "certificate": {
            "bits": bits,
            "radius": hex_float(2.0**-radius) if radius < 1000 else hex_float(0.0),
            "confirmed_by": confirm(problem, right),
        },
        "kills": {dtype: _kills(expected, kappa, counterfactuals, dtype) for dtype in dtypes},
        "counterfactuals": counterfactuals,
    }


def _expected(problem: Json) -> tuple[Answer, Json, int]:
    tasks, rule = tasks_of(problem), rule_of(problem)
    right = answer(tasks, [solve(task, rule) for task in tasks])
    shapes = variable_shapes(problem)
    adapted = {name: [entry for point in right.adapted for entry in point[name]] for name in shapes}
    entries = [
        right.cost,
        *(e for leaf in right.gradients.values() for e in leaf),
        *(e for x in adapted.values() for e in x),
    ]
    layout = {
        "cost": hex_float(rounded(right.cost)),
        "gradients": {name: _leaf(Array(shapes[name], leaf)) for name, leaf in right.gradients.items()},
        "adapted": {name: _leaf(Array((len(tasks), *shapes[name]), leaf)) for name, leaf in adapted.items()},
    }
    return right, layout, min(relative_radius_bits(entry) for entry in entries)


def _leaf(leaf: Array, rounding: Callable[[Scalar], float] = rounded) -> Json:
    return array_layout(leaf.shape, [rounding(value) for value in leaf.values])


def _counterfactuals(problem: Json, expected: Json) -> list[Json]:
    """Return the answers that differ from the right one, those that are alike under one entry."""
    by_answer: dict[str, Json] = {}
    for fault in CATALOGUE:
        gradients = _wrong(problem, fault)
        if gradients is not None and gradients != expected["gradients"]:
            entry = by_answer.setdefault(compact(gradients), {"faults": [], "gradients": gradients})
            entry["faults"].append(fault.name)
    return list(by_answer.values())


def _wrong(problem: Json, fault: Fault) -> Json | None:
    def work() -> Json | None:
        gradients: Gradients | None = fault.wrong(setting_of(problem))
        if gradients is None:
            return None
        return {name: None if leaf is None else _leaf(leaf, rounded_or_zero) for name, leaf in gradients.items()}

    try:
        return with_enough_bits(work)[1]
    except (OverflowError, UndecidedError):
        return None  # a wrong answer that runs away beyond the largest double: nothing to record


def bound(expected: list[float], kappa: float, dtype: str) -> float:
    """Return 64 max(u κ ‖x‖, η): u the unit roundoff, η the smallest subnormal number; 0 where κ is 0."""
    unit, smallest = UNITS[dtype]
    return FACTOR * max(unit * kappa * hypot(*expected), smallest) if kappa else 0.0


def _kills(expected: Json, kappa: Json, counterfactuals: list[Json], dtype: str) -> list[str]:
    killed = []
    for entry in counterfactuals:
        if _apart(expected["gradients"], kappa["gradients"], entry["gradients"], dtype):
            killed += entry["faults"]
    return sorted(killed)


def _apart(right: Json, kappa: Json, wrong: Json, dtype: str) -> bool:
    if set(right) != set(wrong):
        return True
    for name, leaf in right.items():
        other = wrong[name]
        if other is None or other["shape"] != leaf["shape"]:
            return True
        numbers = _numbers(leaf)
        distance = hypot(*(a - b for a, b in zip(numbers, _numbers(other), strict=True)))
        if isinf(distance) or distance > MARGIN * bound(numbers, kappa[name], dtype):
            return True
    return False


def _numbers(leaf: Json) -> list[float]:
    return [float.fromhex(entry) for entry in leaf["values"]]
