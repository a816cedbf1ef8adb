"""Vector code for `refmaml.compiled.kernels`, written in LLVM's instructions.

A tile of C stays in registers while the summed index runs: each step loads some vectors of B and one number of A for
each row, and makes rows × vectors multiply-adds. LLVM finds neither this blocking nor the right tile by itself.
"""

# ruff: noqa: ARG001 - Numba reads the signatures of intrinsics
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import extending, types

from refmaml.compiled.kernels import Kernel, MatMul, RowSum, best_tile

_I64, _I32 = ir.IntType(64), ir.IntType(32)
_FMA = ("contract",)
_UNROLL = 4


@cache
def intrinsic_of(kernel: Kernel) -> Callable[..., Any]:
    """Return the intrinsic that writes `kernel` at the place of its call."""
    return _matmul_intrinsic(kernel) if isinstance(kernel, MatMul) else _sum_intrinsic(kernel)


def _matmul_intrinsic(kernel: MatMul) -> Callable[..., Any]:
    @extending.intrinsic
    def matmul(typing_context, w, c, a, b, alpha):  # type: ignore[no-untyped-def]  # Numba reads this signature
        number = types.float32 if kernel.itemsize == 4 else types.float64
        signature = types.void(w, types.int64, types.int64, types.int64, number)

        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            memory = _pointer(context, builder, signature.args[0], args[0])
            Product(kernel, builder, memory, *args[1:]).write()
            return context.get_dummy_value()

        return signature, generate

    return matmul


def _sum_intrinsic(kernel: RowSum) -> Callable[..., Any]:
    @extending.intrinsic
    def row_sum(typing_context, w, start):  # type: ignore[no-untyped-def]  # Numba reads this signature
        number = types.float32 if kernel.itemsize == 4 else types.float64

        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            memory = _pointer(context, builder, signature.args[0], args[0])
            return Lanes(builder, memory, kernel.itemsize).sum(args[1], kernel.length)

        return number(w, types.int64), generate

    return row_sum


def _pointer(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return the address of the workspace, which is an array where bounds are checked."""
    return context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value


@extending.intrinsic
def claim(_, counter, limit):  # type: ignore[no-untyped-def]  # Numba reads this signature
    """Take the next number below `limit`, or −1; no two callers get the same."""

    def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
        memory = _pointer(context, builder, signature.args[0], args[0])
        before = builder.atomic_rmw("add", memory, _I64(1), "seq_cst")
        return builder.select(builder.icmp_signed("<", before, args[1]), before, _I64(-1))

    return types.int64(counter, types.int64), write


@extending.intrinsic
def finished(_, counter, chunk):  # type: ignore[no-untyped-def]  # Numba reads this signature
    """Note that a chunk is finished, after all that was written before."""

    def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
        memory = _pointer(context, builder, signature.args[0], args[0])
        flag = builder.gep(memory, [builder.add(args[1], _I64(1))])
        builder.store_atomic(_I64(1), flag, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(counter, types.int64), write


class Lanes:
    """Vectors of one precision: loads, stores, broadcasts, loops."""

    def __init__(self, builder: Any, memory: Any, itemsize: int) -> None:
        self.builder, self.memory, self.itemsize = builder, memory, itemsize
        self.scalar = ir.FloatType() if itemsize == 4 else ir.DoubleType()
        self.width = 32 // itemsize

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

    def total(self, vector: Any, lanes: int) -> Any:
        """Return the sum of a vector's lanes, halves first."""
        while lanes > 1:
            half = lanes // 2
            undefined = ir.Constant(self.type(lanes), ir.Undefined)
            halves = [
                self.builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(_I32, half), picked))
                for picked in (list(range(half)), list(range(half, lanes)))
            ] if half > 1 else [self.builder.extract_element(vector, _I32(i)) for i in range(2)]  # fmt: skip
            vector, lanes = self.builder.fadd(*halves), half
        return vector

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
        builder.cbranch(again, inside, after).set_metadata("llvm.loop", _no_unrolling(builder.module))
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


def _no_unrolling(module: Any) -> Any:
    """Return loop metadata: these loops are unrolled as far as it pays, and LLVM's own unrolling spills registers."""
    off = [module.add_metadata([ir.MetaDataString(module, f"llvm.loop.{name}")]) for name in ("unroll.disable",)]
    serial = len(module.metadata)
    return module.add_metadata([module.add_metadata([_I32(serial)]), *off])


class Product(Lanes):
    """Writes one matrix product."""

    def __init__(self, kernel: MatMul, builder: Any, memory: Any, c: Any, a: Any, b: Any, alpha: Any) -> None:
        super().__init__(builder, memory, kernel.itemsize)
        self.kernel, self.c, self.a, self.b, self.alpha = kernel, c, a, b, alpha

    def write(self) -> None:
        """Cover C with tiles: bands of rows, and in each strips of columns."""
        k = self.kernel
        height, _ = k.tile
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
            width = self.kernel.tile[1]
            whole = self.kernel.columns // width
            rest = self.kernel.columns % width
            return [(0, whole, width, 1)] + ([(whole * width, 1, rest, 1)] if rest else [])
        strips, start, lanes = [], 0, self.width
        while start < self.kernel.columns:
            vectors = (self.kernel.columns - start) // lanes
            if vectors:
                width = best_tile(rows, vectors)[1] if lanes == self.width else vectors
                for count, each in ((vectors // width, width), (1, vectors % width)):
                    if count and each:
                        strips.append((start, count, each, lanes))
                        start += count * each * lanes
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

        sums = self._summed(step, [self.zero(lanes)] * (rows * width))
        c_row = self.builder.add(self.builder.add(self.c, self.times(i, k.columns)), j)
        for n, value in enumerate(sums):
            self._put(value, self.plus(c_row, n // width * k.columns + n % width * lanes), lanes)

    def _summed(self, step: Callable[..., list[Any]], sums: list[Any]) -> list[Any]:
        """Run the summed index, several at a time."""
        whole = self.kernel.summed // _UNROLL * _UNROLL
        sums = self.loop(0, whole, _UNROLL, sums, lambda index, *s: step(index, *s, unrolled=_UNROLL))
        return self.loop(whole, self.kernel.summed, 1, sums, step)

    def _dots_tile(self, i: Any, j: Any, rows: int, width: int, _lanes: int) -> None:
        k, wide = self.kernel, self.width
        a_row = self.builder.add(self.a, self.times(i, k.a[0]))
        b_column = self.builder.add(self.b, self.times(j, k.b[1]))

        def step(index: Any, *sums: Any, lanes: int) -> list[Any]:
            a_at, b_at = self.builder.add(a_row, index), self.builder.add(b_column, index)
            left = [self.load(self.plus(a_at, r * k.a[0]), lanes) for r in range(rows)]
            right = [self.load(self.plus(b_at, c * k.b[1]), lanes) for c in range(width)]
            return [self.multiply_add(left[n // width], right[n % width], sums[n]) for n in range(rows * width)]

        whole = k.summed // wide * wide
        sums = [self.zero(wide)] * (rows * width)
        sums = self.loop(0, whole, wide, sums, lambda index, *s: step(index, *s, lanes=wide))
        sums = [self.total(value, wide) for value in sums]
        sums = self.loop(whole, k.summed, 1, sums, lambda index, *s: step(index, *s, lanes=1))
        c_row = self.builder.add(self.builder.add(self.c, self.times(i, k.columns)), j)
        for n, value in enumerate(sums):
            self._put(value, self.plus(c_row, n // width * k.columns + n % width), 1)

    def _put(self, value: Any, index: Any, lanes: int) -> None:
        if self.kernel.accumulate:
            value = self.multiply_add(self.spread(self.alpha, lanes), value, self.load(index, lanes))
        self.store(value, index, lanes)
