"""From a cost function and the shapes of its arguments to a compiled step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refmaml import validation
from refmaml.compiled.calls.groups import nesting, static_key
from refmaml.compiled.code.bodies import Data, Leaf, Role, Step
from refmaml.compiled.code.source import emitted, fits_lanes
from refmaml.compiled.errors import ValueDependence
from refmaml.compiled.lowering.traced import Traced, trace, traced_again
from refmaml.compiled.machine.runtime import executable, lanes_of
from refmaml.compiled.program.program import DType, Shape, Value, stored_dtype
from refmaml.compiled.program.separable import MixesTasksError, one_task
from refmaml.compiled.recording.record import Program, inner_product, value_and_gradients
from refmaml.compiled.running.plan import Plan
from refmaml.containers import Array, Container, Leaves, Skeleton, fill, flatten, merge, prune, select
from refmaml.updates import gradient_descent_update

_log = logging.getLogger("refmaml.compiled")


@dataclass(frozen=True)
class Cost:
    """A cost function with the container that its data arrives in, and the parts of the variables that it gets."""

    function: Callable[..., Array]
    name: str
    data: Skeleton
    static: dict[str, Any]  # leaves of the data that are not arrays
    scalars: frozenset[str]  # those that are numbers of NumPy
    views: tuple[Skeleton, ...]

    def __call__(self, boxes: dict[str, Any], leaves: Leaves) -> Array:
        """Evaluate the cost on recorded data."""
        given = fill(self.data, {**self.static, **_by_name(boxes, "b/")})
        before = dict(flatten(given))
        with validation.Noted(self.name):
            value = self.function(given, *(fill(view, leaves) for view in self.views))
        if type(value) is int:
            value = float(value)  # a constant cost; autograd has boxes for numbers with a point alone
        after = dict(flatten(given))
        if before.keys() != after.keys() or any(before[chain] is not after[chain] for chain in before):
            raise ValueDependence(f"{self.name}: it writes into the batch that it is given. Copy the container first.")
        return value


@dataclass(frozen=True, kw_only=True)
class Request:
    """One kind of step on one kind of task: everything that its program depends on."""

    kind: str
    inner_cost: Cost
    outer_cost: Cost
    skeleton: Skeleton
    theta: Leaves
    inner_data: Leaves  # one task's, array leaves only
    outer_data: Leaves
    same_data: bool
    inner: tuple[str, ...]
    outer: tuple[str, ...]
    update: Callable[..., Container]
    stop_gradients: bool
    rates: Leaves
    given_rates: Leaves
    rows: int

    @property
    def plain(self) -> bool:
        """Whether the inner step is gradient descent with one rate, which needs no program of its own."""
        one_rate = set(self.rates) == {""} and np.ndim(self.rates[""]) == 0
        return self.update is gradient_descent_update and one_rate


def plan(request: Request) -> Plan:
    """Trace, simplify, schedule, emit and compile."""
    _log.info("tracing %s", request.inner_cost.name)
    traced = {name: trace(*program) for name, program in _programs(request).items()}
    if "inner" in traced:
        del traced["inner"].outputs["cost"]  # it was traced for the proof at first use alone
    cut = _one_task(traced, request.rows)
    leaves = _table({chain: leaf[:1] for chain, leaf in request.theta.items()} if cut else request.theta, "theta")
    rates = [] if request.plain else _table(request.rates, "rate")
    inner_data = _data(request.inner_data, "inner", own_row=bool(cut))
    outer_data = inner_data if request.same_data else _data(request.outer_data, "outer", own_row=bool(cut))
    outputs = cut or {name: program.outputs for name, program in traced.items()}
    roles = {name: Role(own, inner_data if name != "outer" else outer_data) for name, own in outputs.items()}
    shared = _is_shared(request)
    inner = Role(roles["outer"].outputs, inner_data) if shared else roles["inner"]
    parts = (request.kind, leaves, inner, roles["outer"], roles.get("adjoint"), rates, shared)
    step = Step(*parts)
    written = emitted(step)
    lanes = lanes_of(max(step.precisions, key=lambda dtype: dtype.itemsize))
    if lanes > 1 and fits_lanes(step, written):
        step = Step(*parts, lanes)
        written = emitted(step)
    _log.debug("emitted source:\n%s", written.source)
    return Plan(
        run=executable(written),
        source=written.source,
        leaves=leaves,
        inner_data=inner_data,
        outer_data=() if request.same_data else outer_data,
        same_data=request.same_data,
        rates=rates,
        separable=bool(cut),
        lanes=step.lanes,
        sizes=step.workspace.sizes,
        totals=step.totals,
        constants=[(value.dtype, start, value.array()) for value, start in step.workspace.constants],
        cost_dtype=traced["outer"].outputs["cost"].dtype,
        history=_history(step),
        traced={name: program.expected for name, program in traced.items()},
        precisions={name: program.precision for name, program in traced.items()},
        fingerprints={name: program.fingerprint for name, program in traced.items()},
    )


def _history(step: Step) -> dict[DType, int]:
    if step.kind != "second":
        return {}
    return {dtype: total + step.record.get(dtype, 0) for dtype, total in step.totals.items()}


def _one_task(traced: dict[str, Traced], rows: int) -> dict[str, dict[str, Value]] | None:
    """Return the outputs of the programs of one task, or None where there is one only, or tasks are mixed."""
    if rows == 1:
        return None
    try:
        return {name: one_task(program.outputs, rows) for name, program in traced.items()}
    except MixesTasksError as reason:
        _log.info("all tasks are one program: %s", reason)
        return None


def _table(leaves: Leaves, stem: str) -> list[Leaf]:
    """Lay leaves one after the other, those of each dtype apart."""
    table, ends = [], dict[DType, int]()
    for number, (chain, leaf) in enumerate(leaves.items()):
        array = np.asarray(leaf)
        start = ends.get(array.dtype, 0)
        table.append(Leaf(chain, f"{stem}{number}", array.shape, array.dtype, start, array.size))
        ends[array.dtype] = -(-(start + array.size) // 16) * 16
    return table


def _data(leaves: Leaves, which: str, *, own_row: bool) -> tuple[Data, ...]:
    return tuple(
        Data(chain, f"{which}{number}", (1, *leaf.shape[1:]) if own_row else leaf.shape, stored_dtype(leaf.dtype))
        for number, (chain, leaf) in enumerate(leaves.items())
    )


def _is_shared(request: Request) -> bool:
    """Tell whether the inner gradient and the outer cost and gradient are one program."""
    return (
        request.kind == "first"
        and request.plain
        and request.inner_cost.function is request.outer_cost.function
        and set(request.inner) == set(request.outer)
        and _signature(request.inner_data) == _signature(request.outer_data)
        and nesting(request.inner_cost.data) == nesting(request.outer_cost.data)
        and static_key(request.inner_cost.static) == static_key(request.outer_cost.static)
        and request.inner_cost.scalars == request.outer_cost.scalars
    )


def _signature(leaves: Leaves) -> list[tuple[str, Shape, str]]:
    return [(chain, leaf.shape, leaf.dtype.str) for chain, leaf in leaves.items()]


def _by_name(boxes: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): box for name, box in boxes.items() if name.startswith(prefix)}


def _prefixed(leaves: Leaves, prefix: str) -> Leaves:
    return {f"{prefix}{chain}": leaf for chain, leaf in leaves.items()}


def _programs(request: Request) -> dict[str, tuple[Program, Leaves]]:
    """Return the functions that a step traces, and what they are traced on."""
    variables = _prefixed(request.theta, "v/")
    inner = variables | _prefixed(request.inner_data, "b/")
    outer = variables | _prefixed(request.outer_data, "b/")
    rates = {} if request.plain else _prefixed(request.rates, "r/")
    programs: dict[str, tuple[Program, Leaves]] = {"outer": (lambda boxes: _outer(request, boxes), outer)}
    if not _is_shared(request):
        programs["inner"] = (lambda boxes: _inner(request, boxes), inner | rates)
    if request.kind == "second":
        adjoints = _prefixed(request.theta, "u/")
        programs["adjoint"] = (lambda boxes: _adjoint(request, boxes), inner | rates | adjoints)
    return programs


def differs(request: Request, made: Plan) -> bool:
    """Trace a step again and tell whether anything but its arguments had an influence."""
    _log.info("tracing %s again", request.inner_cost.name)
    again = {name: traced_again(*program) for name, program in _programs(request).items()}
    if None not in again.values():
        return again != made.fingerprints
    other = plan(request)
    pairs = zip(other.constants, made.constants, strict=False)
    constants = len(other.constants) == len(made.constants) and all(a[2].tobytes() == b[2].tobytes() for a, b in pairs)
    return other.source != made.source or not constants


def _scalar(value: Any, where: str) -> Any:
    """Check a recorded cost."""
    from refmaml.compiled.recording.boxes import held

    several = type(value) in (list, tuple)  # of boxes, which make an array of objects in the reference
    validation.scalar(np.empty(len(value), object) if several else held(value), where)
    return value


def _outer(request: Request, boxes: dict[str, Any]) -> dict[str, Any]:
    leaves = _by_name(boxes, "v/")
    if request.kind == "reptile":
        return {"cost": request.outer_cost(boxes, leaves)}
    chains = list(leaves) if request.kind == "second" else request.outer
    cost, gradients = value_and_gradients(
        lambda moving: _scalar(request.outer_cost(boxes, merge(leaves, moving)), request.outer_cost.name),
        select(leaves, chains),
    )
    return {"cost": cost, **_prefixed(gradients, "g/")}


def _inner_gradient(request: Request, boxes: dict[str, Any], leaves: Leaves) -> tuple[Any, Leaves]:
    return value_and_gradients(
        lambda moving: _scalar(request.inner_cost(boxes, merge(leaves, moving)), request.inner_cost.name),
        select(leaves, request.inner),
    )


def _inner(request: Request, boxes: dict[str, Any]) -> dict[str, Any]:
    leaves = _by_name(boxes, "v/")
    cost, found = (_inner_gradient if request.plain else _updated)(request, boxes, leaves)
    return {"cost": cost, **_prefixed(found, "g/" if request.plain else "n/")}


def _updated(request: Request, boxes: dict[str, Any], leaves: Leaves) -> tuple[Any, Leaves]:
    """Return the cost and the adapted leaves of one traced inner step."""
    from refmaml.compiled.recording.boxes import held, shape_and_dtype

    cost, gradients = _inner_gradient(request, boxes, leaves)
    if request.rows > 1:
        gradients = {chain: request.rows * gradient for chain, gradient in gradients.items()}
    part, moving = prune(request.skeleton, request.inner), select(leaves, request.inner)
    rates = _by_name(boxes, "r/")
    given = rates[""] if "" in rates else fill(part, rates)
    where = "inner_optimization_step, step 0"
    with validation.Noted(where):
        news = request.update(fill(part, moving), fill(part, gradients), given, stop_gradients=False)
    returned = {chain: leaf for chain, leaf in flatten(news) if leaf is not None}
    plain = {chain: np.zeros(*shape_and_dtype(leaf)) for chain, leaf in returned.items()}
    validation.updated(plain, {chain: np.asarray(held(leaf)) for chain, leaf in moving.items()}, where)
    return cost, {chain: returned[chain] for chain in moving}


def _adjoint(request: Request, boxes: dict[str, Any]) -> dict[str, Any]:
    """λ ← (∂φ_{k+1}/∂φ_k)ᵀ λ: the gradient of ⟨λ, φ_{k+1}⟩, or for plain descent of ⟨λ, ∇S⟩, which α multiplies."""
    leaves, u = _by_name(boxes, "v/"), _by_name(boxes, "u/")
    step = _inner_gradient if request.plain else _updated

    def product(point: Leaves) -> Any:
        _, moved = step(request, boxes, point)
        return inner_product([u[chain] for chain in request.inner], [moved[chain] for chain in request.inner])

    _, gradients = value_and_gradients(product, leaves)
    if request.plain:
        return _prefixed(gradients, "g/")
    return {
        f"n/{chain}": gradient if chain in request.inner else gradient + u[chain]
        for chain, gradient in gradients.items()
    }
