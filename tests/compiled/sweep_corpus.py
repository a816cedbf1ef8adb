"""`python tests/compiled/sweep_corpus.py [part of a name …]` runs the whole corpus and prints what compiles.

For every cost that does not, it prints the message; and for the whole the share of runs that compile and agree, the
worst error as a part of its bound, and the longest first call.
"""

import sys
import time
import warnings

import numpy as np
from corpus import classification, probability, regression, sequences
from corpus.entries import ENTRIES, TASKS
from problems import FACTOR, _leaves, precision_of, sensitivity, unit_roundoff

import refmaml
import refmaml.compiled as engine
from refmaml.containers import map_leaves

MODULES = (classification, regression, probability, sequences)
STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}
INNER_STEPS = 2


def arguments(entry, batched, dtype=np.float64):
    """Return the arguments of a step for a cost of the corpus."""

    def cast(leaf):
        return leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf

    theta = map_leaves(lambda leaf: cast(np.asarray(leaf)), entry.variables)
    if batched:
        theta = map_leaves(lambda leaf: np.stack([leaf] * TASKS), theta)
    return map_leaves(cast, entry.batch), entry.function, None, theta, INNER_STEPS, entry.rate


def worst_error(entry, order, batched, dtype=np.float64):
    """Run one cost and return its error as a part of its bound."""
    compiled, reference = STEPS[order]
    args = arguments(entry, batched, dtype)
    with np.errstate(all="ignore"):
        got, expected = compiled(*args, batched=batched), reference(*args, batched=batched)
        moves = sensitivity(reference, *args, batched=batched)
    unit, worst = unit_roundoff(precision_of(args[0], args[3])), 0.0
    mine = _leaves(tuple(got))
    for chain, theirs in _leaves(tuple(expected)).items():
        finite = np.isfinite(theirs)
        if mine[chain].shape != theirs.shape or mine[chain].dtype != theirs.dtype:
            return np.inf
        if not np.array_equal(np.where(finite, 0, mine[chain]), np.where(finite, 0, theirs), equal_nan=True):
            return np.inf
        error = np.linalg.norm((mine[chain] - theirs)[finite].astype(float))
        bound = FACTOR * unit * max(np.linalg.norm(theirs[finite].astype(float)), moves[chain])
        worst = max(worst, error / bound if error else 0.0)
    return worst


def main(parts):
    """Run the corpus and print the table."""
    warnings.simplefilter("ignore")
    runs, good, worst, longest, refusals = 0, 0, (0.0, ""), (0.0, ""), 0
    for name, entry in ENTRIES.items():
        if parts and not any(part in name for part in parts):
            continue
        for order, batched in entry.runs:
            runs += 1
            label = f"{name}, order {order}{', batched' if batched else ''}"
            began = time.perf_counter()
            try:
                error = worst_error(entry, order, batched)
            except Exception as problem:
                refusals += 1
                print(f"{label}: {type(problem).__name__}: {problem}\n")
                continue
            longest = max(longest, (time.perf_counter() - began, label))
            worst = max(worst, (error, label))
            good += error <= 1
            if error > 1:
                print(f"{label}: wrong by {error:.3g} bounds\n")
    print(f"{good} of {runs} runs compile and agree ({100 * good / max(runs, 1):.0f} %); {refusals} are refused.")
    print(f"Worst error over bound: {worst[0]:.3f} ({worst[1]}). Longest: {longest[0]:.1f} s ({longest[1]}).")


if __name__ == "__main__":
    main(sys.argv[1:])
