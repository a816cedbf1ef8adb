"""The costs of corners: four kinds that take variables of any shapes, in units in which all sizes are ordinary.

With z = v / s for each variable, x and y of the data divided by their size, and m_n = Σ_j x_nj z_j over all entries of
the variables that the cost takes, a cost is g times

    squares     mean ½ (m − y)²
    logistic    mean log(1 + exp m) − y m, y in {0, 1}
    network     mean ½ (Σ_j tanh(x_j z_j) − y)²
    products    −mean ½ m_n m_{n+1}, the last example beside the first

Products are written entry by entry: a product of matrices of two dtypes is an error in PyTorch.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from verification.problems.families import ACTIVATIONS, Array, Costs, Data, Family, Namespace

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@cache
def family(
    kind: str,
    shapes: Shapes,
    ignores: tuple[tuple[str, ...], tuple[str, ...]],
    factors: tuple[float, float],
    size: float,
    data_size: float,
) -> Family:
    """Return a pair of costs.

    Args:
        kind: one of those above.
        shapes: the variables with their shapes.
        ignores: the variables that the inner cost does not take, and those that the outer cost does not.
        factors: g of the inner and of the outer cost.
        size: s.
        data_size: what data are divided by.
    """
    inner, outer = (
        _costs(kind, shapes, left_out, factor, size, data_size)
        for left_out, factor in zip(ignores, factors, strict=True)
    )
    return Family(
        f"corner-{kind}", f"g · {kind} of x v / s", dict(shapes), inner, outer,
        inner_ignores=ignores[0], outer_ignores=ignores[1],
    )  # fmt: skip


def _costs(kind: str, shapes: Shapes, left_out: tuple[str, ...], factor: float, size: float, data_size: float) -> Costs:
    ends = np.cumsum([int(np.prod(shape, dtype=int)) for _, shape in shapes])
    starts = [0, *ends[:-1].tolist()]
    taken = [
        (name, start, int(end))
        for (name, _), start, end in zip(shapes, starts, ends, strict=True)
        if name not in left_out
    ]

    def costs(xp: Namespace, data: Data, v: Data) -> Array:
        total = None
        for name, start, end in taken:
            z = xp.reshape(v[name], (v[name].shape[0], 1, -1)) * (1 / size)
            terms = data["x"][:, :, start:end] * (1 / data_size) * z
            part = xp.sum(xp.tanh(terms) if kind == "network" else terms, axis=-1)
            total = part if total is None else total + part
        return factor * _measured(kind, xp, total, data["y"] * (1 / data_size))

    return costs


def _measured(kind: str, xp: Namespace, m: Array, y: Array) -> Array:
    if kind == "logistic":
        return xp.mean(ACTIVATIONS["softplus"](xp, m) - y * m, axis=-1)
    if kind == "products":
        return -0.5 * xp.mean(m * xp.concatenate([m[:, 1:], m[:, :1]], axis=1), axis=-1)
    return 0.5 * xp.mean((m - y) ** 2, axis=-1)


def examples(kind: str, shapes: dict[str, tuple[int, ...]], lead: tuple[int, int], rng: np.random.Generator) -> Data:
    """Return x [tasks, examples, entries] and y [tasks, examples] of ordinary size."""
    entries = sum(int(np.prod(shape, dtype=int)) for shape in shapes.values())

    def signed(shape: tuple[int, ...]) -> Any:
        return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.25, 1.25, shape)

    labels = rng.integers(0, 2, lead).astype(float)
    return {"x": signed((*lead, entries)), "y": labels if kind == "logistic" else signed(lead)}
