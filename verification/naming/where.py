"""Where a subject is right: the part of the problems, in words that lead to a part of its code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from verification.naming.evidence import Evidence, Observation, apart_by_bounds
from verification.problems.setting import Setting


def _selects(problem: Setting) -> bool:
    return not (problem.options.inner_v.selects_all and problem.options.outer_v.selects_all)


#: Parts of an implementation, by the problems that reach them; the largest parts first.
CONDITIONS: dict[str, Callable[[Setting], bool]] = {
    "in batched mode": lambda problem: problem.options.batched,
    "in loop mode": lambda problem: not problem.options.batched,
    "with averaging": lambda problem: problem.options.average_across_steps,
    "without averaging": lambda problem: not problem.options.average_across_steps,
    "with selections": _selects,
    "without selections": lambda problem: not _selects(problem),
    "with a rate for each variable": lambda problem: not np.isscalar(problem.inner_learning_rate),
    "with one rate for all variables": lambda problem: bool(np.isscalar(problem.inner_learning_rate)),
    "where K ≥ 1": lambda problem: problem.inner_grad_steps >= 1,
    "where K ≥ 2": lambda problem: problem.inner_grad_steps >= 2,
    "where K ≥ 4": lambda problem: problem.inner_grad_steps >= 4,
    "where K ≤ 1": lambda problem: problem.inner_grad_steps <= 1,
    "where K ≤ 2": lambda problem: problem.inner_grad_steps <= 2,
    "where K = 0": lambda problem: problem.inner_grad_steps == 0,
    "where K = 1": lambda problem: problem.inner_grad_steps == 1,
    "where T ≥ 2": lambda problem: problem.num_tasks >= 2,
    "where T ≥ 3": lambda problem: problem.num_tasks >= 3,
    "where T ≤ 2": lambda problem: problem.num_tasks <= 2,
    "where T = 1": lambda problem: problem.num_tasks == 1,
}


#: Conditions that are parts of the code by themselves; of the others, one problem on a side is no evidence.
MODES = ("in batched mode", "in loop mode", "with averaging", "without averaging")


def right_where(evidence: Evidence) -> str:
    """Return in words which problems are answered right: "right wherever K ≤ 1"; "" where none or no part is.

    That nothing is wrong without an inner step is so of most mistakes, and is not told.
    """
    is_right = [(one.problem, _is_right(evidence, one)) for one in evidence.deciding]
    if not any(right for _, right in is_right) or all(right for _, right in is_right):
        return ""
    if all((problem.inner_grad_steps == 0) == right for problem, right in is_right):
        return ""
    for words, has in CONDITIONS.items():
        if all(has(problem) == right for problem, right in is_right):
            return f"right {words.replace('where ', 'wherever ')}, and nowhere else"
    return ""


def _is_right(evidence: Evidence, one: Observation) -> bool:
    """Return whether the gradients of an answer are right, and none of them is None or left out."""
    return evidence.is_right(one) and "gradients" not in one.wrong


def right_parts(evidence: Evidence) -> str:
    """Return in words which problems, and which variables of all problems, are answered right; "" where none are."""
    parts = [right_where(evidence)]
    names = {one.problem.name: _is_right(evidence, one) for one in evidence.deciding}
    right_ones = [name for name, right in names.items() if right]
    if not parts[0] and 0 < len(right_ones) < len(names):
        parts = [f"right on {', '.join(right_ones)}"]
    if _is_right_in_single(evidence):
        parts.append("right to single precision everywhere, but not further")
    leaves = _right_leaves(evidence)
    if leaves:
        parts.append(f"right on every problem for {', '.join(leaves)}")
    return "; ".join(filter(None, parts))


def _is_right_in_single(evidence: Evidence) -> bool:
    """Return whether answers in double precision are all within the bounds that single precision has."""
    return all(one.dtype == "float64" and evidence.is_right(replace(one, dtype="float32")) for one in evidence.deciding)


def _right_leaves(evidence: Evidence) -> list[str]:
    """Return the variables whose gradients are always right and somewhere not 0, where those of others are wrong."""
    fine: dict[str, bool] = {}
    for observation in evidence.deciding:
        for chain, leaf in evidence.right(observation).gradients.items():
            got = observation.reply.returned.get(chain)
            if leaf is None or not np.any(leaf):
                continue
            near = got is not None and apart_by_bounds(observation, chain, got, leaf) <= 1
            name = observation.problem.names[chain]
            fine[name] = fine.get(name, True) and near
    return [name for name, right in fine.items() if right] if not all(fine.values()) else []
