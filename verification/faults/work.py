"""The mathematics of one task that faults are written in: values, gradients, Hessian-vector products, the right step.

A fault is the right answer to a wrong question (a changed `Work`), or the right step with one part exchanged. Nothing
here imports `refmaml`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from itertools import count
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import autograd.numpy as anp
import numpy as np
from autograd import grad
from numpy.typing import NDArray

from verification.oracles import TaskView
from verification.oracles.finite_differences import complex_step_gradients
from verification.oracles.implicit import Implicit
from verification.oracles.updates import InnerUpdate, State
from verification.oracles.view import Costs, FlatArray, is_repeated, masked
from verification.orders import Order

Points = list[FlatArray]
#: u ↦ H u, with the Hessian H of a cost at a point.
Product = Callable[[FlatArray], FlatArray]
_HESSIAN_STEP = 2.0**-17
_SHORT = 1024  # bytes that are no longer than a point's digest would be worth


#: Digests of points that are still there, by their ids, with the points; making one takes longer than an addition.
_digests: dict[int, tuple[ReferenceType[FlatArray], bytes]] = {}


def mark(phi: FlatArray) -> bytes:
    """Return what tells a point from all others: its bytes, or their digest where it is the point of a large model.

    A point that has a digest can no longer be written to.
    """
    if is_repeated(phi):
        return phi[:1].tobytes()
    if phi.nbytes <= _SHORT:
        return phi.tobytes()
    known = _digests.get(id(phi))
    if known is None or known[0]() is not phi:
        return _give(phi, np.ascontiguousarray(phi).data)
    return known[1]


def _give(phi: FlatArray, what: Any) -> bytes:
    phi.flags.writeable = False
    digest = sha256(what).digest()
    _digests[id(phi)] = ref(phi, partial(_forget, id(phi))), digest
    return digest


def made(found: Any, how: str, *parts: Any) -> Any:
    """Return a new vector, with a mark that follows from what it was made of: its numbers need not be read for that.

    Parts are vectors and costs. A number, and a vector that is its own mark, are returned as they are.
    """
    if isinstance(found, np.ndarray) and found.nbytes > _SHORT:
        known = (mark(part) if isinstance(part, np.ndarray) else b"%d" % _number_of(part) for part in parts)
        _give(found, b" ".join([how.encode(), *known]))
    return found


#: Numbers of costs, which tell them apart when one is gone and another has its place in memory.
_numbers: WeakKeyDictionary[Costs, int] = WeakKeyDictionary()
_counted = count()


def _number_of(costs: Costs) -> int:
    if costs not in _numbers:
        _numbers[costs] = next(_counted)
    return _numbers[costs]


def _forget(number: int, gone: ReferenceType[FlatArray]) -> None:
    if _digests.get(number, (None,))[0] is gone:  # another point may have its number by now
        del _digests[number]


@dataclass(frozen=True)
class Work:
    """One task in flat vectors; values, gradients and curvature are kept, since faults ask for the same ones often.

    `derive` takes gradients: complex steps where an answer is predicted, which are fast and exact to rounding, and
    autograd where a fault plays the subject, in the subject's own precision. `curve` makes the Hessian-vector products
    at several points in one pass: by dense Hessians for the small built-in problems, which multiply many vectors, and
    without any for a model of one's own. `differentiate` makes the gradient of any function of a flat vector, for
    steps that are themselves differentiated, and `array` an array that such functions can hold.
    """

    view: TaskView
    derive: Callable[[Costs, FlatArray], FlatArray]
    curve: Callable[[Costs, Points], list[Product]]
    differentiate: Callable[[Callable[[Any], Any]], Callable[[Any], Any]] = grad
    array: Callable[[FlatArray], Any] = np.asarray
    memory: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def solutions(self) -> dict[Order, Solved]:
        """The right solutions that are known, by order, where the task `is_small`."""
        return {}

    @property
    def is_small(self) -> bool:
        """Whether what is made of the task takes so little memory that it is kept: of a built-in problem it is."""
        return isinstance(self.theta, np.ndarray) and self.theta.nbytes <= _SHORT

    @property
    def theta(self) -> FlatArray:
        """θ."""
        return self.view.theta

    @property
    def alpha(self) -> FlatArray:
        """α on the coordinates that adapt, 0 on the others."""
        return self.view.step_size

    def changed(self, **changes: Any) -> Work:
        """Return the task with parts of its view exchanged; the costs keep what is known of them."""
        return replace(self, view=replace(self.view, **changes))

    def inner_cost(self, phi: FlatArray) -> Any:
        """S(φ)."""
        return self._kept("cost", self.view.inner_costs, phi, _at_one_point)

    def outer_cost(self, phi: FlatArray) -> Any:
        """Q(φ)."""
        return self._kept("cost", self.view.outer_costs, phi, _at_one_point)

    def inner_gradient(self, phi: FlatArray) -> FlatArray:
        """∇S(φ)."""
        found: FlatArray = self._kept("gradient", self.view.inner_costs, phi, self.derive)
        return found

    def outer_gradient(self, phi: FlatArray) -> FlatArray:
        """∇_O Q(φ)."""
        return masked(self.full_outer_gradient(phi), self.view.outer_mask)

    def full_outer_gradient(self, phi: FlatArray) -> FlatArray:
        """∇Q(φ) in every coordinate."""
        found: FlatArray = self._kept("gradient", self.view.outer_costs, phi, self.derive)
        return found

    def inner_product(self, phi: FlatArray, u: FlatArray) -> FlatArray:
        """∇²S(φ) u."""
        return self.inner_products([phi])[0](u)

    def inner_products(self, points: Points) -> list[Product]:
        """The maps u ↦ ∇²S(φ) u at each of several points; those that are not known yet in one pass."""
        costs = self.view.inner_costs
        keys = [("curvature", costs, mark(phi)) for phi in points]
        known = {key: self.memory[key] for key in keys if key in self.memory}  # a memory may forget as it gets more
        missing = {key: phi for key, phi in zip(keys, points, strict=True) if key not in known}
        if missing:
            known.update(zip(missing, self.curve(costs, list(missing.values())), strict=True))
            self.memory.update({key: known[key] for key in missing})
        return [known[key] for key in keys]

    def _kept(self, what: str, costs: Costs, phi: FlatArray, compute: Callable[[Costs, FlatArray], Any]) -> Any:
        key = (what, costs, mark(phi))  # the costs themselves, not their ids, which are given out again
        if key not in self.memory:
            self.memory[key] = made(compute(costs, phi), what, costs, phi)
        return self.memory[key]


def _at_one_point(costs: Costs, phi: FlatArray) -> Any:
    return costs(phi[None])[0]


def by_complex_step(costs: Costs, phi: FlatArray) -> FlatArray:
    """Return the gradient of costs at one point of float64 numbers."""
    found: FlatArray = complex_step_gradients(costs, phi[None])[0]
    return found


def by_autograd(costs: Costs, phi: FlatArray) -> FlatArray:
    """Return the gradient of costs at one point, in its precision."""
    found: FlatArray = grad(lambda points: anp.sum(costs(points)))(phi[None])[0]
    return found


def products_by_autograd(costs: Costs, at: Points) -> list[Product]:
    """Return the Hessian-vector products of costs at points, by Hessians with all rows in one pass."""
    points = np.stack(at)
    count, size = points.shape
    basis = np.tile(np.eye(size, dtype=points.dtype), (count, 1))
    rows: NDArray[Any] = grad(lambda at: anp.sum(grad(lambda inside: anp.sum(costs(inside)))(at) * basis))(
        np.repeat(points, size, axis=0)
    )
    return _multiplying(rows.reshape(count, size, size))


def products_by_differences(costs: Costs, at: Points) -> list[Product]:
    """Return the Hessian-vector products of costs at points to a relative 1e-10, several times as fast."""
    points = np.stack(at)
    count, size = points.shape
    shifts = _HESSIAN_STEP * np.eye(size)
    probes = np.stack([points[:, None] + shifts, points[:, None] - shifts])
    ahead, behind = complex_step_gradients(costs, probes.reshape(-1, size)).reshape(2, count, size, size)
    return _multiplying((ahead - behind) / (2 * _HESSIAN_STEP))


def _multiplying(hessians: NDArray[Any]) -> list[Product]:
    # H is symmetric; its transpose is what an unrolled step multiplies by, to the last bit.
    return [hessian.T.__matmul__ for hessian in hessians]


#: What an update keeps between steps, and the number of steps that it has seen.
Carried = tuple[tuple[State, ...], int]


def descend(work: Work) -> Points:
    """φ_0, …, φ_K by gradient descent, or by the update of the view: the right inner loop."""
    return descend_from(work, None)[0]


def descend_from(work: Work, carried: Carried | None) -> tuple[Points, Carried]:
    """φ_0, …, φ_K from the states of an update, None as they are right: fresh; and what the states become."""
    points, update = [work.theta], work.view.update
    if update is None:
        for _ in range(work.view.steps):
            slope = work.inner_gradient(points[-1])
            points.append(made(_minus(points[-1], work.alpha * slope), "step", points[-1], work.alpha, slope))
        return points, ((), work.view.steps)
    states, age = carried or (update.begin(work.theta), 0)
    for k in range(work.view.steps):
        direction, states = update.step(np, states, _slope(work, points[-1]), points[-1], k, age + k)
        points.append(points[-1] - _rate(work) * direction)
    return points, (states, age + work.view.steps)


def _minus(phi: Any, change: Any) -> Any:
    """Return φ less a change that nobody else has: in its memory, where it is no array that autograd follows."""
    plain = isinstance(phi, np.ndarray) and isinstance(change, np.ndarray) and phi.dtype == change.dtype
    return np.subtract(phi, change, out=change) if plain else phi - change


def _slope(work: Work, phi: FlatArray) -> FlatArray:
    """∇_I S(φ): what an update gets, which may mix the entries, as a clip by norm does.

    A mask that multiplies, as a scaled cost does, acts here: Adam's step is the same whatever multiplies the gradient.
    """
    slope: FlatArray = work.inner_gradient(phi) * work.view.inner_mask
    return slope


def _rate(work: Work) -> FlatArray:
    """α on the coordinates that adapt, 0 on the others, whatever multiplies the gradient."""
    rate: FlatArray = work.view.rate * (work.view.inner_mask != 0)
    return rate


def pull_back(work: Work, points: Points, u: FlatArray, *, since: int = 0, carried: Carried | None = None) -> FlatArray:
    """(I − D H_0)ᵀ ⋯ (I − D H_{k−1})ᵀ u: the right Jacobian of the steps from `points`, or of those `since` one.

    With an update it is the Jacobian of point and states together, by the chain rule: what arrives at the gradient of a
    step goes through H_k, and what arrives at the states goes on to the step before.
    """
    update, differences = work.view.update, work.view.hessian_free
    if differences is not None:
        for phi in reversed(points[since:]):
            u = u - work.alpha * differences.product(work.inner_gradient, phi, u)
        return u
    if update is None:
        for product in reversed(work.inner_products(points[since:])):
            bent = product(made(work.alpha * u, "times", work.alpha, u))
            u = made(u - bent, "minus", u, bent)
        return u
    return pull_back_states(work, points, u, None, since=since, carried=carried)[0]


def pull_back_states(
    work: Work,
    points: Points,
    u: FlatArray,
    back: tuple[State, ...] | None,
    *,
    since: int = 0,
    carried: Carried | None = None,
) -> tuple[FlatArray, tuple[State, ...]]:
    """Return what arrives at the first point and at the states there, from what arrives at the last ones.

    None is nothing at the states.
    """
    update = work.view.update or InnerUpdate(())
    states, age = carried or (update.begin(work.theta), 0)
    before = []
    for k, phi in enumerate(points):
        before.append(states)
        states = update.step(np, states, _slope(work, phi), phi, k, age + k)[1]
    back = back or tuple(tuple(0 * vector for vector in state) for state in states)
    products = work.inner_products(points)
    for k in reversed(range(since, len(points))):
        slope = _slope(work, points[k])
        arrived = update.pull_back(before[k], slope, points[k], k, -_rate(work) * u, back, age + k)
        back = arrived[2]
        u = u + arrived[1] + products[k](arrived[0] * work.view.inner_mask)
    return u, back


@dataclass(frozen=True)
class Solved:
    """One task's outer cost, gradient [n] and adapted variables φ_K [n]."""

    cost: Any
    gradient: FlatArray
    adapted: FlatArray


def solve(
    work: Work,
    order: Order,
    *,
    descend: Callable[[Work], Points] | None = None,
    pull_back: Callable[[Work, Points, FlatArray], FlatArray] | None = None,
) -> Solved:
    """Return the right answer of one task, or what comes of another inner loop or another Jacobian."""
    if descend or pull_back or not work.is_small:
        return _solve(work, order, (descend or _RIGHT_LOOP)(work), pull_back or _RIGHT_JACOBIAN)
    if order not in work.solutions:
        found = _solve(work, order, _RIGHT_LOOP(work), _RIGHT_JACOBIAN)
        found.gradient.flags.writeable = False  # of one task it is the answer itself
        work.solutions[order] = found
    return work.solutions[order]


_RIGHT_LOOP, _RIGHT_JACOBIAN = descend, pull_back


def _solve(
    work: Work, order: Order, points: Points, pull_back: Callable[[Work, Points, FlatArray], FlatArray]
) -> Solved:
    if order == "reptile":
        costs = [work.inner_cost(phi) for phi in points]
        return Solved(mean(costs), (work.theta - points[-1]) / work.view.rate, points[-1])
    weights = None if work.view.weights is None else work.view.weights(len(points) - 1)
    ks = range(len(points)) if weights or work.view.average else [len(points) - 1]
    gradients = []
    for k in ks:
        if order == 1:
            gradient = work.outer_gradient(points[k])
            if work.view.update is not None and work.view.update.learns_rates:
                gradient = gradient + at_rates(work, work.view.update, points[:k], work.full_outer_gradient(points[k]))
            gradients.append(gradient)
        elif work.view.implicit is not None:
            gradients.append(implicitly(work, work.view.implicit, points[k]) * work.view.outer_mask)
        else:
            gradients.append(pull_back(work, points[:k], work.full_outer_gradient(points[k])) * work.view.outer_mask)
    costs = [work.outer_cost(points[k]) for k in ks]
    if weights:
        total, gradient = weighted(weights, costs), weighted(weights, gradients)
        beside = work.view.support_weight
        if beside:
            total = total + beside * work.inner_cost(points[0])
            gradient = gradient + beside * work.inner_gradient(points[0]) * work.view.outer_mask
        return Solved(total, gradient, points[-1])
    return Solved(mean(costs), mean(gradients), points[-1])


def implicitly(work: Work, declared: Implicit, phi: FlatArray, *, bent_at: FlatArray | None = None) -> FlatArray:
    """(I + ∇²S(φ)/λ)⁻¹ ∇Q(φ), by the declared conjugate gradients: what stands for a pull back through the loop.

    `bent_at` is where a mistaken step has the Hessian from.
    """
    (product,) = work.inner_products([phi if bent_at is None else bent_at])
    return declared.by_conjugate_gradients(product, work.full_outer_gradient(phi))


def at_rates(work: Work, update: InnerUpdate, points: Points, u: FlatArray) -> FlatArray:
    """Return what arrives at learned rates from u, with the inner gradients at the points held; elsewhere 0."""
    steps = [(_slope(work, phi), phi) for phi in points]
    found: FlatArray = update.at_rates(steps, _rate(work) * u) * work.view.outer_mask
    return found


def weighted(weights: list[float], terms: list[Any]) -> Any:
    """Return the sum of numbers or vectors times their weights, in their order."""
    return sum(weight * term for weight, term in zip(weights[1:], terms[1:], strict=True)) + weights[0] * terms[0]


def mean(terms: list[Any]) -> Any:
    """Return the mean of numbers or vectors, summed in their order; of one, itself."""
    if len(terms) == 1:
        return terms[0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total / len(terms)


def hessian_product(costs: Costs, phi: FlatArray, u: FlatArray) -> FlatArray:
    """Return H u, the gradient of ∇S · u."""
    product: FlatArray = grad(lambda at: anp.sum(grad(lambda inside: anp.sum(costs(inside)))(at) * u))(phi[None])[0]
    return product
