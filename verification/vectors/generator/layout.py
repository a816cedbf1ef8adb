"""Reading the JSON layout of a problem (docs/vectors.md) into exact numbers, one task at a time."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from verification.vectors.generator.balls import Scalar, exact

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Array:
    """A shape and the entries, row by row."""

    shape: tuple[int, ...]
    values: list[Scalar]

    def row(self, t: int) -> Array:
        """Return the part at index t of the leading axis."""
        shape = self.shape[1:]
        size = prod(shape)
        return Array(shape, self.values[t * size : (t + 1) * size])


def array(layout: Json) -> Array:
    """Read {"shape", "values"}."""
    return Array(tuple(layout["shape"]), [exact(float.fromhex(entry)) for entry in layout["values"]])


def hex_float(number: float) -> str:
    """Return the shortest C99 hex float: 0x1.8p+1, 0x0p+0."""
    mantissa, exponent = number.hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}"


def array_layout(shape: tuple[int, ...], numbers: list[float]) -> Json:
    """Write {"shape", "values"}."""
    return {"shape": list(shape), "values": [hex_float(number) for number in numbers]}


def variable_shapes(problem: Json) -> dict[str, tuple[int, ...]]:
    """Return each variable's shape without the task axis."""
    skip = 1 if problem["batched"] else 0
    return {name: tuple(leaf["shape"][skip:]) for name, leaf in problem["variables"].items()}
