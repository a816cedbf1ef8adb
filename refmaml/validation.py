"""Every check of the inputs, and every error text.

Each check runs before the first cost is called, or guards the result of a caller's function; each error says what was
expected, what came, and where: the key chain, the task, the step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from refmaml.containers import Array, Container, Leaves, below, children, complement, flatten, unbox

_RETURN_INNER_V = {"first": "first", "all": "all", True: "all", False: None}


def number_of_tasks(batch: Container, num_tasks: int | None) -> tuple[int, int]:
    """Return (tasks to use, tasks in the batch): the length of the leading axis that all leaves share."""
    lengths = {chain or "batch": (np.shape(unbox(leaf)) or (None,))[0] for chain, leaf in flatten(batch)}
    if not lengths:
        raise ValueError("batch: expected at least one array with a leading task axis, but it has no leaves.")
    if None in lengths.values() or len(set(lengths.values())) > 1:
        listing = ", ".join(f"{chain}: {'none' if n is None else n}" for chain, n in lengths.items())
        raise ValueError(f"batch: expected a leading task axis of one length on every leaf, but got {listing}.")
    length: int = next(iter(lengths.values()))
    if num_tasks is None and length == 0:
        raise ValueError(f"batch: expected at least one task, but the leading axis has length 0 ({_list(lengths)}).")
    if num_tasks is None:
        return length, length
    _require_integer("num_tasks", num_tasks)
    if not 1 <= num_tasks <= length:
        raise ValueError(f"num_tasks: expected 1 to {length}, the tasks in the batch, but got {num_tasks}.")
    return int(num_tasks), length


def step_count(inner_grad_steps: int) -> int:
    """Return the number of inner steps as an int that is not negative."""
    _require_integer("inner_grad_steps", inner_grad_steps)
    if inner_grad_steps < 0:
        raise ValueError(f"inner_grad_steps: expected 0 or more, but got {inner_grad_steps}.")
    return int(inner_grad_steps)


def _require_integer(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, but got {value!r} of type {type(value).__name__}.")


def variables(leaves: Leaves) -> None:
    """Check that there are variables and that each is an array of floating-point numbers."""
    if not leaves:
        raise ValueError("variables: expected at least one array, but the container has no leaves.")
    for chain, leaf in leaves.items():
        dtype = np.asarray(unbox(leaf)).dtype
        if not np.issubdtype(dtype, np.floating):
            raise TypeError(
                f"variables, {_name(chain)}: expected a floating-point dtype such as float32 or float64, but got "
                f"{dtype}. Convert it, for example with np.asarray(x, dtype=np.float64)."
            )


def distinct_chains(container: Container, what: str) -> None:
    """Check that no two leaves answer to one key chain."""
    taken = set()
    for chain, _ in flatten(container):
        if chain in taken:
            raise ValueError(f"{what}: expected one leaf for each key chain, but {chain!r} names two. Rename a key.")
        taken.add(chain)


def task_axis(leaves: Leaves, tasks: int, in_batch: int) -> None:
    """Check that each variable has one row for each task (batched mode)."""
    for chain, leaf in leaves.items():
        shape = np.shape(unbox(leaf))
        if not shape or shape[0] not in (tasks, in_batch):
            raise ValueError(
                f"variables, {_name(chain)}: with batched=True expected a leading task axis of length {tasks}, but "
                f"got shape {shape}. Repeat the variables for each task, or pass batched=False."
            )


def learning_rate(rate: Container, adapted: Sequence[str], existing: Sequence[str], *, nonzero: bool) -> Leaves:
    """Return the rates by key chain; a number or an array that holds for every leaf is under the empty string."""
    rates = dict(flatten(rate))
    if children(rate) is not None:
        _require_chains("inner_learning_rate", rates, existing)
        missing = complement(adapted, rates)
        if missing:
            raise ValueError(
                f"inner_learning_rate: expected a rate for every adapted leaf, but {_list(missing)} has none."
            )
    for chain, value in rates.items():
        where = f"inner_learning_rate, {chain!r}" if chain else "inner_learning_rate"
        array = np.asarray(unbox(value))
        if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
            raise TypeError(f"{where}: expected a real number, but got {value!r} of type {type(value).__name__}.")
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{where}: expected a finite number, but got {array}.")
        if nonzero and np.any(array == 0):
            raise ValueError(
                f"{where}: expected a rate other than 0, since reptile_step divides by it, but got {array}."
            )
    return rates


def whose_adapted_variables(return_inner_v: object) -> str | None:
    """Return 'first', 'all' or None."""
    if isinstance(return_inner_v, str | bool) and return_inner_v in _RETURN_INNER_V:
        return _RETURN_INNER_V[return_inner_v]
    raise ValueError(f"return_inner_v: expected 'first', 'all', True or False, but got {return_inner_v!r}.")


def takes_outer_variables(cost_fn: Callable[..., Array], name: str) -> bool:
    """Return whether a cost has the three-parameter form, told by its required positional parameters."""
    if not callable(cost_fn):
        raise TypeError(f"{name}: expected a function, but got {cost_fn!r} of type {type(cost_fn).__name__}.")
    try:
        parameters = inspect.signature(cost_fn).parameters.values()
    except ValueError as error:
        raise TypeError(f"{name}: its parameters cannot be read ({error}). Wrap it in a def or a lambda.") from error
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        parameter.name
        for parameter in parameters
        if parameter.kind in positional and parameter.default is parameter.empty
    ]
    if len(required) not in (2, 3):
        raise TypeError(
            f"{name}: expected two required parameters (batch, v) or three (batch, inner_v, outer_v), but it has "
            f"{len(required)}: ({', '.join(required)})."
        )
    return len(required) == 3


def scalar(value: Array, where: str) -> Array:
    """Check that a cost returned a real number or an array of one; NaN and infinity pass."""
    array = np.asarray(unbox(value))
    real = np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)
    if array.size != 1 or not real:
        raise ValueError(f"{where}: expected a real scalar, but got shape {array.shape} of dtype {array.dtype}.")
    return value


def updated(news: Container, leaves: Leaves, where: str) -> Leaves:
    """Check that an inner step returned the structure, shapes and dtypes that it was given."""
    returned = {chain: leaf for chain, leaf in flatten(news) if leaf is not None}
    wrong = [*complement(leaves, returned), *complement(returned, leaves)]
    if wrong:
        raise ValueError(
            f"{where}: expected the leaves {_list(leaves)}, but it returned {_list(returned) or 'none'}; "
            f"they differ in {_list(wrong)}."
        )
    for chain, leaf in leaves.items():
        expected, came = unbox(leaf), np.asarray(unbox(returned[chain]))
        if (came.shape, came.dtype) != (expected.shape, expected.dtype):
            raise ValueError(
                f"{where}, {_name(chain)}: expected shape {expected.shape} of dtype {expected.dtype}, but it returned "
                f"shape {came.shape} of dtype {came.dtype}."
            )
    return {chain: returned[chain] for chain in leaves}


@dataclass(frozen=True)
class Noted:
    """Adds to an exception of the caller's own function where it was raised (PEP 678; older Pythons keep the list)."""

    where: str

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception):
            error.__notes__ = [*getattr(error, "__notes__", ()), f"refmaml: raised in {self.where}."]


@dataclass(frozen=True)
class Selector:
    """Reads selections of variables: the key chains that exist, and the tasks that they are for."""

    existing: Sequence[str]
    tasks: int
    in_batch: int
    batched: bool

    def chains(self, name: str, selection: Container, *, keep: bool) -> list[list[str]]:
        """Return the selected key chains of each task (of all at once in batched mode), in the container's order."""
        if not _is_per_task(selection):
            return [_selected(selection, keep, self.existing, name)] * (1 if self.batched else self.tasks)
        if self.batched:
            raise ValueError(f"{name}: expected one selection for all tasks with batched=True, but got one per task.")
        if len(selection) not in (self.tasks, self.in_batch):
            raise ValueError(
                f"{name}: expected one selection for each of {self.tasks} tasks, but got {len(selection)}."
            )
        each_task = enumerate(selection[: self.tasks])
        return [_selected(chosen, keep, self.existing, f"{name}, task {t}") for t, chosen in each_task]


def _is_per_task(selection: Container) -> bool:
    if not isinstance(selection, list | tuple) or not selection:
        return False
    return selection[0] is None or isinstance(selection[0], list | tuple | Mapping)


def _selected(selection: Container, keep: bool, chains: Sequence[str], name: str) -> list[str]:
    """Return the key chains that one selection names, or those it leaves out; None names every leaf either way."""
    if selection is None:
        return list(chains)
    named = _chains_of(selection, chains, name)
    chosen = [chain for chain in chains if (chain in named) == bool(keep)]
    if not chosen:
        raise ValueError(f"{name}: expected at least one variable, but {selection!r} with keep={keep} selects nothing.")
    return chosen


def _chains_of(selection: Container, chains: Sequence[str], name: str) -> set[str]:
    if isinstance(selection, Mapping):
        flags = dict(flatten(selection))
        wrong = {chain: flag for chain, flag in flags.items() if not isinstance(flag, bool | np.bool_)}
        if wrong:
            raise TypeError(f"{name}: expected True or False for each key chain, but got {wrong}.")
        _require_chains(name, flags, chains)
        return {leaf for chain, flag in flags.items() if flag for leaf in below(chains, chain)}
    listed = [selection] if isinstance(selection, str) else selection
    if not isinstance(listed, list | tuple) or not all(isinstance(chain, str) for chain in listed):
        raise TypeError(
            f"{name}: expected None, a key chain, a list of key chains or a mapping to booleans, but got {selection!r}."
        )
    _require_chains(name, listed, chains)
    return {leaf for chain in listed for leaf in below(chains, chain)}


def _require_chains(name: str, wanted: Mapping[str, Any] | Sequence[str], chains: Sequence[str]) -> None:
    unknown = [chain for chain in wanted if not below(chains, chain)]
    if unknown:
        raise KeyError(f"{name}: expected key chains of the variables ({_list(chains)}), but got {_list(unknown)}.")


def _list(chains: Mapping[str, Any] | Sequence[str]) -> str:
    return ", ".join(repr(chain) for chain in chains)


def _name(chain: str) -> str:
    return repr(chain) if chain else "the array itself"
