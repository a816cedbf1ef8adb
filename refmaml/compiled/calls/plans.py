"""Plans by what they depend on: known ones, or new ones that are proved at first use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from refmaml.compiled.calls.groups import Data, Group, Prepared, identity, nesting, signature, static_key
from refmaml.compiled.calls.planning import Cost, Request, differs, plan
from refmaml.compiled.calls.proof import prove
from refmaml.compiled.errors import ValueDependence
from refmaml.compiled.guarding.guards import Guard, global_random_states
from refmaml.compiled.recording.locks import making
from refmaml.compiled.running.execution import Execution
from refmaml.containers import children, prune
from refmaml.updates import gradient_descent_update

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
    watched = (*functions, *_kinds(ready.layout.skeleton, group.inner_data.skeleton, group.outer_data.skeleton))
    request = _request(kind, ready, group)
    refusal = None  # raised last: random numbers, too, make a cost differ from what was traced
    for _ in range(2):  # what a first evaluation computes and keeps (a cached property) is there for the second
        guard, states, refusal = Guard(*watched), global_random_states(), None
        made = plan(request)
        if not guard.unchanged() and Guard(*watched).leaked:
            break
        try:
            prove(request, made)
        except ValueDependence as error:
            refusal = error
        if guard.unchanged():
            break
    if not guard.unchanged() or global_random_states() != states:
        raise ValueDependence(
            f"{_names(functions)}: expected functions that change nothing and draw no random numbers, but what they "
            "read was different after an evaluation. Draw random numbers in a batch function, and keep records "
            "outside of the cost."
        )
    if differs(request, made):
        raise ValueDependence(
            f"{_names(functions)}: two evaluations with the same arguments differ (random numbers, the time, or state "
            "that is kept between calls)."
        )
    if refusal is not None:
        raise refusal
    return guard, Execution(replace(made, traced={}))  # of all tasks, in batched mode: it was there for the proof


def _kinds(*skeletons: Any) -> Iterator[type]:
    """Yield the classes of the containers, which can have methods."""
    for node in skeletons:
        yield type(node)
        yield from _kinds(*(child for _, child in children(node) or ()))


def _names(functions: tuple[Any, ...]) -> str:
    own = (function for function in functions if function is not gradient_descent_update)
    return ", ".join(dict.fromkeys(getattr(function, "__name__", repr(function)) for function in own))


def _request(kind: str, ready: Prepared, group: Group) -> Request:
    layout = ready.layout

    def cost(position: int, name: str, data: Data) -> Cost:
        skeleton = layout.skeleton
        views = (prune(skeleton, group.inner), prune(skeleton, group.outer)) if layout.three[position] else (skeleton,)
        return Cost(ready.costs[position], f"the {name} cost", data.skeleton, data.static, data.scalars, views)

    return Request(
        kind=kind,
        inner_cost=cost(0, "inner", group.inner_data),
        outer_cost=cost(1, "outer", group.outer_data),
        skeleton=layout.skeleton,
        theta=ready.theta,
        inner_data=group.inner_data.shapes,
        outer_data=group.outer_data.shapes,
        same_data=group.same_data,
        inner=group.inner,
        outer=group.outer,
        update=ready.update,
        stop_gradients=ready.stop_gradients,
        rates=ready.rates,
        given_rates=ready.given_rates,
        rows=ready.rows,
    )
