"""Cost families, written once for any array namespace (autograd.numpy, torch, jax.numpy, and NumPy on complex numbers).

Every cost here is a function ``costs(xp, data, v)``: data and variables carry a leading axis of rows, and one cost
comes back for each row. A row is a task in batched mode, a point in space for an oracle that evaluates many at once,
and the one task there is in loop mode. Only operations that the namespaces spell alike are used.

In the formulas mean is over examples n; all but the quadratic and the bilinear family have two gains, which make the
inner and the outer cost different functions with a variable each that the other one ignores:
S = exp(inner_gain) · base + ½ inner_gain², and Q = exp(outer_gain) · base + ½ outer_gain².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, TypeAlias

from verification.frameworks import Cost

Array: TypeAlias = Any
Data: TypeAlias = dict[str, Array]
Namespace: TypeAlias = Any
Costs = Callable[[Namespace, Data, Data], Array]


@dataclass(frozen=True, eq=False)
class Family:
    """A pair of inner and outer cost, with the variables they take.

    `shapes` has each variable's shape without the row axis; `inner_ignores` and `outer_ignores` name the variables
    that do not enter that cost at all. `kink_distances` has, for costs that are not smooth everywhere, how far each
    row is from where they are not. `inner_cost` and `outer_cost` are the means over rows, of variables of any leading
    shape; a framework that compiles them does so once for each family.
    """

    name: str
    formula: str
    shapes: dict[str, tuple[int, ...]]
    inner_costs: Costs
    outer_costs: Costs
    inner_ignores: tuple[str, ...] = ()
    outer_ignores: tuple[str, ...] = ()
    kink_distances: Costs | None = None
    inner_cost: Cost = field(init=False, repr=False, compare=False)
    outer_cost: Cost = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inner_cost", self._mean(self.inner_costs))
        object.__setattr__(self, "outer_cost", self._mean(self.outer_costs))

    def rows(self, xp: Namespace, v: Data) -> Data:
        """Return variables with one leading axis of rows, in the family's shapes and order."""
        return {name: xp.reshape(v[name], (-1, *shape)) for name, shape in self.shapes.items()}

    def _mean(self, costs: Costs) -> Cost:
        return lambda xp, data, v: xp.mean(costs(xp, data, self.rows(xp, v)))


@cache
def with_all_used(family: Family) -> Family:
    """Return the family with ½ Σ x² added to each cost, over the variables x that it ignores."""

    def full(costs: Costs, ignored: tuple[str, ...]) -> Costs:
        def of_rows(xp: Namespace, data: Data, v: Data) -> Array:
            value = costs(xp, data, v)
            for name in ignored:
                value = value + 0.5 * xp.sum(xp.reshape(v[name], (v[name].shape[0], -1)) ** 2, axis=-1)
            return value

        return of_rows

    return replace(
        family,
        name=f"{family.name}, every variable used",
        formula=f"{family.formula} + ½ Σ x², x not in it",
        inner_costs=full(family.inner_costs, family.inner_ignores),
        outer_costs=full(family.outer_costs, family.outer_ignores),
        inner_ignores=(),
        outer_ignores=(),
    )


def _with_gain(base: Costs, gain: str) -> Costs:
    def costs(xp: Namespace, data: Data, v: Data) -> Array:
        factor = xp.reshape(v[gain], (-1,))
        return xp.exp(factor) * base(xp, data, v) + 0.5 * factor**2

    return costs


def _gained(
    name: str, formula: str, shapes: dict[str, tuple[int, ...]], base: Costs, kink_distances: Costs | None = None
) -> Family:
    return Family(
        name,
        formula,
        {"inner_gain": (1,), **shapes, "outer_gain": ()},
        _with_gain(base, "inner_gain"),
        _with_gain(base, "outer_gain"),
        inner_ignores=("outer_gain",),
        outer_ignores=("inner_gain",),
        kink_distances=kink_distances,
    )


def _quadratic(names: tuple[str, ...]) -> Costs:
    def costs(xp: Namespace, data: Data, v: Data) -> Array:
        rows = v[names[0]].shape[0]
        r = xp.concatenate([xp.reshape(v[name], (rows, -1)) for name in names], axis=1) - data["centre"]
        return 0.5 * xp.sum(r * (data["matrix"] @ r[..., None])[..., 0], axis=-1)

    return costs


_QUADRATIC: dict[str, tuple[int, ...]] = {"inner_only": (1,), "vector": (3,), "matrix": (2, 3), "outer_only": ()}


@cache
def quadratic() -> Family:
    """Return ½ (v − c)ᵀ A (v − c), with the variables that the cost takes laid end to end, and A symmetric."""
    return Family(
        "quadratic",
        "½ (v − c)ᵀ A (v − c)",
        _QUADRATIC,
        _quadratic(("inner_only", "vector", "matrix")),
        _quadratic(("vector", "matrix", "outer_only")),
        inner_ignores=("outer_only",),
        outer_ignores=("inner_only",),
    )


@cache
def alike_quadratic() -> Family:
    """Return the same with vectors of one shape, so that variables that are taken for one another raise nothing."""
    return replace(
        quadratic(), shapes={name: (3,) if name != "matrix" else shape for name, shape in _QUADRATIC.items()}
    )


def _mean_squared_error(xp: Namespace, output: Array, target: Array) -> Array:
    return xp.mean(xp.mean((output - target) ** 2, axis=-1), axis=-1)


def _softmax_cross_entropy(xp: Namespace, logits: Array, one_hot: Array) -> Array:
    """Return log Σ exp(logits) − the logit of the label; the shift by the largest logit keeps exp from overflowing."""
    largest = xp.amax(logits, axis=-1)  # analytic for a complex step too: NumPy orders by real parts first
    logsumexp = largest + xp.log(xp.sum(xp.exp(logits - largest[..., None]), axis=-1))
    return xp.mean(logsumexp - xp.sum(logits * one_hot, axis=-1), axis=-1)


@cache
def linear_regression() -> Family:
    """Return mean (x W + b − y)² with x [N, 2], W [2, 3], b [3]."""

    def base(xp: Namespace, data: Data, v: Data) -> Array:
        return _mean_squared_error(xp, data["x"] @ v["weight"] + v["bias"][:, None, :], data["y"])

    shapes: dict[str, tuple[int, ...]] = {"weight": (2, 3), "bias": (3,)}
    return _gained("linear-regression", "mean (x W + b − y)²", shapes, base)


@cache
def logistic_regression() -> Family:
    """Return mean log(1 + exp z) − y z with z = x w + b, x [N, 3], w [3], b [1], y in {0, 1}."""

    def base(xp: Namespace, data: Data, v: Data) -> Array:
        z = (data["x"] @ v["weight"][:, :, None])[..., 0] + v["bias"]
        return xp.mean(_softplus(xp, z) - data["y"] * z, axis=-1)

    shapes: dict[str, tuple[int, ...]] = {"weight": (3,), "bias": (1,)}
    return _gained("logistic-regression", "mean log(1 + exp z) − y z, z = x w + b", shapes, base)


def _tanh(xp: Namespace, z: Array) -> Array:
    return xp.tanh(z)


def _relu(xp: Namespace, z: Array) -> Array:
    return xp.where(
        z > 0, z, xp.zeros_like(z)
    )  # also right for a complex step: NumPy orders complex numbers by their real parts first


def _softplus(xp: Namespace, z: Array) -> Array:
    positive = _relu(xp, z)
    return positive + xp.log1p(xp.exp(z - 2 * positive))  # max(z, 0) + log(1 + exp −|z|): exp never overflows


ACTIVATIONS: dict[str, Callable[[Namespace, Array], Array]] = {"tanh": _tanh, "relu": _relu, "softplus": _softplus}
LOSSES = {"mse": _mean_squared_error, "softmax": _softmax_cross_entropy}


@cache
def mlp(activation: str, loss: str) -> Family:
    """Return the loss of act(x W1 + b1) W2 + b2 against y, with x [N, 2] and three hidden units and outputs."""
    act, measure = ACTIVATIONS[activation], LOSSES[loss]

    def hidden(data: Data, v: Data) -> Array:
        return data["x"] @ v["w1"] + v["b1"][:, None, :]

    def base(xp: Namespace, data: Data, v: Data) -> Array:
        return measure(xp, act(xp, hidden(data, v)) @ v["w2"] + v["b2"][:, None, :], data["y"])

    def kink_distances(xp: Namespace, data: Data, v: Data) -> Array:
        return xp.min(xp.abs(hidden(data, v)), axis=(-2, -1))

    shapes: dict[str, tuple[int, ...]] = {"w1": (2, 3), "b1": (3,), "w2": (3, 3), "b2": (3,)}
    formula = f"{loss} of {activation}(x W1 + b1) W2 + b2"
    return _gained(f"mlp-{activation}-{loss}", formula, shapes, base, kink_distances if activation == "relu" else None)


@cache
def bilinear() -> Family:
    """Return −mean Σ_j x_j · latent_j · weight_j with x [N, 3]: linear in each variable, curved in both together."""

    def base(xp: Namespace, data: Data, v: Data) -> Array:
        return -xp.mean(xp.sum(data["x"] * (v["latent"] * v["weight"])[:, None, :], axis=-1), axis=-1)

    return Family("bilinear", "−mean Σ x · latent · weight", {"latent": (3,), "weight": (3,)}, base, base)


#: Every family by its name.
FAMILIES: dict[str, Callable[[], Family]] = {
    "quadratic": quadratic,
    "linear-regression": linear_regression,
    "logistic-regression": logistic_regression,
    "bilinear": bilinear,
    **{f"mlp-{activation}-{loss}": partial(mlp, activation, loss) for activation in ACTIVATIONS for loss in LOSSES},
}
