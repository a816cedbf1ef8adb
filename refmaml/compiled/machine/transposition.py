"""Transposing in registers: square blocks of eight or four vectors, and number by number at the edges."""

from __future__ import annotations

from typing import Any

from refmaml.compiled.machine.lanes import Lanes
from refmaml.compiled.program.kernels import Turn


class Transposition(Lanes):
    """Writes C[j, i] = A[i, j]."""

    def __init__(self, kernel: Turn, builder: Any, memory: Any, c: Any, a: Any, source: Any = None) -> None:
        super().__init__(builder, memory, kernel.itemsize, along=1)
        self.kernel, self.c, self.a = kernel, c, a
        self._read = self if source is None else Lanes(builder, source, kernel.itemsize)

    def write(self) -> None:
        """Cover A with blocks: as many of the widest as fit, then narrower ones to the right and below."""
        rows, columns = self.kernel.rows, self.kernel.columns
        size, top = self.width, 0
        while top < rows:
            left, high, across = 0, (rows - top) // size * size, size
            while left < columns and high:
                wide = (columns - left) // across * across
                self._region(top, top + high, left, left + wide, across)
                left, across = left + wide, _next(across)
            top, size = top + high, _next(size)

    def _region(self, top: int, bottom: int, left: int, right: int, size: int) -> None:
        def row(i: Any) -> list[Any]:
            self.loop(left, right, size, [], lambda j: self._block(i, j, size))
            return []

        self.loop(top, bottom, size, [], row)

    def _block(self, i: Any, j: Any, size: int) -> list[Any]:
        k = self.kernel
        source = self.builder.add(self.builder.add(self.a, self.times(i, k.stride)), j)
        target = self.builder.add(self.builder.add(self.c, self.times(j, k.rows)), i)
        rows = [self._read.load(self.plus(source, n * k.stride), size) for n in range(size)]
        for n, column in enumerate(self.turned(rows, size)):
            self.store(column, self.plus(target, n * k.rows), size)
        return []

    def turned(self, rows: list[Any], size: int) -> list[Any]:
        """Return the columns of a block; every shuffle stays within 16 bytes or moves 16 bytes whole."""
        if size == 1:
            return rows
        group = min(size, 16 // self.itemsize)  # numbers in 16 bytes
        distance = 1
        while distance < group:
            rows = self._exchanged(rows, size, group, distance)
            distance *= 2
        if group < size:  # halves of 32 bytes
            half = size // 2
            low, high = list(range(half)), list(range(half, size))
            pairs = [(rows[n], rows[n + half]) for n in range(half)]
            first = [self.shuffle(a, b, low + [size + lane for lane in low]) for a, b in pairs]
            rows = first + [self.shuffle(a, b, high + [size + lane for lane in high]) for a, b in pairs]
        return rows

    def _exchanged(self, rows: list[Any], size: int, group: int, distance: int) -> list[Any]:
        """Interleave runs of `distance` lanes from the halves of each 16 bytes of rows that stand so far apart."""
        new: list[Any] = [None] * size
        for n in range(size):
            if n % (2 * distance) >= distance:
                continue
            for part in range(2):
                picked: list[int] = []
                for start in range(0, size, group):
                    for run in range(group // (2 * distance)):
                        lane = start + part * group // 2 + run * distance
                        picked += range(lane, lane + distance)
                        picked += range(size + lane, size + lane + distance)
                base = n // (2 * distance) * 2 * distance
                position = base + 2 * (n % distance) + part if group > 2 else n + part
                new[position] = self.shuffle(rows[n], rows[n + distance], picked)
        return new


def _next(size: int) -> int:
    """Return the next narrower block."""
    return 4 if size == 8 else 1
