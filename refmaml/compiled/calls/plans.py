"""Plans by what they depend on, and the proof, at first use, that a plan gives the reference's answer."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
from autograd import grad
from autograd.core import make_vjp
from autograd.extend import vspace
from autograd.tracer import getval

from refmaml.compiled.calls.groups import Data, Group, Prepared, identity, nesting, signature, static_key
from refmaml.compiled.calls.planning import Cost, Request, differs, plan
from refmaml.compiled.errors import ValueDependence
from refmaml.compiled.guarding.guards import Guard, global_random_states
from refmaml.compiled.recording.derivatives import compact_derivatives
from refmaml.compiled.recording.locks import making
from refmaml.compiled.running.execution import Execution
from refmaml.compiled.running.plan import Plan
from refmaml.containers import Leaves, children, fill, flatten, owned, prune

_KEPT = 64
_known: OrderedDict[Any, tuple[Guard, Execution, tuple[Any, ...]]] = OrderedDict()


def clear() -> None:
    """Forget every plan of this process; the disk cache stays."""
    with making:
        _known.clear()


def emitted_sources() -> list[str]:
    """Return the Numba source of every step that this process has compiled, the latest last."""
    return [execution.plan.source for _, execution, _ in _known.values()]


def plan_for(kind: str, ready: Prepared, group: Group) -> tuple[Guard, Execution]:
    """Return a guard and a plan: known ones whose surroundings have not changed, or new ones."""
    key = _key(kind, ready, group)
    found = _known.get(key)
    if found is not None and found[0].holds():
        return found[0], found[1]
    with making:
        guard, execution = _made(kind, ready, group)
        # The functions stay with the entry, so that no other function can get their identity.
        _known[key] = (guard, execution, (*ready.costs, ready.update))
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return guard, execution


def _key(kind: str, ready: Prepared, group: Group) -> Any:
    return (
        kind, *map(identity, (*ready.costs, ready.update)), ready.layout.three, group.inner, group.outer,
        group.same_data, ready.stop_gradients,
        *(_data_key(data) for data in (group.inner_data, group.outer_data)), _theta_key(ready), _rates_key(ready),
        ready.rows,
    )  # fmt: skip


def _data_key(data: Data) -> Any:
    return nesting(data.skeleton), signature(data.shapes), static_key(data.static), data.scalars


def _theta_key(ready: Prepared) -> Any:
    return nesting(ready.layout.skeleton), signature(ready.theta)


def _rates_key(ready: Prepared) -> Any:
    return tuple((chain, type(rate), *_shape(rate)) for chain, rate in ready.given_rates.items())


def _shape(rate: Any) -> Any:
    return (rate.shape, rate.dtype.str) if isinstance(rate, np.ndarray) else ()


def _made(kind: str, ready: Prepared, group: Group) -> tuple[Guard, Execution]:
    """Trace and compile, and make sure that tracing changed nothing that the functions see."""
    functions = (*ready.costs, ready.update)
    seen = (*functions, *_kinds(ready.layout.skeleton, group.inner_data.skeleton, group.outer_data.skeleton))
    request = _request(kind, ready, group)
    refusal = None  # raised last: random numbers, too, make a cost differ from what was traced
    for _ in range(2):  # what a first evaluation computes and keeps (a cached property) is there for the second
        guard, states, refusal = Guard(*seen), global_random_states(), None
        made = plan(request)
        if not guard.unchanged() and Guard(*seen).leaked:
            break
        try:
            _as_the_reference(request, made)
        except ValueDependence as error:
            refusal = error
        if guard.unchanged():
            break
    if not guard.unchanged() or global_random_states() != states:
        raise ValueDependence(
            f"{_names(functions)}: expected functions that change nothing and draw no random numbers, but what they "
            "read was different after an evaluation. Draw random numbers in a batch function."
        )
    if differs(request, made):
        raise ValueDependence(
            f"{_names(functions)}: two evaluations with the same arguments differ (random numbers, the time, or state "
            "that is kept between calls)."
        )
    if refusal is not None:
        raise refusal
    return guard, Execution(made)


def _kinds(*skeletons: Any) -> Iterator[type]:
    """Yield the classes of the containers, which can have methods."""
    for node in skeletons:
        yield type(node)
        yield from _kinds(*(child for _, child in children(node) or ()))


def _as_the_reference(request: Request, made: Plan) -> None:
    """Evaluate the costs on plain data, as the reference does: a difference is due to how they look at it."""
    _on_plain_arrays(request.outer_cost, request.outer_data, request.theta, made.traced["outer"])
    if "inner" in made.traced:
        _on_plain_arrays(request.inner_cost, request.inner_data, request.theta, made.traced["inner"])
        if not request.plain:
            _step_as_the_reference(request, made.traced["inner"])


def _on_plain_arrays(cost: Cost, leaves: Leaves, variables: Leaves, traced: dict[str, Any]) -> None:
    """Compare a cost with what was traced.

    The cost itself has to be the same to the bit, with autograd's derivatives or, where it computes derivatives, with
    the engine's; its gradient may differ by rounding, far less than by this bound.
    """
    data = _plain_data(cost, leaves)
    chains = [name.removeprefix("g/") for name in traced if name.startswith("g/")]
    theta = {chain: np.array(leaf) for chain, leaf in variables.items()}
    point = {chain: theta[chain] for chain in chains or theta}

    def evaluated(moving: Leaves) -> Any:
        return cost(data, {**theta, **{chain: moving[chain] for chain in point}})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # autograd warns of a cost that uses no variable
        pull_back, value = make_vjp(evaluated, point)
        gradient = pull_back(vspace(value).ones())
        same = _same_bits(value, traced["cost"])
        if not same:
            with compact_derivatives():
                same = _same_bits(make_vjp(evaluated, point)[1], traced["cost"])
    for chain in chains:
        mine, theirs = traced[f"g/{chain}"], gradient[chain]
        finite = np.isfinite(theirs)
        apart = np.linalg.norm((mine - theirs)[finite & np.isfinite(mine)])
        same = same and bool(apart <= 1e-2 * np.linalg.norm(theirs[finite]))
    if not same:
        raise ValueDependence(
            f"{cost.name}: it gives another answer on plain arrays than while it is traced, so it looks at what its "
            "arguments are (`type(x) is ...`). Use isinstance, or pass on_unsupported='reference'."
        )


def _same_bits(value: Any, traced: Any) -> bool:
    return np.array_equal(np.asarray(value).reshape(()), traced.reshape(()), equal_nan=True)


def _plain_data(cost: Cost, leaves: Leaves) -> Leaves:
    return {f"b/{c}": np.array(leaf)[()] if c in cost.scalars else np.array(leaf) for c, leaf in leaves.items()}


def _step_as_the_reference(request: Request, traced: dict[str, Any]) -> None:
    """Take an inner step as the reference does, on plain arrays or in autograd's boxes, and compare where it leads."""
    data = _plain_data(request.inner_cost, request.inner_data)
    theta = {chain: np.array(leaf) for chain, leaf in request.theta.items()}
    part = prune(request.skeleton, request.inner)
    rates = request.given_rates
    given = rates[""] if "" in rates else fill(part, rates)
    stop_gradients = request.stop_gradients and request.kind != "second"
    found: Leaves = {}

    def stepped(leaves: Leaves) -> Any:
        moving = {chain: leaves[chain] for chain in request.inner}

        def cost(*values: Any) -> Any:
            return request.inner_cost(data, {**leaves, **dict(zip(moving, values, strict=True))})

        found_here = grad(cost, argnum=tuple(range(len(moving))))(*moving.values()) if moving else ()
        gradient = {
            chain: (request.rows * leaf if request.rows > 1 else leaf).astype(theta[chain].dtype)
            for chain, leaf in zip(moving, found_here, strict=True)
        }
        own = {chain: owned(leaf) for chain, leaf in moving.items()}
        news = request.update(fill(part, own), fill(part, gradient), given, stop_gradients=stop_gradients)
        found.update({chain: getval(leaf) for chain, leaf in flatten(news) if leaf is not None})
        return 0.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # autograd warns of a cost that uses no variable
        if request.kind == "second":
            make_vjp(lambda point: stepped({chain: point[chain] for chain in theta}), theta)
        else:
            stepped(theta)
    for chain in request.inner:
        mine, theirs, before = traced[f"n/{chain}"], np.asarray(found[chain]), theta[chain]
        finite = np.isfinite(theirs) & np.isfinite(mine)
        apart, way = (np.linalg.norm((mine - each)[finite]) for each in (theirs, before))
        size = np.finfo(before.dtype).eps * np.linalg.norm(before[finite])
        if apart > 1e-2 * way + 64 * size:
            raise ValueDependence(
                f"{_names((request.update,))}: this inner step leads elsewhere on the reference's arrays than while it "
                "is traced, so it looks at what its arguments are, or at stop_gradients. Use arithmetic alone, or pass "
                "on_unsupported='reference'."
            )


def _names(functions: tuple[Any, ...]) -> str:
    return ", ".join(dict.fromkeys(getattr(function, "__name__", repr(function)) for function in functions))


def _request(kind: str, ready: Prepared, group: Group) -> Request:
    layout = ready.layout

    def cost(position: int, name: str, data: Data) -> Cost:
        skeleton = layout.skeleton
        views = (prune(skeleton, group.inner), prune(skeleton, group.outer)) if layout.three[position] else (skeleton,)
        return Cost(ready.costs[position], f"the {name} cost", data.skeleton, data.static, data.scalars, views)

    return Request(
        kind, cost(0, "inner", group.inner_data), cost(1, "outer", group.outer_data), layout.skeleton, ready.theta,
        group.inner_data.shapes, group.outer_data.shapes, group.same_data, group.inner, group.outer, ready.update,
        ready.stop_gradients, ready.rates, ready.given_rates, ready.rows,
    )  # fmt: skip
