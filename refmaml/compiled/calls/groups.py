"""The tasks of a call, checked and sorted into groups that one program can run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np

from refmaml import validation
from refmaml.compiled.calls.arguments import Call
from refmaml.compiled.errors import UnsupportedPrimitive
from refmaml.compiled.program.program import stored
from refmaml.containers import Container, Leaves, Skeleton, children, fill, flatten, owned, prune, skeleton_of

Signature = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclass(frozen=True)
class Data:
    """The data of one loop of a group: its container, its arrays for all tasks, and its leaves that are no arrays."""

    skeleton: Skeleton
    arrays: Leaves  # [tasks in the group, …]; in batched mode the arrays themselves
    shapes: Leaves  # one task's, to trace with
    static: dict[str, Any]
    scalars: frozenset[str] = frozenset()  # leaves that are numbers of NumPy, not arrays


@dataclass(frozen=True)
class Group:
    """Tasks with the same selections and the same shapes of data."""

    tasks: Sequence[int]
    inner: tuple[str, ...]
    outer: tuple[str, ...]
    inner_data: Data
    outer_data: Data
    count: int  # tasks, or 1 in batched mode, where a program that is not separable runs once for all
    adapted: int  # how many of them keep their adapted variables

    @property
    def same_data(self) -> bool:
        """Whether both loops see the same data."""
        return self.inner_data is self.outer_data

    @property
    def data(self) -> list[Any]:
        """The arrays that the program is given, in the order of its parameters."""
        parts = [self.inner_data] if self.same_data else [self.inner_data, self.outer_data]
        return [stored(array) for part in parts for array in part.arrays.values()]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the options and the structure of the arguments determine; checked once for each."""

    skeleton: Skeleton
    chains: tuple[str, ...]
    tasks: int
    inner: list[list[str]]
    outer: list[list[str]]
    adapting: list[str]
    union: tuple[str, ...]
    adapted: str | None
    three: tuple[bool, bool]
    batch_skeleton: Skeleton
    uniform: bool


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A call, ready to run."""

    layout: Layout
    theta: Leaves
    rates: Leaves
    given_rates: Leaves  # as the caller wrote them: an inner step may tell an integer from a float
    steps: int
    rows: int
    batched: bool
    averaged: bool
    costs: tuple[Callable[..., Any], Callable[..., Any]]
    update: Callable[..., Any]
    stop_gradients: bool
    reptile: bool
    groups: list[Group]

    @property
    def terms(self) -> int:
        """The number of points over which cost and gradient are averaged."""
        return self.steps + 1 if self.averaged else 1


#: With the functions, so that no other function can get their identity.
_layouts: OrderedDict[Any, tuple[Layout, Any]] = OrderedDict()
_KEPT = 256


#: Leaves of data that are no arrays and that their type and text tell apart.
_STATIC = (type(None), bool, int, float, complex, str, bytes)


def identity(function: Any) -> Any:
    """Return what tells a function from every other that is alive; equality is up to the function's class."""
    if type(function) is MethodType:  # `model.cost` is a new object each time
        return id(function.__func__), id(function.__self__)
    return id(function)


def signature(leaves: Leaves) -> Signature:
    """Return key chain, shape and dtype of every leaf."""
    return tuple((chain, np.shape(leaf), np.asarray(leaf).dtype.str) for chain, leaf in leaves.items())


def prepared(call: Call) -> Prepared:
    """Check the arguments and sort the tasks into groups."""
    theta, batch = dict(flatten(call.variables)), dict(flatten(call.batch))
    layout = _layout(call, theta, batch)
    batched = bool(call.batched)
    reptile = call.kind == "reptile"
    rates = validation.learning_rate(
        call.inner_learning_rate, layout.adapting, list(layout.chains), nonzero=reptile
    )  # fmt: skip
    steps = validation.step_count(call.inner_grad_steps)
    costs = (call.inner_cost_fn, call.outer_cost_fn or call.inner_cost_fn)
    theta = {chain: np.asarray(leaf) for chain, leaf in theta.items()}
    if batched:
        theta = {chain: leaf[: layout.tasks] for chain, leaf in theta.items()}
    return Prepared(
        layout=layout,
        theta=theta,
        rates={chain: _floating(rate) for chain, rate in rates.items()},
        given_rates=rates,
        steps=steps,
        rows=layout.tasks if batched else 1,
        batched=batched,
        averaged=bool(call.average_across_steps),
        costs=costs,
        update=call.inner_optimization_step,
        stop_gradients=bool(call.stop_gradients),
        reptile=reptile,
        groups=_groups(call, layout, batch),
    )


def _floating(rate: Any) -> Any:
    """Return a rate as a floating-point number; one of Python stays one, since it promotes nothing."""
    if isinstance(rate, int | float) and not isinstance(rate, np.generic):
        return float(rate)
    array = np.asarray(rate)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _layout(call: Call, theta: Leaves, batch: Leaves) -> Layout:
    selections = (repr(call.inner_v), call.keep_inner_v), (repr(call.outer_v), call.keep_outer_v)
    functions = (call.inner_cost_fn, call.outer_cost_fn)
    key = (
        call.kind, selections, tuple(map(identity, functions)), call.batched, repr(call.return_inner_v),
        call.num_tasks, type(call.num_tasks), nesting(call.variables), nesting(call.batch),
        signature(theta), signature(batch),
    )  # fmt: skip
    if key not in _layouts:
        _layouts[key] = _checked_layout(call, theta), functions
        if len(_layouts) > _KEPT:
            _layouts.popitem(last=False)
    return _layouts[key][0]


def nesting(container: Container) -> Any:
    """Return a container's nesting as something that can be compared and hashed."""
    branch = children(container)
    if branch is None:
        return None
    return (type(container), tuple((key, nesting(child)) for key, child in branch))


def _checked_layout(call: Call, theta: Leaves) -> Layout:
    tasks, in_batch = validation.number_of_tasks(call.batch, call.num_tasks)
    validation.distinct_chains(call.variables, "variables")
    validation.variables(theta)
    if call.batched:
        validation.task_axis(theta, tasks, in_batch)
    selector = validation.Selector(tuple(theta), tasks, in_batch, bool(call.batched))
    inner = selector.chains("inner_v", call.inner_v, keep=call.keep_inner_v)
    outer = selector.chains("outer_v", call.outer_v, keep=call.keep_outer_v)
    adapted = validation.whose_adapted_variables(call.return_inner_v)
    three = validation.takes_outer_variables(call.inner_cost_fn, "inner_cost_fn")
    second = call.outer_cost_fn
    outer_three = three if second is None else validation.takes_outer_variables(second, "outer_cost_fn")
    chains = tuple(theta)
    return Layout(
        skeleton=skeleton_of(call.variables),
        chains=chains,
        tasks=tasks,
        inner=inner,
        outer=outer,
        adapting=[chain for chain in chains if any(chain in selection for selection in inner)],
        union=tuple(chain for chain in chains if any(chain in selection for selection in outer)),
        adapted=adapted,
        three=(three, outer_three),
        batch_skeleton=skeleton_of(call.batch),
        uniform=all(selection == inner[0] for selection in inner) and all(selection == outer[0] for selection in outer),
    )


def _groups(call: Call, layout: Layout, batch: Leaves) -> list[Group]:
    inner_fn, outer_fn = call.inner_batch_fn, call.outer_batch_fn
    batched, tasks = bool(call.batched), layout.tasks
    if layout.uniform and inner_fn is None and outer_fn is None:
        data = _direct(layout, batch, batched)
        count = 1 if batched else tasks
        adapted = 0 if layout.adapted is None else count if layout.adapted == "all" else 1
        return [Group(range(tasks), tuple(layout.inner[0]), tuple(layout.outer[0]), data, data, count, adapted)]
    return _sorted_tasks(layout, batch, inner_fn, outer_fn, batched)


def _direct(layout: Layout, batch: Leaves, batched: bool) -> Data:
    """Return the batch itself, which the program cuts into tasks."""
    arrays = {chain: np.ascontiguousarray(leaf[: layout.tasks]) for chain, leaf in batch.items()}
    shapes = arrays if batched else {chain: leaf[:1] for chain, leaf in arrays.items()}
    return Data(layout.batch_skeleton, arrays, shapes, {})


def _sorted_tasks(
    layout: Layout, batch: Leaves, inner_fn: Any, outer_fn: Any, batched: bool
) -> list[Group]:  # fmt: skip
    tasks = [slice(0, layout.tasks)] if batched else [slice(t, t + 1) for t in range(layout.tasks)]
    sorted_tasks: dict[Any, list[tuple[int, Any, Any]]] = {}
    for t, rows in enumerate(tasks):
        where = "all tasks in one batch" if batched else f"task {t}"
        cuts = [_cut(layout, batch, rows, fn, f"{name}_batch_fn, {where}") for name, fn in
                (("inner", inner_fn), ("outer", outer_fn))]  # fmt: skip
        key = (tuple(layout.inner[t]), tuple(layout.outer[t]), *(_kind_of(cut) for cut in cuts))
        sorted_tasks.setdefault(key, []).append((t, *cuts))
    return [_group(layout, key, members, batched) for key, members in sorted_tasks.items()]


def _cut(layout: Layout, batch: Leaves, rows: slice, batch_fn: Any, where: str) -> Container:
    """Return one task's data: a copy of its rows, through the batch function."""
    data = fill(layout.batch_skeleton, {chain: owned(leaf[rows]) for chain, leaf in batch.items()})
    if batch_fn is None:
        return data
    with validation.Noted(where):
        made = batch_fn(data)
    for chain, leaf in flatten(made):
        if type(leaf) not in (np.ndarray, *_STATIC) and not isinstance(leaf, np.generic):
            raise UnsupportedPrimitive(
                f"{where}: it returned a {type(leaf).__name__} at {chain!r}, and nothing tells whether that stays the "
                "same. Return plain arrays, numbers and text, or pass on_unsupported='reference'."
            )
    return made


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | np.generic)


def _kind_of(data: Container) -> Any:
    leaves = dict(flatten(data))
    arrays = signature({chain: leaf for chain, leaf in leaves.items() if _is_array(leaf)})
    scalars = tuple(chain for chain, leaf in leaves.items() if isinstance(leaf, np.generic))
    return nesting(data), arrays, scalars, static_key({k: leaf for k, leaf in leaves.items() if not _is_array(leaf)})


def static_key(static: dict[str, Any]) -> Any:
    """Return leaves that are no arrays as something that tells 1 from True."""
    return tuple((chain, type(leaf), repr(leaf)) for chain, leaf in static.items())


def _group(layout: Layout, key: Any, members: list[tuple[int, Any, Any]], batched: bool) -> Group:
    tasks = [t for t, _, _ in members]
    inner, outer = (_stacked([member[position] for member in members], batched) for position in (1, 2))
    adapted = 0
    if layout.adapted == "all":
        adapted = len(members)
    elif layout.adapted == "first" and tasks[0] == 0:
        adapted = 1
    return Group(tasks, key[0], key[1], inner, outer, len(members), adapted)


def _stacked(containers: list[Container], batched: bool) -> Data:
    rows = [dict(flatten(container)) for container in containers]
    shapes = {chain: np.asarray(leaf) for chain, leaf in rows[0].items() if _is_array(leaf)}
    arrays = {
        chain: np.ascontiguousarray(rows[0][chain] if batched else np.stack([row[chain] for row in rows]))
        for chain in shapes
    }
    static = {chain: leaf for chain, leaf in rows[0].items() if not _is_array(leaf)}
    scalars = frozenset(chain for chain, leaf in rows[0].items() if isinstance(leaf, np.generic))
    return Data(skeleton_of(containers[0]), arrays, shapes, static, scalars)


def combined(ready: Prepared, results: list[Any]) -> tuple[Any, ...]:
    """Return (mean cost, mean gradients[, adapted variables]) of all groups."""
    layout, many = ready.layout, ready.layout.tasks * ready.terms
    if ready.batched:
        many = ready.terms
    cost, gradient = 0.0, dict[str, Any]()
    for group, (plan, (part, sums, _)) in zip(ready.groups, results, strict=True):
        cost += part
        for leaf in plan.leaves:
            if leaf.chain in group.outer:
                block = sums[leaf.dtype][leaf.start : leaf.start + leaf.size].reshape(leaf.shape)
                gradient[leaf.chain] = block if leaf.chain not in gradient else gradient[leaf.chain] + block
    kind = np.result_type(*(plan.cost_dtype for plan, _ in results))
    number = (kind if kind.kind == "f" else np.dtype(np.float64)).type(cost / many)
    means = {chain: _mean(ready, chain, gradient[chain], many) for chain in layout.union}
    answer: list[Any] = [number, fill(prune(layout.skeleton, layout.union), means)]
    if layout.adapted:
        answer.append(fill(layout.skeleton, _adapted(ready, results)))
    return tuple(answer)


def _mean(ready: Prepared, chain: str, total: Any, many: int) -> Any:
    dtype = total.dtype
    if ready.reptile:
        rate = np.asarray(ready.rates[chain if chain in ready.rates else ""]).astype(dtype)
        total = total / rate
        many = ready.layout.tasks
    if ready.batched:  # one row for each task, or one that is the sum of them
        total = total.sum(axis=0)
    return np.asarray(total / dtype.type(many)).astype(dtype, copy=False)


def _adapted(ready: Prepared, results: list[Any]) -> Leaves:
    """Return the adapted variables with a leading task axis, tasks in their order."""
    found: Leaves = {}
    first = ready.layout.adapted == "first"
    for leaf in results[0][0].leaves:
        if ready.batched:
            _, (_, _, kept) = results[0]
            block = kept[leaf.dtype][:, leaf.start : leaf.start + leaf.size].reshape(-1, *leaf.shape[1:])
            found[leaf.chain] = np.array(block[:1] if first else block)
            continue
        rows = [
            (t, row)
            for group, (_, (_, _, kept)) in zip(ready.groups, results, strict=True)
            for t, row in zip(group.tasks, kept[leaf.dtype][:, leaf.start : leaf.start + leaf.size], strict=False)
        ]
        ordered = [row.reshape(leaf.shape) for _, row in sorted(rows, key=lambda pair: pair[0])]
        found[leaf.chain] = np.stack(ordered)
    return found
