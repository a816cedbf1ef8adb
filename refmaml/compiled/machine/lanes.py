"""Vectors of LLVM's instructions: what `microkernels` and `transposition` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.registers import registers

_I64, _I32 = ir.IntType(64), ir.IntType(32)
_FMA = ("contract",)
#: Bytes of the vectors that transpositions and short sums work with.
_SHORT = 32


class Lanes:
    """Vectors of one precision: loads, stores, broadcasts, loops.

    `along`: numbers that follow each other in the direction of the vectors, where a vector's lanes are added up at the
    end; longer vectors pay for that from four of them on.
    """

    def __init__(self, builder: Any, memory: Any, itemsize: int, along: int | None = None) -> None:
        self.builder, self.memory, self.itemsize = builder, memory, itemsize
        self.scalar = ir.FloatType() if itemsize == 4 else ir.DoubleType()
        self.width = registers().size // itemsize
        if along is not None and along < 4 * self.width:
            self.width = _SHORT // itemsize

    def type(self, lanes: int) -> Any:
        """Return the type of a vector of so many lanes; of one, the number's."""
        return ir.VectorType(self.scalar, lanes) if lanes > 1 else self.scalar

    def zero(self, lanes: int) -> Any:
        """Return zeros."""
        return ir.Constant(self.type(lanes), [0.0] * lanes if lanes > 1 else 0.0)

    def _address(self, index: Any, lanes: int) -> Any:
        pointer = self.builder.gep(self.memory, [index])
        return self.builder.bitcast(pointer, self.type(lanes).as_pointer())

    def load(self, index: Any, lanes: int) -> Any:
        """Read neighbours."""
        value = self.builder.load(self._address(index, lanes))
        value.align = self.itemsize
        return value

    def load_into(self, index: Any, lanes: int) -> Any:
        """Read neighbours into the lowest lanes of a register whose other lanes are zero."""
        value = self.load(index, lanes)
        if lanes == 1:
            return self.builder.insert_element(self.zero(self.width), value, _I32(0))
        while lanes < self.width:
            value, lanes = self.shuffle(value, self.zero(lanes), list(range(2 * lanes))), 2 * lanes
        return value

    def store(self, value: Any, index: Any, lanes: int) -> None:
        """Write neighbours."""
        self.builder.store(value, self._address(index, lanes)).align = self.itemsize

    def spread(self, number: Any, lanes: int) -> Any:
        """Return one number in every lane."""
        if lanes == 1:
            return number
        undefined = ir.Constant(self.type(lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, number, _I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b + c with one rounding or two, as the machine prefers."""
        return self.builder.fadd(c, self.builder.fmul(a, b, flags=_FMA), flags=_FMA)

    def plus(self, index: Any, constant: int) -> Any:
        """Return index + constant."""
        return self.builder.add(index, _I64(constant)) if constant else index

    def times(self, index: Any, constant: int) -> Any:
        """Return index · constant."""
        return self.builder.mul(index, _I64(constant))

    def shuffle(self, a: Any, b: Any, picked: list[int]) -> Any:
        """Return some lanes of two vectors; those of the second one count on from those of the first."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(picked)), picked))

    def folded(self, vector: Any, lanes: int) -> Any:
        """Return the sum of a vector's halves."""
        half = lanes // 2
        if half == 1:
            return self.builder.fadd(*(self.builder.extract_element(vector, _I32(i)) for i in range(2)))
        parts = [self.shuffle(vector, vector, list(range(start, start + half))) for start in (0, half)]
        return self.builder.fadd(*parts)

    def total(self, vector: Any, lanes: int) -> Any:
        """Return the sum of a vector's lanes, halves first."""
        while lanes > 1:
            vector, lanes = self.folded(vector, lanes), lanes // 2
        return vector

    def totals(self, vectors: list[Any]) -> Any:
        """Return a vector of the sums of as many vectors as it has lanes, which meet within 16 bytes first."""
        wide, group = self.width, 16 // self.itemsize
        distance = 1
        while len(vectors) > wide // group:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [self._met(a, b, group, distance) for a, b in pairs]
            distance *= 2
        places = [list(range(start, start + group)) for start in range(0, 2 * wide, group)]
        even, odd = ([lane for place in places[first::2] for lane in place] for first in range(2))
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [self.builder.fadd(self.shuffle(a, b, even), self.shuffle(a, b, odd)) for a, b in pairs]
        return vectors[0]

    def _met(self, a: Any, b: Any, group: int, distance: int) -> Any:
        """Add the halves of each 16 bytes of two vectors, where runs of `distance` lanes belong together."""
        picked: tuple[list[int], list[int]] = ([], [])
        for start in range(0, self.width, group):
            for part in range(2):
                for run in range(group // (2 * distance)):
                    lane = start + part * group // 2 + run * distance
                    for vector in (0, self.width):
                        picked[part].extend(range(vector + lane, vector + lane + distance))
        return self.builder.fadd(*(self.shuffle(a, b, lane) for lane in picked))

    def loop(self, start: int, stop: int, step: int, carried: list[Any], body: Callable[..., list[Any]]) -> list[Any]:
        """Run `body(index, *carried) -> carried` for the whole steps between `start` and `stop`."""
        count = (stop - start) // step
        if count <= 0:
            return carried
        if count == 1:
            return body(_I64(start), *carried)
        builder, before = self.builder, self.builder.block
        inside, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(inside)
        builder.position_at_end(inside)
        index = builder.phi(_I64)
        phis = [builder.phi(value.type) for value in carried]
        results = body(index, *phis)
        following = builder.add(index, _I64(step))
        for phi, first, later in zip([index, *phis], [_I64(start), *carried], [following, *results], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, builder.block)
        again = builder.icmp_signed("<", following, _I64(start + count * step))
        builder.cbranch(again, inside, after)
        builder.position_at_end(after)
        return results

    def sum(self, start: Any, length: int) -> Any:
        """Return the sum of `length` neighbours, in four vectors of partial sums."""
        wide = self.width
        sums, done = [self.zero(wide)] * 4, 0
        for vectors in (4, 1):
            stop = done + (length - done) // (vectors * wide) * vectors * wide

            def add(index: Any, *parts: Any, vectors: int = vectors) -> list[Any]:
                at = self.builder.add(start, index)
                loaded = [self.load(self.plus(at, v * wide), wide) for v in range(vectors)]
                return [self.builder.fadd(*pair) for pair in zip(parts, loaded, strict=False)]

            sums = [*self.loop(done, stop, vectors * wide, sums[:vectors], add), *sums[vectors:]]
            done = stop
        pair = self.builder.fadd(self.builder.fadd(sums[0], sums[1]), self.builder.fadd(sums[2], sums[3]))
        result = self.total(pair, wide)
        for index in range(done, length):
            result = self.builder.fadd(result, self.load(self.plus(start, index), 1))
        return result
