"""Several tasks at once: the kernels, and the moves of data, where an element of a workspace has a lane for each task.

Where a task is too small to fill the registers, most of the time goes into waiting for the result before, and into sums
across the lanes of a vector. With a task in each lane both are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.lanes import Lanes
from refmaml.compiled.machine.real import constant
from refmaml.compiled.machine.transposition import Transposition
from refmaml.compiled.program.kernels import Kernel, MatMul, RowSum, Turn

_I64, _I32 = ir.IntType(64), ir.IntType(32)
#: Rows and columns of a product that stay in registers, at most.
_TILE = (4, 4)


def write(kernel: Kernel, builder: Any, memory: Any, args: Sequence[Any]) -> Any:
    """Write `kernel` at the place of its call, for every lane."""
    writer = Tasks(builder, memory)
    if isinstance(kernel, MatMul):
        return writer.product(kernel, *args)
    if isinstance(kernel, Turn):
        return writer.turn(kernel, *args)
    if isinstance(kernel, RowSum):
        return writer.row(kernel, *args)
    raise TypeError(f"expected a kernel for several tasks, but got {kernel}")


class Tasks(Lanes):
    """Vectors with a lane for each task."""

    def __init__(self, builder: Any, memory: Any) -> None:
        kind = memory.type.pointee
        super().__init__(builder, memory, 4 if kind.element == ir.FloatType() else 8)
        self.lanes = kind.count

    def at(self, index: Any) -> Any:
        """Read one element."""
        return self.builder.load(self.builder.gep(self.memory, [index]))

    def put(self, value: Any, index: Any) -> None:
        """Write one element."""
        self.builder.store(value, self.builder.gep(self.memory, [index]))

    def product(self, kernel: MatMul, c: Any, a: Any, b: Any, alpha: Any) -> None:
        """Cover C with tiles."""
        height = min(kernel.rows, _TILE[0] if kernel.columns > 1 else _TILE[0] * _TILE[1])
        width = min(kernel.columns, _TILE[1] if kernel.rows > 1 else _TILE[0] * _TILE[1])

        def band(i: Any, rows: int) -> list[Any]:
            def tile(j: Any, columns: int) -> list[Any]:
                self._tile(kernel, (c, a, b, alpha), (i, j), (rows, columns))
                return []

            self._cover(kernel.columns, width, tile)
            return []

        self._cover(kernel.rows, height, band)

    def _cover(self, length: int, step: int, body: Callable[[Any, int], list[Any]]) -> None:
        """Run a body for each whole step, and for what is left."""
        whole, rest = length // step * step, length % step
        self.loop(0, whole, step, [], lambda index: body(index, step))
        if rest:
            body(_I64(whole), rest)

    def _tile(self, k: MatMul, starts: Any, first: Any, size: tuple[int, int]) -> None:
        (c, a, b, alpha), (i, j), (rows, columns) = starts, first, size
        a_row, b_column = self.builder.add(a, self.times(i, k.a[0])), self.builder.add(b, self.times(j, k.b[1]))

        def step(index: Any, *sums: Any) -> list[Any]:
            a_at = self.builder.add(a_row, self.times(index, k.a[1]))
            b_at = self.builder.add(b_column, self.times(index, k.b[0]))
            left = [self.at(self.plus(a_at, r * k.a[0])) for r in range(rows)]
            right = [self.at(self.plus(b_at, n * k.b[1])) for n in range(columns)]
            return [self.multiply_add(left[n // columns], right[n % columns], total) for n, total in enumerate(sums)]

        sums = self.loop(0, k.summed, 1, [self.zero(self.lanes)] * (rows * columns), step)
        c_at = self.builder.add(self.builder.add(c, self.times(i, k.columns)), j)
        for n, total in enumerate(sums):
            index = self.plus(c_at, n // columns * k.columns + n % columns)
            if k.accumulate:
                total = self.multiply_add(alpha, total, self.at(index))  # noqa: PLW2901
            self.put(total, index)

    def turn(self, kernel: Turn, c: Any, a: Any) -> None:
        """Transpose."""

        def row(i: Any) -> list[Any]:
            def element(j: Any) -> list[Any]:
                value = self.at(self.builder.add(self.builder.add(a, self.times(i, kernel.stride)), j))
                self.put(value, self.builder.add(self.builder.add(c, self.times(j, kernel.rows)), i))
                return []

            self.loop(0, kernel.columns, 1, [], element)
            return []

        self.loop(0, kernel.rows, 1, [], row)

    def row(self, kernel: RowSum, start: Any) -> Any:
        """Return the sum of neighbours, in four partial sums."""
        sums: list[Any] = [self.zero(self.lanes)] * 4
        whole = kernel.length // 4 * 4

        def four(index: Any, *parts: Any) -> list[Any]:
            at = self.builder.add(start, index)
            return [self.builder.fadd(part, self.at(self.plus(at, n))) for n, part in enumerate(parts)]

        sums = self.loop(0, whole, 4, sums, four)
        result = self.builder.fadd(self.builder.fadd(sums[0], sums[1]), self.builder.fadd(sums[2], sums[3]))
        for index in range(whole, kernel.length):
            result = self.builder.fadd(result, self.at(self.plus(start, index)))
        return result


def total(builder: Any, value: Any, count: Any) -> Any:
    """Return the sum of the first `count` lanes; a number is the same in all of them."""
    if not isinstance(value.type, ir.VectorType):
        return builder.fmul(value, builder.sitofp(count, value.type))
    lanes = value.type.count
    steps = ir.Constant(ir.VectorType(_I64, lanes), list(range(lanes)))
    limit = builder.insert_element(ir.Constant(steps.type, ir.Undefined), count, _I32(0))
    limit = builder.shuffle_vector(limit, limit, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))
    value = builder.select(builder.icmp_signed("<", steps, limit), value, constant(value.type, 0.0))
    wide = isinstance(value.type.element, ir.DoubleType)
    return Lanes(builder, None, 8 if wide else 4).total(value, lanes)


def _bring(builder: Any, target: Any, source: Any, place: Any, first: Any, apart: Any, size: Any, count: Any) -> None:
    """Read `size` numbers of each of `count` tasks, which lie `apart` from task to task; other lanes repeat the last.

    Many numbers of as many tasks as there are lanes are transposed in registers.
    """
    kind = target.type.pointee
    lanes, length = kind.count, size.constant
    scalars = builder.bitcast(target, kind.element.as_pointer())
    if length < 2 * lanes:
        _bring_singly(builder, lanes, scalars, source, place, first, apart, length, count)
        return
    full = builder.icmp_signed("==", count, _I64(lanes))
    with builder.if_else(builder.and_(full, builder.icmp_signed("==", apart, size))) as (whole, rest):
        with whole:
            turn = Turn(lanes, length, length, 4 if kind.element == ir.FloatType() else 8)
            Transposition(turn, builder, scalars, builder.mul(place, _I64(lanes)), first, source).write()
        with rest:
            _bring_singly(builder, lanes, scalars, source, place, first, apart, length, count)


def _bring_singly(
    builder: Any, lanes: int, target: Any, source: Any, place: Any, first: Any, apart: Any, length: int, count: Any
) -> None:
    loops = Lanes(builder, None, 4)
    last = builder.sub(count, _I64(1))

    def lane(number: Any) -> list[Any]:
        begin = builder.select(builder.icmp_signed("<", number, last), number, last)
        begin = builder.add(first, builder.mul(begin, apart))

        def element(index: Any) -> list[Any]:
            value = builder.load(builder.gep(source, [builder.add(begin, index)]))
            at = builder.add(builder.mul(builder.add(place, index), _I64(lanes)), number)
            builder.store(value, builder.gep(target, [at]))
            return []

        loops.loop(0, length, 1, [], element)
        return []

    loops.loop(0, lanes, 1, [], lane)


def _give(builder: Any, target: Any, source: Any, first: Any, place: Any, size: Any, count: Any) -> None:
    """Write `size` numbers of each of the first `count` lanes, one task after the other."""
    kind = source.type.pointee
    lanes = kind.count
    scalars = builder.bitcast(source, kind.element.as_pointer())
    loops = Lanes(builder, None, 4)

    def lane(number: Any) -> list[Any]:
        with builder.if_then(builder.icmp_signed("<", number, count)):
            begin = builder.add(first, builder.mul(number, size))

            def element(index: Any) -> list[Any]:
                at = builder.add(builder.mul(builder.add(place, index), _I64(lanes)), number)
                value = builder.load(builder.gep(scalars, [at]))
                builder.store(value, builder.gep(target, [builder.add(begin, index)]))
                return []

            loops.loop(0, size.constant, 1, [], element)
        return []

    loops.loop(0, lanes, 1, [], lane)


#: What emitted source calls with two arrays and numbers.
MOVES: dict[str, Callable[..., Any]] = {"bring": _bring, "give": _give}
