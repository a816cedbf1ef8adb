"""One call of a step with everything in it, so that relations can ask again with one thing changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from verification.frameworks import Framework
from verification.problems.problem import Problem
from verification.problems.trees import Tree, leaves, map_leaves
from verification.relations.answer import Array, Arrays, StepAnswer, norm
from verification.relations.costs import Cost
from verification.subjects.calling import arguments_of, supported

_SELECTIONS = ("inner_v", "outer_v")
#: What a step that takes a keyword supports.
_OF_KEYWORD = {
    "average_across_steps": "averaging",
    "batched": "batched",
    **dict.fromkeys(("inner_v", "keep_inner_v", "outer_v", "keep_outer_v"), "selections"),
}


class StepError(Exception):
    """The step raised, or returned what cannot be compared; the message says what."""


class NotTested(Exception):  # noqa: N818  # not an error: a relation that has nothing to say, with its reason
    """A relation does not apply to a case; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One meta-learning step to ask: batch, variables and rate in NumPy, made native and fresh for every call.

    `options` has the keywords that the caller gave, other than `batched`, `return_inner_v` and `num_tasks`: tasks
    beyond those asked for are cut off when the case is made.
    """

    step: Callable[..., Any]
    framework: Framework
    batch: Tree
    inner_cost: Cost
    outer_cost: Cost | None
    variables: Tree
    steps: int
    rate: Any
    order: int = 1
    batched: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict, init=False)  # what is measured once

    # What is asked

    @property
    def tasks(self) -> int:
        """T, the number of tasks in the batch."""
        return int(next(iter(leaves(self.batch).values())).shape[0])

    @property
    def theta(self) -> Arrays:
        """θ by key chain."""
        return leaves(self.variables)

    @property
    def rows(self) -> int:
        """How many rows a variable has: T in batched mode, 1 where it has no leading task axis."""
        return self.tasks if self.batched else 1

    @property
    def query_cost(self) -> Cost:
        """Q as a function: the inner cost function where there is no outer one."""
        return self.outer_cost or self.inner_cost

    @cached_property
    def unit_roundoff(self) -> float:
        """Unit roundoff u of the coarsest precision among the variables."""
        return max(float(np.finfo(leaf.dtype).eps) / 2 for leaf in self.theta.values())

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context in which the framework works in the variables' highest precision."""
        return self.framework.precision(np.result_type(*self.theta.values()))

    def takes(self, keyword: str) -> bool:
        """Return whether the step has that keyword."""
        parameters = inspect.signature(self.step).parameters
        return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def require(self, *keywords: str) -> None:
        """Raise `NotTested` unless the step takes all these keywords."""
        missing = [keyword for keyword in keywords if not self.takes(keyword) or self._disclaims(keyword)]
        if missing:
            raise NotTested(f"the step does not take {', '.join(missing)}")

    def _disclaims(self, keyword: str) -> bool:
        """Return whether the step says what it supports, and that is not among it."""
        return hasattr(self.step, "supports") and _OF_KEYWORD.get(keyword, "") not in {"", *supported(self.step)}

    def forbid(self, *keywords: str) -> None:
        """Raise `NotTested` if the caller uses one of these options."""
        used = [keyword for keyword in keywords if self.options.get(keyword) not in (None, False)]
        if used:
            raise NotTested(f"it does not hold with {', '.join(used)}")

    # Asking

    @cached_property
    def answer(self) -> StepAnswer:
        """What the step says, asked once."""
        return self.ask()

    def ask(self) -> StepAnswer:
        """Call the step with fresh native arrays and read what it returns."""
        return self.read(self.call(*self.native()))

    def native(self) -> tuple[Tree, Tree, Any]:
        """Return batch, variables and rate in the step's own arrays, sharing nothing with the case."""
        make = self.framework.array
        rate = self.rate if np.isscalar(self.rate) else map_leaves(make, self.rate)
        return map_leaves(make, self.batch), map_leaves(make, self.variables), rate

    def call(self, batch: Tree, variables: Tree, rate: Any) -> Any:
        """Call the step on native arrays; whatever it raises becomes a `StepError`."""
        keywords = dict(self.options)
        if self.takes("batched"):
            keywords["batched"] = self.batched
        if self.takes("return_inner_v"):
            keywords["return_inner_v"] = True
        try:
            with self.precision():
                return self.step(batch, self.inner_cost, self.outer_cost, variables, self.steps, rate, **keywords)
        except Exception as error:
            raise StepError(f"the step raised {type(error).__name__}: {error}") from error

    def read(self, result: Any) -> StepAnswer:
        """Return the arrays in a step's result, as copies."""
        if not isinstance(result, Sequence) or len(result) not in (2, 3):
            raise StepError(f"expected (cost, grads) or (cost, grads, adapted), but got {type(result).__name__}")
        cost = self._array("the cost", result[0])
        if cost.size != 1:
            raise StepError(f"expected the cost to be a scalar, but got shape {cost.shape}")
        shapes = {chain: leaf.shape[1:] if self.batched else leaf.shape for chain, leaf in self.theta.items()}
        gradients = self._arrays("gradients", result[1], shapes)
        used = self.options.get("num_tasks") or self.tasks
        rows = {chain: (used, *shape) for chain, shape in shapes.items()}
        adapted = self._arrays("adapted", result[2], rows) if len(result) == 3 else None
        return StepAnswer(float(cost.reshape(())), gradients, adapted)

    def _arrays(self, what: str, tree: Tree, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
        found = {chain: leaf for chain, leaf in leaves(tree).items() if leaf is not None or chain in shapes}
        arrays = {chain: self._array(f"{what}, {chain!r}", leaf) for chain, leaf in found.items()}
        for chain, array in arrays.items():
            if array.shape != shapes.get(chain):
                expected = f"shape {shapes[chain]}" if chain in shapes else f"the leaves {', '.join(shapes)} alone"
                raise StepError(f"expected {expected} in {what}, but got {chain!r} of shape {array.shape}")
        return arrays

    def _array(self, where: str, value: Any) -> Array:
        array = np.array(self.framework.to_numpy(value)) if value is not None else np.asarray(None)
        if not np.issubdtype(array.dtype, np.floating):
            raise StepError(f"expected real numbers in {where}, but got {array.dtype if value is not None else None}")
        return array

    # Asking something else

    def but(self, **changes: Any) -> Case:
        """Return the case with fields changed."""
        return replace(self, **changes)

    def with_options(self, **options: Any) -> Case:
        """Return the case with options added or changed."""
        return replace(self, options={**self.options, **options})

    def with_rows(self, index: Array) -> Case:
        """Return the case with these tasks, in this order; options and variables of a task go with it."""
        changed: dict[str, Any] = {
            name: [self.options[name][t] for t in index] for name in _SELECTIONS if per_task(self.options.get(name))
        }
        variables = map_leaves(lambda leaf: leaf[index], self.variables) if self.batched else self.variables
        batch = map_leaves(lambda leaf: leaf[index], self.batch)
        return replace(self, batch=batch, variables=variables, options={**self.options, **changed})

    def task(self, t: int) -> Case:
        """Return the case of one task alone."""
        return self.with_rows(np.array([t]))

    def starting_at(self, rows: Arrays) -> Case:
        """Return the case with other variables, given with a leading task axis; in loop mode there is one task."""
        return replace(self, variables=self.nested(rows if self.batched else {c: leaf[0] for c, leaf in rows.items()}))

    def nested(self, arrays: Arrays) -> Tree:
        """Return `arrays`, in θ's order, in the nesting and the dtypes of the variables."""
        chains = iter(self.theta)
        return map_leaves(lambda leaf: np.asarray(arrays[next(chains)], leaf.dtype), self.variables)

    def moved(self, direction: Arrays, length: float) -> Case:
        """Return the case at θ + length · direction, the same for every task."""
        return replace(self, variables=self.nested({c: leaf + length * direction[c] for c, leaf in self.theta.items()}))

    def scaled_rate(self, factor: float) -> Any:
        """Return the learning rate, or each leaf's, times a factor."""
        return map_leaves(lambda rate: rate * factor, self.rate)

    def rate_of(self, chain: str) -> Array:
        """Return the learning rate of a leaf."""
        rates = {"": self.rate} if np.isscalar(self.rate) else leaves(self.rate)
        return np.asarray(rates.get(chain, rates.get("", 0.0)))

    @property
    def rate_size(self) -> float:
        """The largest learning rate, without its sign."""
        return max(float(np.max(np.abs(self.rate_of(chain)))) for chain in self.theta)

    def directions(self, count: int) -> list[Arrays]:
        """Return random directions with the length of θ, without task axis."""
        rng = np.random.default_rng(29)
        start = {chain: leaf[0] if self.batched else leaf for chain, leaf in self.theta.items()}
        length = float(np.sqrt(sum(np.sum(leaf.astype(np.float64) ** 2) for leaf in start.values()))) or 1.0
        drawn = [{chain: rng.normal(size=np.shape(leaf)) for chain, leaf in start.items()} for _ in range(count)]
        return [{c: v * (length / norm(direction)) for c, v in direction.items()} for direction in drawn]


def per_task(selection: Any) -> bool:
    """Return whether a selection is a list with one selection for each task."""
    if not isinstance(selection, list | tuple) or not selection:
        return False
    return selection[0] is None or isinstance(selection[0], list | tuple | Mapping)


def make_case(
    step: Callable[..., Any],
    framework: Framework,
    batch: Tree,
    inner_cost: Cost,
    outer_cost: Cost | None,
    variables: Tree,
    steps: int,
    rate: Any,
    *,
    order: int = 1,
    batched: bool | None = None,
    num_tasks: int | None = None,
    return_inner_v: str | bool = True,  # noqa: ARG001  # asked for wherever the step can
    **options: Any,
) -> Case:
    """Return the case of one call; `batched` is by default what the step's own default is.

    Raises:
        ValueError: the batch, or in batched mode a variable, has not the task axis that it should have.
    """

    def array(leaf: Any) -> Array:
        return np.array(framework.to_numpy(leaf))

    case = Case(
        step=step, framework=framework, batch=map_leaves(array, batch), inner_cost=inner_cost, outer_cost=outer_cost,
        variables=map_leaves(array, variables), steps=steps,
        rate=rate if np.isscalar(rate) else map_leaves(array, rate), order=order,
        batched=_default_mode(step) if batched is None else batched,
        options={name: value for name, value in options.items() if value is not None},
    )  # fmt: skip
    _require_task_axes(case, num_tasks)
    return case if num_tasks is None else case.with_rows(np.arange(num_tasks))


def _require_task_axes(case: Case, num_tasks: int | None) -> None:
    lengths = {chain: (leaf.shape or (None,))[0] for chain, leaf in leaves(case.batch).items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        listing = ", ".join(f"{chain or 'batch'}: {'none' if n is None else n}" for chain, n in lengths.items())
        expected = "a leading task axis of one length on every leaf"
        raise ValueError(f"batch: expected {expected}, but got {listing or 'no leaves'}.")
    if num_tasks is not None and not 1 <= num_tasks <= case.tasks:
        raise ValueError(f"num_tasks: expected 1 to {case.tasks}, the tasks in the batch, but got {num_tasks}.")
    for chain, leaf in case.theta.items() if case.batched else ():
        if not leaf.shape or leaf.shape[0] not in (case.tasks, num_tasks):
            raise ValueError(
                f"variables, {chain!r}: with batched=True expected a leading task axis of length {case.tasks}, but got "
                f"shape {leaf.shape}. Repeat the variables for each task, or pass batched=False."
            )


def _default_mode(step: Callable[..., Any]) -> bool:
    parameter = inspect.signature(step).parameters.get("batched")
    return bool(parameter is not None and parameter.default is True)


def case_of(step: Callable[..., Any], problem: Problem) -> Case:
    """Return the case that asks a step one of the built-in problems, first or second order."""
    if problem.order not in (1, 2):
        raise ValueError(f"problem: expected one of order 1 or 2, but {problem.name} has order {problem.order!r}.")
    positional, keywords = arguments_of(step, problem)
    return make_case(step, problem.framework, *positional, order=int(problem.order), **keywords)
