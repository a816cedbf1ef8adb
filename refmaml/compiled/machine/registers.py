"""The vector registers of this processor, and how a matrix product uses them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from math import inf

from refmaml.compiled.machine.cache import has_long_registers


@dataclass(frozen=True)
class Registers:
    """Bytes of a vector register, and how many may hold a tile of a product; the others hold what is multiplied."""

    size: int
    accumulators: int


@cache
def registers() -> Registers:
    """Return what this processor has: 32 registers of 64 bytes, or 16 of 32 bytes."""
    return Registers(64, 24) if has_long_registers() else Registers(32, 12)


@cache
def best_tile(rows: int, vectors: int) -> tuple[int, int]:
    """Return the (rows, vectors) of a register tile that takes the fewest cycles for each summed index.

    Two multiply-adds and two loads can start in a cycle, and a multiply-add takes four, so that a tile of fewer than
    eight accumulators waits for itself.
    """
    most = registers().accumulators

    def cost(height: int, width: int) -> float:
        return sum(
            max(h * w / 2, (h + w) / 2, 4.0) for h in pieces(rows, height) for w in pieces(vectors, width)
        )  # fmt: skip

    sizes = product(range(1, min(rows, most) + 1), range(1, min(vectors, most) + 1))
    candidates = [(h, w) for h, w in sizes if h * w <= most]
    best, found = inf, (1, 1)
    for height, width in candidates:
        cycles = cost(height, width)
        if cycles < best:
            best, found = cycles, (height, width)
    return found


def pieces(total: int, step: int) -> list[int]:
    """Return the lengths of the pieces into which `total` falls, the last one shorter."""
    return [step] * (total // step) + ([total % step] if total % step else [])
