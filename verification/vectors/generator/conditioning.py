"""How hard a vector is to compute: the condition number κ of each leaf of the answer.

Every input, every gradient, every iterate, and every activation and probability on the way is changed by a relative ±δ
with random signs; κ is the largest change of the leaf seen in a few draws, over δ ‖leaf‖, in the sense of small-sample
statistical estimation (Kenney and Laub, 1994), and at least 1. It is 0 for a leaf that is exactly 0 and does not move:
a variable that no cost uses. Derivatives of activations are taken from the disturbed activations (1 − h² for tanh), as
an implementation does that rounds h.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from verification.vectors.generator.balls import Scalar, exact, flint, value, working_precision
from verification.vectors.generator.layout import Json
from verification.vectors.generator.step import Answer, answer, rule_of, solve, tasks_of

_BITS = 256
_DELTA = -60  # far above 2^-256, far below where any answer bends
_DRAWS = 4
_TOUCHED = ("hidden", "probability")
_KINK = 0.02


class UnfitProblemError(ValueError):
    """A problem that cannot become a vector; other random numbers may."""


def condition(problem: Json, name: str) -> Json:
    """Return κ of the cost, and by variable of the gradients and of the adapted variables."""
    with working_precision(_BITS):
        rng = random.Random(f"condition/{name}")
        base = _answer(problem, None)
        moved = [_answer(problem, _disturbance(rng)) for _ in range(_DRAWS)]
        return {
            "cost": _kappa([base.cost], [[entry.cost] for entry in moved]),
            "gradients": {k: _kappa(leaf, [run.gradients[k] for run in moved]) for k, leaf in base.gradients.items()},
            "adapted": {
                k: _kappa(_stacked(base, k), [_stacked(entry, k) for entry in moved]) for k in base.adapted[0]
            },
        }  # fmt: skip


def clear_of_kinks(problem: Json) -> bool:
    """Return whether no hidden unit of relu comes near its kink at any iterate of the definition."""
    nearest: list[float] = []

    def watch(kind: str, scalar: Scalar) -> Scalar:
        if kind == "before":
            nearest.append(abs(float(value(scalar))))
        return scalar

    with working_precision(_BITS):
        for task in tasks_of(problem, touch=watch):
            solve(task, rule_of(problem))
    return "relu" not in problem["family"] or min(nearest) > _KINK


def _disturbance(rng: random.Random) -> Callable[[Scalar], Scalar]:
    delta = exact(2.0**_DELTA)
    return lambda ball: ball * (1 + delta if rng.getrandbits(1) else 1 - delta)


def _answer(problem: Json, disturb: Callable[[Scalar], Scalar] | None) -> Answer:
    if disturb is None:
        tasks = tasks_of(problem)
    else:
        move: Any = disturb
        tasks = tasks_of(problem, touch=lambda kind, x: move(x) if kind in _TOUCHED else x, move=move)
    return answer(tasks, [solve(task, rule_of(problem)) for task in tasks])


def _stacked(one: Answer, name: str) -> list[Scalar]:
    return [entry for point in one.adapted for entry in point[name]]


def _kappa(base: list[Scalar], moved: list[list[Scalar]]) -> float:
    size = _norm(base)
    change = max((_norm([a - b for a, b in zip(entry, base, strict=True)]) for entry in moved), key=_size)
    if size.is_zero():
        if not change.is_zero():
            raise UnfitProblemError("A leaf is exactly 0 and ill-conditioned: no relative bound fits it.")
        return 0.0
    kappa = float(change / (size * exact(2.0**_DELTA)))
    return max(1.0, float(f"{kappa * 1.01:.2e}"))


def _size(ball: Scalar) -> Any:
    return ball.mid()


def _norm(entries: list[Scalar]) -> Scalar:
    squares = flint.arb(0)
    for entry in entries:
        squares += entry.mid() * entry.mid()
    return squares.mid().sqrt()
