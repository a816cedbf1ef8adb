"""Understanding what a subject returned, or saying plainly what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.problems.answers import Arrays, selected
from verification.problems.problem import Problem
from verification.problems.trees import leaves
from verification.subjects.exceptions import described


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what (cost, gradients, adapted, dtype, result, …), a sentence, and the numbers.

    `error` and `bound` are in units of rounding of the leaf, u ‖expected‖; `expected` and `got` are the leaf's values.
    """

    what: str
    message: str
    leaf: str | None = None
    expected: NDArray[Any] | None = None
    got: NDArray[Any] | None = None
    error: float | None = None
    bound: float | None = None

    def __str__(self) -> str:
        place = self.what if self.leaf is None else f"{self.what}, {self.leaf}"
        entry = self.worst_entry()
        return f"{place}: {self.message}." + (f"\n    {entry}" if entry else "")

    def worst_entry(self) -> str:
        """Return the entry that is furthest off, or the first that is not a number; nothing where there is none."""
        if self.expected is None or self.got is None:
            return ""
        off = np.abs(np.asarray(self.got, np.float64) - self.expected)
        index = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
        place = f"at [{', '.join(map(str, index))}] " if index else ""
        return f"{place}expected {float(self.expected[index]):.9g}, got {float(self.got[index]):.9g}"


@dataclass(frozen=True)
class Reply:
    """A subject's answer as NumPy arrays by key chain, as far as it could be understood.

    `gradients` has the leaves of the right shape, and `returned` every gradient of the selected leaves as it came, or
    None where there was none. `malformed` tells that the gradients are no container of these leaves with real numbers:
    then a None of `returned` is none of the subject's.
    """

    cost: float | None = None
    gradients: Arrays = field(default_factory=dict)
    returned: dict[str, NDArray[Any] | None] = field(default_factory=dict)
    adapted: Arrays | None = None
    findings: list[Finding] = field(default_factory=list)
    malformed: bool = False


def read(problem: Problem, result: Any, *, keeps_dtypes: bool = False) -> Reply:
    """Return the reply in a subject's result: (cost, grads) or (cost, grads, adapted).

    The interface of `fomaml_step` gives back leaves of the variables' dtypes: a step keeps them.
    """
    if not isinstance(result, Sequence) or isinstance(result, str | bytes) or len(result) not in (2, 3):
        size = f" of length {len(result)}" if isinstance(result, Sequence) else ""
        came = f"{type(result).__name__}{size}"
        sentence = f"expected (cost, grads) or (cost, grads, adapted) as its result, but it returned {came}"
        return Reply(findings=[Finding("result", sentence)])
    findings: list[Finding] = []
    cost = _cost(problem, result[0], findings)
    shapes = {chain: problem.shape(chain) for chain in selected(problem)}
    gradients = _arrays(problem, "gradients", result[1], shapes, findings)
    adapted = None
    if len(result) == 3 and result[2] is not None:
        rows = 1 if problem.options.return_inner_v == "first" else problem.num_tasks
        shapes = {chain: (rows, *problem.shape(chain)) for chain in problem.names}
        adapted = _arrays(problem, "adapted", result[2], shapes, findings)
    if keeps_dtypes:
        findings += [
            Finding("dtype", f"expected {what} of dtype {problem.dtype}, but it is {leaf.dtype}", chain)
            for what, arrays in (("gradients", gradients), ("adapted", adapted or {}))
            for chain, leaf in arrays.items()
            if leaf.dtype != problem.dtype
        ]
    given = leaves(result[1])
    numbers = {chain: _number(problem, given.get(chain)) for chain in selected(problem)}
    returned = {chain: None if isinstance(leaf, str) else leaf for chain, leaf in numbers.items()}
    malformed = not given.keys() <= set(problem.names) or any(
        isinstance(leaf, str) and given.get(chain) is not None for chain, leaf in numbers.items()
    )
    return Reply(cost, gradients, returned, adapted, findings, malformed)


def _cost(problem: Problem, value: Any, findings: list[Finding]) -> float | None:
    array = _number(problem, value)
    if isinstance(array, str) or array.size != 1:
        came = array if isinstance(array, str) else f"an array of shape {array.shape}"
        findings.append(Finding("cost", f"expected the cost to be a real scalar, but it is {came}"))
        return None
    return float(array.reshape(()))


def _arrays(
    problem: Problem, what: str, value: Any, shapes: Mapping[str, tuple[int, ...]], findings: list[Finding]
) -> Arrays:
    if "" in leaves(value):  # the key chain of a leaf outside of any container
        came = type(value).__name__
        sentence = f"expected a container with the leaves {', '.join(shapes)}, but it is {came}"
        findings.append(Finding(what, sentence))
        return {}
    given = {chain: leaf for chain, leaf in leaves(value).items() if leaf is not None or chain in shapes}
    extra = [chain for chain in given if chain not in shapes]
    if extra:
        known = ", ".join(shapes)
        findings.append(Finding(what, f"expected only the leaves {known}, but got also {', '.join(map(repr, extra))}"))
    arrays: Arrays = {}
    for chain, shape in shapes.items():
        problem_with_leaf = f"expected an array of shape {shape}, but "
        if chain not in given:
            findings.append(Finding(what, f"the leaf is missing; {problem_with_leaf}there is none", chain))
        elif given[chain] is None:
            findings.append(Finding(what, f"{problem_with_leaf}it is None: no gradient reached it", chain))
        elif isinstance(array := _number(problem, given[chain]), str):
            findings.append(Finding(what, f"{problem_with_leaf}it is {array}", chain))
        elif array.shape != shape:
            findings.append(Finding(what, f"{problem_with_leaf}its shape is {array.shape}", chain))
        else:
            arrays[chain] = array
    return arrays


def _number(problem: Problem, value: Any) -> NDArray[Any] | str:
    """Return a real array, or in words what the value is instead."""
    if value is None or isinstance(value, str | bytes):
        return type(value).__name__
    try:
        array = problem.framework.to_numpy(value)
    except Exception as error:
        return f"{type(value).__name__}, which is not an array: its conversion raised {described(error)}"
    if np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer):
        return array
    return f"{type(value).__name__} of dtype {array.dtype}"
