"""From scheduled statements to Numba source that a person can read."""

from __future__ import annotations

from collections.abc import Collection

from refmaml.compiled.code.fused import LoopWriter
from refmaml.compiled.code.loops import Access, copy_lines
from refmaml.compiled.code.places import FAILED, Header, Places, Sink
from refmaml.compiled.program.kernels import Factors, MatMul, RowSum, Turn, multiply_form
from refmaml.compiled.program.program import BOOL, FLOAT64, DType, Shape, Value, contiguous, in_c_order, where_read
from refmaml.compiled.program.schedule import Statement, Workspace, memory_name, stored_values, turn_of


class Writer(Places):
    """Writes the statements of one program, whose places a workspace has."""

    def __init__(
        self, header: Header, workspace: Workspace, statements: list[Statement], sinks: list[Sink], written: str,
        kept: Collection[int], lanes: int,
    ) -> None:  # fmt: skip
        super().__init__(
            header, workspace, stored_values(statements, [sink.value for sink in sinks]) | set(kept), lanes
        )
        self.statements, self.sinks = statements, sinks
        self._written = written  # the prefix of the inputs that the sinks write to
        self._kept = kept  # ids of values that another program reads
        self._fused = {id(where_read(sink.value)[0]): sink for sink in sinks if self._in_place(sink)}

    def _in_place(self, sink: Sink) -> bool:
        """Tell whether a product can be accumulated where it goes, so that it need never be stored."""
        root, offset, _ = where_read(sink.value)
        straight = offset == 0 and root.size == sink.value.size and in_c_order(sink.value)
        if not sink.alpha or sink.late or root.op != "matmul" or root.shape[0] != 1 or not straight:
            return False
        if sink.memory != memory_name(root.dtype):
            return False  # a cost, which goes elsewhere
        if any(is_input(where_read(arg)[0], self._written) for arg in root.args):
            return False  # it reads what other sinks of the same program write
        if id(root) in self._kept:
            return False
        wanted = sum(where_read(sink.value)[0] is root for sink in self.sinks)
        readers = sum(where_read(arg)[0] is root for s in self.statements for v in s.values for arg in v.args)
        return wanted == 1 and readers == 0

    def lines(self) -> list[str]:
        """Return the source of all statements, then of the sinks; those of a cost stand under a condition."""
        result: list[str] = []
        late: list[str] = []
        for statement in self.statements:
            if id(statement.values[0]) not in self._fused:
                (late if statement.late else result).extend(self._statement(statement))
        for sink in self.sinks:
            if sink.late:
                late += self._sink(sink)
        result += ["if outer:", *[f"    {line}" for line in late]] if late else []
        for sink in self.sinks:
            root = where_read(sink.value)[0]
            if not sink.late:
                result += self._product(root, sink) if id(root) in self._fused else self._sink(sink)
        return result

    def _sink(self, sink: Sink) -> list[str]:
        if not sink.value.size:
            return []
        target = Access(sink.memory, sink.start, _unit(sink.value.shape))
        if sink.value.is_const():
            if sink.alpha and sink.value.is_const(0):
                return []
            dtype = sink.value.dtype if sink.value.dtype.kind == "f" else FLOAT64
            source = Access(self.header.constant(dtype.type(sink.value.number()), dtype), "", ())
            return copy_lines(sink.value.shape, target, target, _form(sink).replace("{source}", source.memory))
        form = _form(sink)
        return copy_lines(sink.value.shape, target, self.access(sink.value), form)

    def _statement(self, statement: Statement) -> list[str]:
        if statement.fused:
            return LoopWriter(self, statement).lines()
        value = statement.values[0]
        return {
            "matmul": self._product, "reduce": self._row_sums, "gather": self._gather, "scatter": self._scatter,
            "assemble": self._assemble, "accumulate": self._accumulate, "bounded": self._bounded,
            "factor": self._factor, "map": self._turn,
        }[value.op](value)  # fmt: skip

    def _product(self, value: Value, sink: Sink | None = None) -> list[str]:
        a, b = (self._matrix(arg) for arg in value.args)
        batch, rows, columns = value.shape
        summed, memory = value.args[0].shape[2], memory_name(value.dtype)
        form = multiply_form(a[2], b[2], rows, columns, summed) or "rows"
        kernel = MatMul(rows, columns, summed, a[2], b[2], value.dtype.itemsize, form, sink is not None)
        stem = f"{'add_' if sink else ''}product_{rows}x{summed}x{columns}"
        name = self.header.kernel(stem, kernel)
        alpha = sink.alpha if sink else self.header.constant(1.0, value.dtype)
        c = sink.start if sink else str(self.place(value))
        if batch == 1:
            return [f"{name}({memory}, {c}, {a[0]}, {b[0]}, {alpha})"]
        at = [f"{start} + {step} * i" if step else f"{start}" for start, step in ((c, rows * columns), a[:2], b[:2])]
        return [f"for i in range({batch}):", f"    {name}({memory}, {at[0]}, {at[1]}, {at[2]}, {alpha})"]

    def _factor(self, value: Value) -> list[str]:
        """Call LAPACK for each matrix; where it fails, so does the step."""
        (routine,), (batch, length) = value.params, value.shape
        a, *rest = (self._matrix(arg) for arg in value.args)
        b = rest[0] if rest else a
        _, rows, columns = value.args[0].shape
        right = value.args[1].shape[2] if rest else 0
        kernel = Factors(routine, rows, columns, right, a[2], b[2], value.dtype.itemsize)
        name = self.header.kernel(f"{routine}_{rows}x{columns}", kernel)
        starts = (self.place(value), length), a[:2], b[:2]
        at = ", ".join(f"{start} + {step} * i" for start, step in starts)
        return [
            f"for i in range({batch}):",
            f"    failed = {name}({memory_name(value.dtype)}, {at})",
            "    if failed != 0:",
            f"        {FAILED} = 1.0",
        ]

    def _matrix(self, value: Value) -> tuple[int, int, tuple[int, int]]:
        root, offset, strides = where_read(value)
        step = tuple(s or 1 if n == 1 else s for s, n in zip(strides, value.shape, strict=True))
        return self.place(root) + offset, step[0], (step[1], step[2])

    def _row_sums(self, value: Value) -> list[str]:
        length = value.args[0].size // max(value.size, 1)
        name = self.header.kernel(f"sum_of_{length}", RowSum(length, value.dtype.itemsize))
        memory, source, target = memory_name(value.dtype), self.access(value.args[0]), self.place(value)
        if value.size == 1:
            return [f"{memory}[{target}] = {name}({memory}, {source.start})"]
        return [
            f"for i in range({value.size}):",
            f"    {memory}[{target} + i] = {name}({memory}, {source.start} + {length} * i)",
        ]

    def _turn(self, value: Value) -> list[str]:
        rows, columns, stride = turn_of(value) or (0, 0, 0)
        name = self.header.kernel(f"turn_{rows}x{columns}", Turn(rows, columns, stride, value.dtype.itemsize))
        source = self.access(value.args[0])
        return [f"{name}({memory_name(value.dtype)}, {self.place(value)}, {source.start})"]

    def _gather(self, value: Value) -> list[str]:
        source, target = self.own_memory(value.args[0]), self.own_memory(value)
        table = self.own_memory(value.args[1])
        if not value.params[0]:
            return [f"for i in range({value.size}):", f"    {target} + i] = {source} + {table} + i]]"]
        zero = self._zero(value.dtype)
        truth = " != 0" if value.dtype == BOOL else ""
        chosen = f"{self.header.call('where')}(at >= 0, {source} + where(at >= 0, at, 0)]{truth}, {zero})"
        return [f"for i in range({value.size}):", f"    at = {table} + i]", f"    {target} + i] = {chosen}"]

    def _zero(self, dtype: DType) -> str:
        return self.header.constant(0, dtype) if dtype.kind == "f" else "False" if dtype == BOOL else "0"

    def _scatter(self, value: Value) -> list[str]:
        source, target = self.own_memory(value.args[0]), self.own_memory(value)
        over = len(value.args) == 3  # written, not added
        start = f"{self.own_memory(value.args[2])} + i]" if over else self._zero(value.dtype)
        return [
            f"for i in range({value.size}):",
            f"    {target} + i] = {start}",
            f"for i in range({value.args[0].size}):",
            f"    {target} + {self.own_memory(value.args[1])} + i]] {'=' if over else '+='} {source} + i]",
        ]

    def _bounded(self, value: Value) -> list[str]:
        """Count indices from the front; one outside of the axis is noted, and read as 0."""
        source, target, (length,) = self.own_memory(value.args[0]), self.own_memory(value), value.params
        return [
            f"for i in range({value.size}):",
            f"    at = {source} + i]",
            "    if at < 0:",
            f"        at = at + {length}",
            f"    if at < 0 or at >= {length}:",
            f"        {FAILED} = 1.0",
            "        at = 0",
            f"    {target} + i] = at",
        ]

    def _assemble(self, value: Value) -> list[str]:
        result, start = [], self.place(value)
        for part, (offset, strides) in zip(value.args, value.params, strict=True):
            target = Access(memory_name(value.dtype), str(start + offset), strides)
            result += copy_lines(part.shape, target, self.access(part))
        return result

    def _accumulate(self, value: Value) -> list[str]:
        length = value.shape[-1]
        source, target = self.own_memory(value.args[0]), self.own_memory(value)
        return [
            f"for i in range({value.size // max(length, 1)}):",
            f"    total = {self._zero(value.dtype)}",
            f"    for j in range({length}):",
            f"        total = total + {source} + {length} * i + j]",
            f"        {target} + {length} * i + j] = total",
        ]


def _form(sink: Sink) -> str:
    """Return how a sink takes a number."""
    number = f"{sink.alpha} * {{source}}"
    if sink.over_lanes:
        return f"{{target}} += total({number}, count)"
    return f"{{target}} += {number}" if sink.alpha else "{target} = {source}"


def is_input(value: Value, prefix: str) -> bool:
    """Tell whether a value is an input whose name has a prefix."""
    return value.op == "input" and bool(prefix) and value.params[0].startswith(prefix)


def _unit(shape: Shape) -> Shape:
    return tuple(0 if size == 1 else stride for stride, size in zip(contiguous(shape), shape, strict=True))
