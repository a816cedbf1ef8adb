"""Vector code for `refmaml.compiled.program.kernels`, written in LLVM's instructions.

A tile of C stays in registers while the summed index runs: each step loads some vectors of B and one number of A for
each row, and makes rows × vectors multiply-adds. LLVM finds neither this blocking nor the right tile by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine import several
from refmaml.compiled.machine.factors import FactorsWriter
from refmaml.compiled.machine.lanes import Lanes
from refmaml.compiled.machine.registers import best_tile, registers
from refmaml.compiled.machine.transposition import Transposition
from refmaml.compiled.program.kernels import Factors, Kernel, MatMul, Turn

_I64 = ir.IntType(64)
_UNROLL = 4


def write(kernel: Kernel, builder: Any, memory: Any, args: Sequence[Any]) -> Any:
    """Write `kernel` at the place of its call; `args` follow the workspace."""
    if isinstance(memory.type.pointee, ir.VectorType):
        return several.write(kernel, builder, memory, args)
    if isinstance(kernel, MatMul):
        return Product(kernel, builder, memory, *args).write()
    if isinstance(kernel, Turn):
        return Transposition(kernel, builder, memory, *args).write()
    if isinstance(kernel, Factors):
        return FactorsWriter(kernel, builder, memory, *args).write()
    return Lanes(builder, memory, kernel.itemsize, along=kernel.length).sum(args[0], kernel.length)


def next_below(builder: Any, counter: Any, limit: Any) -> Any:
    """Take the next number below `limit`, or −1; no two threads get the same."""
    before = builder.atomic_rmw("add", counter, _I64(1), "seq_cst")
    return builder.select(builder.icmp_signed("<", before, limit), before, _I64(-1))


def finished(builder: Any, counter: Any, chunk: Any) -> None:
    """Note that a chunk is finished, after all that was written before."""
    flag = builder.gep(counter, [builder.add(chunk, _I64(1))])
    builder.store_atomic(_I64(1), flag, "seq_cst", 8)


class Product(Lanes):
    """Writes one matrix product."""

    def __init__(self, kernel: MatMul, builder: Any, memory: Any, c: Any, a: Any, b: Any, alpha: Any) -> None:
        super().__init__(builder, memory, kernel.itemsize, kernel.summed if kernel.form == "dots" else None)
        self.kernel, self.c, self.a, self.b, self.alpha = kernel, c, a, b, alpha
        across = kernel.columns // self.width if kernel.form == "rows" else kernel.columns
        self.tile = best_tile(kernel.rows, max(across, 1))

    def write(self) -> None:
        """Cover C with tiles: bands of rows, and in each strips of columns."""
        k, height = self.kernel, self.tile[0]
        strip = self._rows_tile if k.form == "rows" else self._dots_tile
        for first, bands, rows in ((0, k.rows // height, height), (k.rows // height * height, 1, k.rows % height)):
            if rows and bands:
                self._band(first, bands, rows, strip)

    def _band(self, first: int, bands: int, rows: int, strip: Callable[..., None]) -> None:
        def body(i: Any) -> list[Any]:
            for start, count, width, lanes in self._strips(rows):

                def column(j: Any, width: int = width, lanes: int = lanes) -> list[Any]:
                    strip(i, j, rows, width, lanes)
                    return []

                self.loop(start, start + count * width * lanes, width * lanes, [], column)
            return []

        self.loop(first, first + bands * rows, rows, [], body)

    def _strips(self, rows: int) -> list[tuple[int, int, int, int]]:
        """Return (first column, number of tiles, vectors in each, lanes), narrower towards the right edge."""
        if self.kernel.form == "dots":
            width = self.tile[1]
            whole = self.kernel.columns // width
            rest = self.kernel.columns % width
            return [(0, whole, width, 1)] + ([(whole * width, 1, rest, 1)] if rest else [])
        strips, start, lanes = [], 0, self.width
        while start < self.kernel.columns:
            vectors = (self.kernel.columns - start) // lanes
            if vectors:
                width = best_tile(rows, vectors)[1] if lanes == self.width else vectors
                for count, length in ((vectors // width, width), (1, vectors % width)):
                    if count and length:
                        strips.append((start, count, length, lanes))
                        start += count * length * lanes
            lanes //= 2
        return strips

    def _rows_tile(self, i: Any, j: Any, rows: int, width: int, lanes: int) -> None:
        k = self.kernel
        a_row = self.builder.add(self.a, self.times(i, k.a[0]))
        b_column = self.builder.add(self.b, j)

        def step(index: Any, *sums: Any, unrolled: int = 1) -> list[Any]:
            sums = tuple(sums)
            for u in range(unrolled):
                at = self.plus(index, u)
                b_row = self.builder.add(b_column, self.times(at, k.b[0]))
                vectors = [self.load(self.plus(b_row, v * lanes), lanes) for v in range(width)]
                a_at = self.builder.add(a_row, self.times(at, k.a[1]))
                factors = [self.spread(self.load(self.plus(a_at, r * k.a[0]), 1), lanes) for r in range(rows)]
                sums = tuple(
                    self.multiply_add(factors[n // width], vectors[n % width], sums[n]) for n in range(rows * width)
                )
            return list(sums)

        sums = self._summed(step, rows * width, lanes)
        c_row = self.builder.add(self.builder.add(self.c, self.times(i, k.columns)), j)
        for n, value in enumerate(sums):
            self._put(value, self.plus(c_row, n // width * k.columns + n % width * lanes), lanes)

    def _summed(self, step: Callable[..., list[Any]], count: int, lanes: int) -> list[Any]:
        """Run the summed index, several at a time; where that leaves registers, each into sums of its own."""
        apart = _UNROLL if count * _UNROLL <= registers().accumulators else 1
        whole = self.kernel.summed // _UNROLL * _UNROLL

        def several(index: Any, *sums: Any) -> list[Any]:
            if apart == 1:
                return step(index, *sums, unrolled=_UNROLL)
            parts = (step(self.plus(index, u), *sums[u * count : (u + 1) * count]) for u in range(_UNROLL))
            return [length for part in parts for length in part]

        sums = self.loop(0, whole, _UNROLL, [self.zero(lanes)] * (count * apart), several)
        while len(sums) > count:
            half = len(sums) // 2
            sums = [self.builder.fadd(*pair) for pair in zip(sums[:half], sums[half:], strict=True)]
        return self.loop(whole, self.kernel.summed, 1, sums, step)

    def _dots_tile(self, i: Any, j: Any, rows: int, width: int, _lanes: int) -> None:
        k, wide = self.kernel, self.width
        a_row = self.builder.add(self.a, self.times(i, k.a[0]))
        b_column = self.builder.add(self.b, self.times(j, k.b[1]))

        def step(index: Any, *sums: Any, lanes: int = wide) -> list[Any]:
            a_at, b_at = self.builder.add(a_row, index), self.builder.add(b_column, index)
            left = [self.load_into(self.plus(a_at, r * k.a[0]), lanes) for r in range(rows)]
            right = [self.load_into(self.plus(b_at, c * k.b[1]), lanes) for c in range(width)]
            return [self.multiply_add(left[n // width], right[n % width], sums[n]) for n in range(rows * width)]

        done, lanes = k.summed // wide * wide, wide // 2
        sums = self.loop(0, done, wide, [self.zero(wide)] * (rows * width), step)
        while lanes:  # what is left, in ever shorter vectors
            if k.summed - done >= lanes:
                sums, done = step(_I64(done), *sums, lanes=lanes), done + lanes
            lanes //= 2
        c_row = self.builder.add(self.builder.add(self.c, self.times(i, k.columns)), j)
        together = rows // wide * wide if k.columns == 1 else 0  # so many sums are neighbours, in whole vectors
        for n in range(0, together, wide):
            self._put(self.totals(sums[n : n + wide]), self.plus(c_row, n), wide)
        for n in range(together, rows * width):
            self._put(self.total(sums[n], wide), self.plus(c_row, n // width * k.columns + n % width), 1)

    def _put(self, value: Any, index: Any, lanes: int) -> None:
        if self.kernel.accumulate:
            value = self.multiply_add(self.spread(self.alpha, lanes), value, self.load(index, lanes))
        self.store(value, index, lanes)
