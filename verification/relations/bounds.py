"""How far two answers that a relation makes equal may differ, measured through the step itself.

The bound on a leaf x is C · u · max(‖x‖, s), as `judging.tolerances` derives it for built-in problems, with u the
unit roundoff and C = 64; s is how far x moves per unit of relative change when batch, variables and learning rate are
changed by a relative ±√u with random signs, the condition estimate of Kenney and Laub (1994). A step on a user's own
costs cannot be opened to disturb its iterates; disturbed inputs reach the same places.

They do not reach what cancels within an operation: a bias in front of batch normalisation has a gradient of 0, and a
computed one that is the rounding of a mean, whatever the inputs are. Only a run with another rounding shows it, so that
the step is asked in float32 and in float64, and s is at least a quarter of what the two differ by, over the u of
float32, as for models (`verification.models`).

Where the answer that a mistake would give is less than two bounds away, the relation decides nothing: inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from verification.judging.tolerances import FACTOR, apart, norm, over
from verification.problems.trees import Tree, map_leaves
from verification.relations.answer import Array, StepAnswer
from verification.relations.case import Case, StepError
from verification.relations.result import Result
from verification.verdicts import Verdict

_DRAWS = 4
_SEED = 1994
_SHARE = 0.25  # of the error of one sample; times C, it is sixteen times what it was
_SEPARATION = 2.0  # bounds between right and wrong below which nothing is decided

#: How far each part of an answer moves, per unit of relative change.
Moves = Mapping[str, float]


def sensitivity(case: Case) -> Moves:
    """Measure how far each part of the step's answer moves; the numbers are kept with the case."""
    if "moves" not in case.memory:
        case.memory["moves"] = _measured(case)
    moves: Moves = case.memory["moves"]
    return moves


def _measured(case: Case) -> Moves:
    rng = np.random.default_rng(_SEED)
    delta = float(np.sqrt(case.unit_roundoff))
    base = case.answer.parts()
    moves = dict.fromkeys(base, 0.0)
    for _ in range(_DRAWS):
        moved = _disturbed(case, rng, delta).ask().parts()
        for name, leaf in base.items():
            if name not in moved:
                raise StepError(f"{name} is there in one call and missing in another")
            moves[name] = max(moves[name], apart(moved[name], leaf) / delta)
    for name, error in _between_precisions(case).items():
        moves[name] = max(moves[name], _SHARE * error)
    return moves


def _between_precisions(case: Case) -> dict[str, float]:
    """Return what each part of the answer differs by between float32 and float64, in units of float32's rounding."""
    try:
        single, double = (_in_precision(case, dtype).ask().parts() for dtype in (np.float32, np.float64))
    except StepError:  # a cost may be made for one precision
        return {}
    unit = float(np.finfo(np.float32).eps) / 2
    off = {name: apart(single[name], leaf) / unit for name, leaf in double.items() if name in single}
    return {name: error for name, error in off.items() if np.isfinite(error)}


def _in_precision(case: Case, dtype: type[np.floating[Any]]) -> Case:
    def cast(leaf: Array) -> Array:
        return leaf.astype(dtype) if np.issubdtype(leaf.dtype, np.floating) else leaf

    rate = case.rate if np.isscalar(case.rate) else map_leaves(cast, case.rate)
    return case.but(batch=map_leaves(cast, case.batch), variables=map_leaves(cast, case.variables), rate=rate)


def _disturbed(case: Case, rng: np.random.Generator, delta: float) -> Case:
    def disturb(leaf: Array) -> Array:
        if not np.issubdtype(leaf.dtype, np.floating):
            return leaf
        return np.asarray(leaf * (1 + delta * rng.choice([-1.0, 1.0], leaf.shape)), leaf.dtype)

    rate: Tree = case.scaled_rate(1 + delta) if np.isscalar(case.rate) else map_leaves(disturb, case.rate)
    return case.but(batch=map_leaves(disturb, case.batch), variables=map_leaves(disturb, case.variables), rate=rate)


def compare(
    name: str,
    case: Case,
    got: StepAnswer,
    expected: StepAnswer,
    wrong: StepAnswer | None,
    equation: str,
    *,
    moves: Moves,
) -> Result:
    """Return whether two answers are equal within the bounds of `moves`.

    `wrong` is what a mistake that the relation is there for would give; None: anything else than `expected`.
    `equation` is the relation in a few words, for the sentence.
    """
    ours, theirs = got.parts(), expected.parts()
    ours = {part: leaf for part, leaf in ours.items() if part in theirs or not part.startswith("adapted")}
    theirs = {part: leaf for part, leaf in theirs.items() if part in ours or not part.startswith("adapted")}
    if {p: leaf.shape for p, leaf in ours.items()} != {p: leaf.shape for p, leaf in theirs.items()}:
        return Result(name, "fail", np.inf, 0.0, f"{equation}: the two answers have different leaves or shapes.")
    u = case.unit_roundoff
    bounds = {p: FACTOR * u * max(norm(leaf), moves.get(p, 0.0)) for p, leaf in theirs.items()}
    errors = {p: apart(ours[p], leaf) for p, leaf in theirs.items()}
    decided = {p: e for p, e in errors.items() if np.isfinite(norm(ours[p])) or np.isfinite(norm(theirs[p]))}
    if not decided:
        return Result(name, "inconclusive", np.nan, np.nan, f"{equation}: both answers hold NaN or infinity.")
    worst = max(decided, key=lambda p: over(errors[p], bounds[p]))
    distance = np.inf if wrong is None else _bounds_between(wrong.parts(), theirs, bounds)
    if len(decided) < len(errors):
        distance = np.nan
    unit = u * (norm(theirs[worst]) or 1.0)
    return judged(name, errors[worst] / unit, bounds[worst] / unit, distance, f"{equation} ({worst})")


def judged(name: str, error: float, bound: float, distance: float, equation: str) -> Result:
    """Return the verdict on an error, with `distance` that in bounds to the answer that a mistake would give."""
    verdict: Verdict = "pass"
    says = f"an error of {error:.3g} units of rounding; {bound:.3g} are allowed"
    if not error <= bound:
        verdict = "fail"
    elif not distance >= _SEPARATION:
        verdict, says = "inconclusive", f"a mistake would change it by only {distance:.2g} bounds"
    return Result(name, verdict, error, bound, f"{equation}: {says}.")


def same_bits(name: str, case: Case, got: StepAnswer, expected: StepAnswer, equation: str) -> Result:
    """Return whether two answers are the same numbers, bit by bit."""
    ours, theirs = got.parts(), expected.parts()
    if {p: leaf.shape for p, leaf in ours.items()} != {p: leaf.shape for p, leaf in theirs.items()}:
        return Result(name, "fail", np.inf, 0.0, f"{equation}: the two answers have different leaves or shapes.")
    off = {p: 0.0 if np.array_equal(leaf, ours[p], equal_nan=True) else _units(case, ours[p], leaf)
           for p, leaf in theirs.items()}  # fmt: skip
    worst = max(off, key=lambda p: over(off[p], 1.0))
    finite = all(np.all(np.isfinite(leaf)) for leaf in theirs.values())
    return judged(name, off[worst], 0.0, np.inf if finite else np.nan, f"{equation} ({worst})")


def _units(case: Case, ours: Array, theirs: Array) -> float:
    return apart(ours, theirs) / (case.unit_roundoff * (norm(theirs) or 1.0))


def _bounds_between(wrong: Mapping[str, Array], right: Mapping[str, Array], bounds: Mapping[str, float]) -> float:
    """Return how many bounds a wrong answer is away, in the part where it is furthest."""
    shared = [p for p in right if p in wrong and wrong[p].shape == right[p].shape]
    return max((over(apart(wrong[p], right[p]), bounds[p]) for p in shared), default=float("inf"))
