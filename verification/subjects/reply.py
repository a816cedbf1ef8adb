"""Understanding what a subject returned, or saying plainly what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.ma import is_masked  # now, and not in a process whose files a subject limits
from numpy.typing import NDArray

from verification.problems.answers import Arrays, selected
from verification.problems.problem import RATES, VARIABLES, Problem
from verification.problems.trees import leaves, paths
from verification.processes import LateError, ProgramError
from verification.subjects.exceptions import described, shortened

#: What a finding is about where the limit of time came before an answer: it says nothing of the answer.
TIME = "time"
#: How many leaves that nobody expects are named.
_SHOWN = 8


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


def unanswered(error: ProgramError, what: str) -> Finding:
    """Return the finding that there is no answer; where that is for the limit of time, it is about the time."""
    return Finding(TIME if isinstance(error, LateError) else what, str(error))


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
    #: Gradients that have all numbers of their variable in another shape, in its shape.
    reshaped: Arrays = field(default_factory=dict)
    #: Where the gradients are no container of the variables but as many arrays in a row: those, by key chain.
    by_position: dict[str, NDArray[Any] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """A leaf of a result that came from elsewhere: its type's name there, and its number, or in words what it is."""

    type_name: str
    number: NDArray[Any] | str


def read(problem: Problem, result: Any, *, keeps_dtypes: bool = False, has_options: bool = False) -> Reply:
    """Return the reply in a subject's result: (cost, grads) or (cost, grads, adapted).

    Where the problem has an outer step of rate β, the variables after it, θ', are in the place of the gradients: these
    are then read back as (θ − θ')/β.

    The interface of `fomaml_step` gives back leaves of the variables' dtypes: a step keeps them. A subject without all
    of its options may tell of the adapted variables of all tasks where those of one are asked for.
    """
    wrong = wrong_form(result)
    if wrong:
        return Reply(findings=[wrong])
    findings: list[Finding] = []
    cost = _cost(problem, result[0], findings)
    rate = problem.outer_learning_rate
    what = "gradients" if rate is None else "parameters"
    expected = selected(problem) if rate is None else list(problem.names)
    shapes = {chain: problem.shape(chain) for chain in expected}
    given = _by_chain(problem, what, result[1], findings)
    malformed = problem.algorithm.rates is not None and given is None
    gradients = {} if malformed else _arrays(problem, what, given, shapes, findings)
    told = len(result) == 3 and result[2] is not None
    adapted = _adapted(problem, result[2], findings, has_options=has_options) if told else None
    if keeps_dtypes:
        findings += _of_other_dtypes(problem, {what: gradients, "adapted": adapted or {}})
    given = {} if malformed else leaves(given)
    numbers = {chain: _number(problem, given.get(chain)) for chain in expected}
    returned = {chain: None if isinstance(leaf, str) else leaf for chain, leaf in numbers.items()}
    flat = _flat(problem, what, result[1])
    findings += flat
    malformed = (
        malformed
        or bool(flat)
        or not given.keys() <= set(problem.names)
        or any(isinstance(leaf, str) and given.get(chain) is not None for chain, leaf in numbers.items())
    )
    if rate is not None:
        start = {chain: problem.framework.to_numpy(leaf) for chain, leaf in problem.learned.items()}
        trained = set(selected(problem))
        findings += _moved(start, gradients, kept=start.keys() - trained)
        gradients = {
            chain: _read_back(start[chain], leaf, rate) for chain, leaf in gradients.items() if chain in trained
        }
        returned = {
            chain: leaf if leaf is None else _read_back(start[chain], leaf, rate)
            for chain, leaf in returned.items()
            if chain in trained
        }
    reshaped = {
        chain: leaf.reshape(problem.shape(chain))
        for chain, leaf in returned.items()
        if leaf is not None and leaf.shape != problem.shape(chain) and leaf.size == np.prod(problem.shape(chain))
    }
    by_position = _by_position(problem, result[1]) if malformed and rate is None else {}
    return Reply(cost, gradients, returned, adapted, findings, malformed, reshaped, by_position)


def _adapted(problem: Problem, value: Any, findings: list[Finding], *, has_options: bool) -> Arrays:
    """Return the adapted variables of the tasks that they were asked for, as far as they could be understood."""
    rows = 1 if problem.options.return_inner_v == "first" else problem.num_tasks
    counted = rows if has_options else _rows_given(problem, value, rows)
    shapes = {chain: (counted, *problem.shape(chain)) for chain in leaves(problem.variables)}
    found = _arrays(problem, "adapted", value, shapes, findings)
    findings += _flat(problem, "adapted", value)
    return {chain: leaf[:rows] for chain, leaf in found.items()}


def _of_other_dtypes(problem: Problem, parts: Mapping[str, Arrays]) -> list[Finding]:
    """Return a finding for each leaf that has not the dtype of its variable."""
    dtypes = problem.dtypes
    return [
        Finding("dtype", f"expected {part} of dtype {wanted}, but it is {leaf.dtype}", chain)
        for part, arrays in parts.items()
        for chain, leaf in arrays.items()
        if leaf.dtype != (wanted := dtypes.get(chain, problem.dtype))
    ]


def _rows_given(problem: Problem, value: Any, rows: int) -> int:
    """Return the number of tasks where every leaf has a row for each, else how many rows were asked for."""
    numbers = [_number(problem, leaf) for leaf in leaves(value).values()]
    if all(not isinstance(number, str) and number.shape[:1] == (problem.num_tasks,) for number in numbers):
        return problem.num_tasks
    return rows


def _by_chain(problem: Problem, what: str, value: Any, findings: list[Finding]) -> Any:
    """Return what came by the chains of the problem, or None, with a finding, where it has another form.

    Where rates are learned, variables and rates come apart.
    """
    if not problem.algorithm.rates:
        return value
    if not isinstance(value, Mapping) or VARIABLES not in value:
        came = f"a mapping with {', '.join(map(repr, value))}" if isinstance(value, Mapping) else _type_name(value)
        sentence = f"expected {{{VARIABLES!r}: …, {RATES!r}: …}}, both nested like the variables, but it is {came}"
        findings.append(Finding(what, sentence))
        return None
    rates = value.get(RATES)  # None, as for a single leaf: no gradient reached it
    return {**leaves(value[VARIABLES]), **({} if rates is None else leaves(rates, RATES))}


def _flat(problem: Problem, what: str, value: Any) -> list[Finding]:
    """Return a finding where key chains are the keys of what came: no leaf is found in it by its variable's place."""
    nesting = paths(problem.variables)
    apart = problem.algorithm.rates and what != "adapted" and isinstance(value, Mapping)
    for tree in (value.get(VARIABLES), value.get(RATES)) if apart else (value,):  # each is nested like the variables
        for chain, path in paths(tree).items():
            if path != nesting.get(chain, path):
                keys = "".join(f"[{key!r}]" for key in nesting[chain])
                return [Finding(what, f"expected it nested like the variables, with {keys}, but got [{chain!r}]")]
    return []


def _by_position(problem: Problem, value: Any) -> dict[str, NDArray[Any] | None]:
    """Return the arrays of a list or tuple by the variables in their order, where they have their shapes."""
    if not isinstance(value, list | tuple) or len(value) != len(problem.names):
        return {}
    arrays = [None if leaf is None else _number(problem, leaf) for leaf in value]
    found: dict[str, NDArray[Any] | None] = {}
    for chain, array in zip(problem.names, arrays, strict=True):
        if isinstance(array, str) or (array is not None and array.shape != problem.shape(chain)):
            return {}
        found[chain] = array
    return {chain: found[chain] for chain in selected(problem)}


def _read_back(start: NDArray[Any], moved: NDArray[Any], rate: float) -> NDArray[Any]:
    """Return (θ − θ')/β in float64: what is judged has the rounding of the subject alone."""
    if start.shape != moved.shape:
        return moved  # a finding says so
    found: NDArray[Any] = (start.astype(np.float64) - moved.astype(np.float64)) / rate
    return found


def _moved(start: Arrays, moved: Arrays, kept: set[str]) -> list[Finding]:
    """Return a finding for each variable that the outer loop does not select, and that moved."""
    return [
        Finding("parameters", "it changed, though the outer loop does not select it", chain, start[chain], leaf)
        for chain, leaf in moved.items()
        if chain in kept and not np.array_equal(leaf, start[chain])
    ]


def wrong_form(result: Any) -> Finding | None:
    """Return what is wrong with a result that is not (cost, grads) or (cost, grads, adapted)."""
    if isinstance(result, Sequence) and not isinstance(result, str | bytes) and len(result) in (2, 3):
        return None
    size = f" of length {len(result)}" if isinstance(result, Sequence) else ""
    came = f"{type(result).__name__}{size}"
    sentence = f"expected (cost, grads) or (cost, grads, adapted) as its result, but it returned {came}"
    return Finding("result", sentence)


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
        came = _type_name(value)
        sentence = f"expected a container with the leaves {', '.join(shapes)}, but it is {came}"
        findings.append(Finding(what, sentence))
        return {}
    given = {chain: leaf for chain, leaf in leaves(value).items() if leaf is not None or chain in shapes}
    extra = [chain for chain in given if chain not in shapes]
    if extra:
        known, some = ", ".join(shapes), ", ".join(shortened(repr(chain), 200) for chain in extra[:_SHOWN])
        more = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
        findings.append(Finding(what, f"expected only the leaves {known}, but got also {some}{more}"))
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
    return number_of(problem.framework.to_numpy, value)


def _type_name(value: Any) -> str:
    return value.type_name if isinstance(value, Given) else type(value).__name__


def number_of(to_numpy: Callable[[Any], NDArray[Any]], value: Any) -> NDArray[Any] | str:
    """Return a real array, or in words what the value is instead."""
    if isinstance(value, Given):
        return value.number
    if value is None or isinstance(value, str | bytes):
        return type(value).__name__
    try:
        array = to_numpy(value)
    except Exception as error:
        return f"{type(value).__name__}, which is not an array: its conversion raised {described(error)}"
    if is_masked(value):  # the conversion has numbers there that are none
        return f"{type(value).__name__} with masked entries"
    # A letter for each kind: NumPy counts times among the integers.
    return array if array.dtype.kind in "fiu" else f"{type(value).__name__} of dtype {array.dtype}"
