"""The proof, at first use, that what was traced gives the reference's answer: the cost once more on plain arrays.

What is traced and what the reference evaluates are the same operations on the same numbers, so the cost has to be the
same to the bit. Its gradient need not be: derivatives are written otherwise (`derivatives.py`), the parts of a sum come
in another order, and gradients of float32 values stay in float32 where autograd's own constants would widen them. How
far that may lead is derived here, so that whatever leads further is due to how a function looks at its arguments.

A backward pass carries a part p along every edge of the graph, and is linear in each of them. In floating-point
arithmetic, which may underflow, a part is p̂ = p(1 + ε) + η with |ε| ≤ C u and |η| of the smallest normal number
(N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., SIAM 2002, eq. 2.8, for each of its few
operations). A leaf's gradient is then off by Σ J_e (ε_e p_e + η_e), over all edges e that lead to it, with J_e what the
rest of the pass does to a part. The terms of this sum do not cancel where those of the gradient do, as in y − y, whose
gradient is 0 while each p_e is of any size: the size of the gradient says nothing about its error. That sum is
measured, by a small sample (docs/tolerances.md): the pass is repeated with normal deviates in the place of ε / (C u)
and of η. All of sixteen draws are below a twentieth of their standard deviation in one case of 10²².
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from autograd.core import VJPNode, vspace
from autograd.tracer import getval, isbox, new_box, toposort, trace_stack

from refmaml.compiled.calls.planning import Cost, Request
from refmaml.compiled.errors import ValueDependence
from refmaml.compiled.program.program import DType
from refmaml.compiled.recording.derivatives import added, compact_derivatives
from refmaml.compiled.running.plan import Plan
from refmaml.containers import Leaves, fill, flatten, owned, prune

#: C: a few roundings for each part, and those of the sums inside of a derivative, as docs/tolerances.md has it.
_ROUNDINGS = 64
_DRAWS = 16
_BLOCK = 2**13  # numbers that are compared at once: near a processor, and too few for BLAS to share among threads


class _Rounding:
    """Changes numbers by random amounts of the size that rounding and underflow may have."""

    def __init__(self, precision: DType, seed: int) -> None:
        limits = np.finfo(precision)
        self._relative, self._absolute = _ROUNDINGS * limits.eps / 2, limits.tiny
        self._random = np.random.default_rng(seed)

    def of(self, part: Any) -> Any:
        """Return x(1 + ε) + η, in the dtype of x."""
        value = getval(part)
        if isinstance(value, list | tuple):  # the gradient of what has several results
            return tuple(self.of(own) for own in value)
        dtype, shape = np.asarray(value).dtype, np.shape(value)
        if dtype.kind != "f":
            return part
        relative, absolute = self._random.normal(size=(2, *shape))
        return part * dtype.type(1 + self._relative * relative) + dtype.type(self._absolute * absolute)


class _Evaluation:
    """A cost at a point, with the graph of how it came about."""

    def __init__(self, function: Callable[[Leaves], Any], point: Leaves) -> None:
        self._point = point
        with trace_stack.new_trace() as level:
            self._roots = {chain: VJPNode.new_root() for chain in point}
            value = function({chain: new_box(leaf, level, self._roots[chain]) for chain, leaf in point.items()})
        dependent = isbox(value) and value._trace == level
        self.value: Any = value._value if dependent else value
        self._end: Any = value._node if dependent else None

    def gradients(self, rounding: _Rounding | None = None) -> Leaves:
        """Return the gradient by every leaf, as autograd computes it, or with other roundings."""
        found = {} if self._end is None else self._pass(self._end, rounding)
        return {
            chain: found[root] if root in found else vspace(self._point[chain]).zeros()
            for chain, root in self._roots.items()
        }

    def _pass(self, end: Any, rounding: _Rounding | None) -> dict[Any, Any]:
        waiting, arrived = {end: (vspace(self.value).ones(), False)}, {}
        for node in toposort(end):
            gradient, _ = waiting.pop(node)
            if not node.parents:
                arrived[node] = gradient
                continue
            for parent, part in zip(node.parents, node.vjp(gradient), strict=False):
                dense, _ = added(None, part)
                waiting[parent] = added(waiting.get(parent), rounding.of(dense) if rounding else dense)
        return arrived


def prove(request: Request, made: Plan) -> None:
    """Evaluate the costs on plain data, as the reference does: a difference is due to how they look at it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference warns when it evaluates the costs, which is yet to come
        _on_plain_arrays(request.outer_cost, request.outer_data, request.theta, made, "outer")
        if "inner" in made.traced:
            _on_plain_arrays(request.inner_cost, request.inner_data, request.theta, made, "inner")
            if not request.plain:
                _step_as_the_reference(request, made)


def _on_plain_arrays(cost: Cost, leaves: Leaves, variables: Leaves, made: Plan, program: str) -> None:
    """Compare a cost and its gradient with what was traced.

    The cost has to be the same to the bit with autograd's derivatives or, where it computes derivatives itself, with
    the engine's; its gradient is that of the evaluation that was the same. Of Reptile's last cost no gradient is taken,
    and the reference has plain arrays in it.
    """
    traced = made.traced[program]
    chains = [name.removeprefix("g/") for name in traced if name.startswith("g/")]
    theta = {chain: np.array(leaf) for chain, leaf in variables.items()}
    point = {chain: theta[chain] for chain in chains or theta}
    data = _plain_data(cost, leaves)
    if traced.keys() == {"cost"}:
        if not _same_bits(cost(data, theta), traced["cost"]):
            raise _looks(cost)
        return

    for derivatives in (nullcontext, compact_derivatives):
        with derivatives():
            evaluation = _Evaluation(lambda moving: cost(data, {**theta, **moving}), point)
        if _same_bits(evaluation.value, traced["cost"]):
            break
    else:
        raise _looks(cost)
    expected = evaluation.gradients()

    found = {chain: traced[f"g/{chain}"] for chain in chains}
    if not _within(found, expected, evaluation.gradients, made.precisions[program]):
        raise _looks(cost)


def _within(found: Leaves, expected: Leaves, moved: Callable[[_Rounding], Leaves], precision: DType) -> bool:
    """Tell whether leaves are as far apart as rounding leads, by a result that is `moved`.

    That is measured only where a leaf is further off than by the rounding of the last operation, which every result
    has. Twice the way is allowed, since an inner step need not be linear: the directions that it makes of noise are no
    longer than 1, and two of them may be 2 apart.
    """
    last = _ROUNDINGS * np.finfo(precision).eps / 2
    found = {chain: leaf for chain, leaf in found.items() if not np.array_equal(leaf, expected[chain])}
    if any((np.isfinite(expected[chain]) & ~np.isfinite(leaf)).any() for chain, leaf in found.items()):
        return False
    apart = {chain: _distance(leaf, expected[chain]) for chain, leaf in found.items()}
    far = {chain for chain, distance in apart.items() if distance > last * _distance(expected[chain], 0.0)}
    for seed in range(_DRAWS):  # mostly the first one is enough
        if not far:
            break
        draw = moved(_Rounding(precision, seed))
        far = {chain for chain in far if apart[chain] > 2 * _distance(draw[chain], expected[chain])}
    return not far


def _distance(one: Any, other: Any) -> float:
    """Return ‖one − other‖ over what is finite in both, block by block: the gradients of all tasks may be large."""
    flat, beside = np.ravel(one), np.broadcast_to(np.ravel(other), np.size(one))
    parts = []
    for start in range(0, flat.size, _BLOCK):
        here, there = flat[start : start + _BLOCK], beside[start : start + _BLOCK]
        with np.errstate(all="ignore"):
            # Squares of small numbers of float32 are no zeros there.
            apart = np.subtract(here, there, dtype=np.float64)
            square = apart @ apart
            if not np.isfinite(square):
                apart = np.where(np.isfinite(here) & np.isfinite(there), apart, 0.0)
                square = apart @ apart
        parts.append(float(square))
    return float(np.sqrt(sum(parts)))


def _looks(cost: Cost) -> ValueDependence:
    return ValueDependence(
        f"{cost.name}: it gives another answer on plain arrays than while it is traced, so it looks at what its "
        "arguments are (`type(x) is ...`), or at a view of an array into which it writes data later. Use isinstance, "
        "copy the view, or pass on_unsupported='reference'."
    )


def _same_bits(value: Any, traced: Any) -> bool:
    return np.array_equal(np.asarray(value).reshape(()), traced.reshape(()), equal_nan=True)


def _plain_data(cost: Cost, leaves: Leaves) -> Leaves:
    return {f"b/{c}": np.array(leaf)[()] if c in cost.scalars else np.array(leaf) for c, leaf in leaves.items()}


def _step_as_the_reference(request: Request, made: Plan) -> None:
    """Take an inner step as the reference does, on plain arrays or in autograd's boxes, and compare where it leads."""
    traced = {chain: made.traced["inner"][f"n/{chain}"] for chain in request.inner}
    expected = _stepped(request)

    def moved(rounding: _Rounding) -> Leaves:
        return {chain: rounding.of(leaf) for chain, leaf in _stepped(request, rounding).items()}

    if not _within(traced, expected, moved, made.precisions["inner"]):
        raise ValueDependence(
            f"{getattr(request.update, '__name__', repr(request.update))}: this inner step leads elsewhere on the "
            "reference's arrays than while it is traced, so it looks at what its arguments are, or at stop_gradients. "
            "Use arithmetic alone, or pass on_unsupported='reference'."
        )


def _stepped(request: Request, rounding: _Rounding | None = None) -> Leaves:
    """Return where the reference's inner step leads; with `rounding`, from disturbed variables and gradients.

    How far a step carries what rounding did to its arguments is up to the step: one that normalises its gradient makes
    a direction of what may be rounding alone.
    """
    data = _plain_data(request.inner_cost, request.inner_data)
    theta = {chain: np.array(leaf) for chain, leaf in request.theta.items()}
    part, rates = prune(request.skeleton, request.inner), request.given_rates
    given = rates[""] if "" in rates else fill(part, rates)
    second = request.kind == "second"

    def stepped(leaves: Leaves) -> Leaves:
        moving = {chain: leaves[chain] for chain in request.inner}
        evaluation = _Evaluation(lambda some: request.inner_cost(data, {**leaves, **some}), moving)
        gradient = {
            chain: (request.rows * leaf if request.rows > 1 else leaf).astype(theta[chain].dtype)
            for chain, leaf in evaluation.gradients(rounding).items()
        }
        own = {chain: owned(rounding.of(leaf) if rounding else leaf) for chain, leaf in moving.items()}
        stop_gradients = request.stop_gradients and not second
        news = request.update(fill(part, own), fill(part, gradient), given, stop_gradients=stop_gradients)
        return {chain: np.asarray(getval(leaf)) for chain, leaf in flatten(news) if leaf is not None}

    if not second:
        return stepped(theta)
    with trace_stack.new_trace() as level:  # by second order the reference steps on boxes
        return stepped({chain: new_box(leaf, level, VJPNode.new_root()) for chain, leaf in theta.items()})
