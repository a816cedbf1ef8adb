"""Whether a framework can be judged in: its arrays have the precision asked for, and its costs NumPy's values.

A subject can be no better than the arithmetic that it is given. Where that is off, no answer says anything of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.judging.standard import Standard
from verification.judging.tolerances import bound_of_size, over
from verification.problems import suite
from verification.problems.problem import Problem
from verification.problems.trees import map_leaves
from verification.subjects import ProgramError, Subject
from verification.subjects.costs import LOOPS, Costs, cost

_DRAWS = 4
_DELTA = 2.0**-20  # as in `tolerances`: far above rounding, far below where a cost bends
_SEED = 20170303


def unfit(standards: Iterable[Standard], subject: Subject, dtype: str) -> str:
    """Return in a sentence why nothing can be judged in a precision of a subject's framework; nothing if all is well.

    The costs are those of the problems, each once, in the inner loop and in the outer. A cost may be off by
    C u max(|S|, s), with s how far it moves per unit of relative change of data and variables.
    """
    known = set()
    for standard in standards:
        problem = standard.generic
        # The costs of corners are of four kinds, in units of their own.
        which: Any = problem.family.name if suite.is_corner(problem.name) else problem.family.inner_cost
        kind = (which, problem.options.same_cost, bool(problem.wide))
        if kind not in known:
            known.add(kind)
            try:
                wrong = _wrong(problem, subject.costs(problem, dtype), dtype)
            except ProgramError:
                return ""  # a subject that broke its process down is told so when it is called
            if wrong:
                where = f"on the problem {problem.name} {wrong}. This says nothing about the subject."
                return f"The framework {subject.framework} cannot be judged in with {dtype}: {where}"
    return ""


def _wrong(problem: Problem, costs: Costs, dtype: str) -> str:
    # A framework that cannot mix dtypes is asked in one.
    mixed = (dtype, "float64") if problem.wide else (dtype,)
    for what, dtypes, allowed in (("its variables", costs.variables, mixed), ("its data", costs.data, (dtype,))):
        for other in dtypes:
            if other not in allowed:
                return f"{what} are {other}"
    # The problem as it was made is in float64, and autograd's functions of plain arrays are NumPy's.
    for loop, name in LOOPS.items():
        got = costs.values[loop]
        if got.raised:
            return f"the {loop} cost raises {got.raised}"
        expected, moves = _expected(problem, loop, name)
        if got.dtype not in mixed:
            return f"the {loop} cost is {got.dtype}"
        if not over(abs(got.value - expected), bound_of_size(max(abs(expected), moves), dtype)) <= 1:
            return f"the {loop} cost is {got.value:.17g}, where NumPy has {expected:.17g}"
    return ""


def _expected(problem: Problem, loop: str, name: str) -> tuple[float, float]:
    """Return NumPy's cost, and how far it moves per unit of relative change of data and variables."""
    rng = np.random.default_rng(_SEED)

    def disturb(leaf: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(leaf * (1 + _DELTA * rng.choice([-1.0, 1.0], leaf.shape)))

    value = float(cost(problem, loop, problem.batch[name], problem.variables))
    moved = [
        float(cost(problem, loop, map_leaves(disturb, problem.batch[name]), map_leaves(disturb, problem.variables)))
        for _ in range(_DRAWS)
    ]
    return value, max(abs(other - value) for other in moved) / _DELTA
