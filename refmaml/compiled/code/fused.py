"""From one fused loop to Numba source."""

from __future__ import annotations

from math import inf

from refmaml.compiled.code.loops import Access, Nest, copy_lines, merged
from refmaml.compiled.code.places import Places
from refmaml.compiled.program.program import BOOL, INT64, DType, Shape, Value, contiguous, where_read
from refmaml.compiled.program.scalars import OPERATORS, VECTORS
from refmaml.compiled.program.schedule import Statement, reads_own_element

_VECTOR_BYTES = 32
_CASTS = {"float32": "f4", "float64": "f8", "int64": "i8"}
_STARTS = {"sum": 0, "prod": 1, "max": -inf, "min": inf}
_COMBINE = {"sum": "{0} + {1}", "prod": "{0} * {1}", "max": "maximum({0}, {1})", "min": "minimum({0}, {1})"}


def integer(number: int) -> str:
    """Return the text of an int64; the smallest one has no literal of its own."""
    return str(number) if number > -(2**63) else f"({number + 1} - 1)"


class LoopWriter:
    """Writes one fused loop."""

    def __init__(self, places: Places, statement: Statement) -> None:
        self.places, self.header, self.statement = places, places.header, statement
        self._names: dict[int, str] = {}
        self._accesses: dict[Shape, Shape] = {}
        for value in statement.values:
            for strides in self._all_strides(value):
                self._accesses[strides] = strides
        shapes = list(self._accesses)
        self.sizes, small = merged(statement.shape, shapes)
        self._small = dict(zip(shapes, small, strict=True))
        self.nest = Nest(self.sizes)
        self._loaded: dict[Access, str] = {}

    def _all_strides(self, value: Value) -> list[Shape]:
        found = [self._over(value, arg) for arg in value.args if self._read(arg)]
        return [*found, self._target(value)] if self.places.is_stored(value) else found

    def _local(self, arg: Value) -> bool:
        root = where_read(arg)[0]
        return root.op == "map" and any(root is value for value in self.statement.values) and reads_own_element(arg)

    def _read(self, arg: Value) -> bool:
        return not arg.is_const() and not self._local(arg)

    def _over(self, value: Value, arg: Value) -> Shape:
        """Return the strides of an argument along the axes of the loop."""
        shape = value.shape if value.op == "map" else value.args[0].shape
        strides = where_read(arg)[2]
        lead = len(shape) - len(arg.shape)
        full = [0] * lead + [0 if n == 1 else s for s, n in zip(strides, arg.shape, strict=True)]
        return tuple(stride for stride, size in zip(full, shape, strict=True) if size != 1)

    def _target(self, value: Value) -> Shape:
        """Return the strides at which the loop writes a value; those of summed axes are 0."""
        if value.op == "map":
            return contiguous(self.statement.shape)
        source, kept = value.args[0].shape, list(contiguous(value.shape))
        full = [0 if axis in value.params[1] else kept.pop(0) for axis in range(len(source))]
        return tuple(stride for stride, size in zip(full, source, strict=True) if size != 1)

    def lines(self) -> list[str]:
        """Return the source of the loop."""
        before: list[str] = []
        for value in self.statement.values:
            arguments = [self._argument(value, arg) for arg in value.args]
            if value.op == "map":
                self._map(value, arguments)
            else:
                before += self._reduce(value, arguments[0])
        if len(self.sizes) == 1 and self.places.lanes == 1 and self._whole_vectors():
            itemsizes = [operand.dtype.itemsize for value in self.statement.values for operand in (value, *value.args)
                         if operand.dtype != BOOL]  # fmt: skip
            lanes = _VECTOR_BYTES // min(itemsizes, default=4)
            self.nest.sizes = (-(-self.sizes[0] // lanes) * lanes,)
        return before + self.nest.lines()

    def _whole_vectors(self) -> bool:
        """Tell whether the loop may run on into the padding that every place has, so that no number is left over."""
        for value in self.statement.values:
            if value.op != "map" or value.params[0] not in VECTORS or value.dtype == INT64:
                return False
            if any(arg.dtype == INT64 for arg in value.args):
                return False
        return all(stride in (0, 1) for strides in self._small.values() for stride in strides)

    def _argument(self, value: Value, arg: Value) -> str:
        if arg.is_const():
            return self._literal(arg)
        if self._local(arg):
            return self._names[id(where_read(arg)[0])]
        strides = self._small[self._over(value, arg)]
        plain = self.places.access(arg)
        access = Access(plain.memory, plain.start, strides)
        if access not in self._loaded:
            name = f"x{len(self._loaded)}"
            self._loaded[access] = name
            truth = " != 0" if arg.dtype == BOOL else ""  # a truth value is a byte in memory
            self.nest.before[self.nest.depth(strides)].append(f"{name} = {self.nest.element(access)}{truth}")
        return self._loaded[access]

    def _literal(self, arg: Value) -> str:
        if arg.dtype == BOOL:
            return str(bool(arg.number()))
        return integer(int(arg.number())) if arg.dtype == INT64 else self.header.constant(arg.number(), arg.dtype)

    def _map(self, value: Value, arguments: list[str]) -> None:
        name = f"v{len(self._names)}"
        self._names[id(value)] = name
        self.nest.inside.append(f"{name} = {self._expression(value, arguments)}")
        if self.places.is_stored(value):
            target = self.places.own(value)
            access = Access(target.memory, target.start, self._small[self._target(value)])
            self.nest.inside.append(f"{self.nest.element(access)} = {name}")

    def _expression(self, value: Value, arguments: list[str]) -> str:
        fn = value.params[0]
        if fn == "cast":
            return self._cast(value, arguments[0])
        if fn in OPERATORS:
            return OPERATORS[fn].format(*arguments)
        if value.args[-1].dtype == INT64 and fn in ("maximum", "minimum", "absolute"):
            return f"{fn[:3]}({', '.join(arguments)})"
        return f"{self.header.call(fn)}({', '.join(arguments)})"

    def _cast(self, value: Value, argument: str) -> str:
        if value.dtype == BOOL:
            return f"{argument} != 0"
        return f"{_CASTS[value.dtype.name]}({argument})"

    def _reduce(self, value: Value, argument: str) -> list[str]:
        """Add to a local number where the summed axes are the inner ones, and to memory where they are not."""
        target, fn = self.places.own(value), value.params[0]
        strides = self._small[self._target(value)]
        access = Access(target.memory, target.start, strides)
        start = self._start(fn, value.dtype)
        depth = self.nest.depth(strides)
        combine = _COMBINE[fn] if value.dtype != INT64 else _COMBINE[fn].replace("imum", "")
        if "imum" in combine:
            self.header.call(combine.split("(")[0])
        if all(strides[:depth]):
            name = f"s{sum(map(len, self.nest.after))}"
            self.nest.before[depth].append(f"{name} = {start}")
            self.nest.inside.append(f"{name} = {combine.format(name, argument)}")
            self.nest.after[depth].append(f"{self.nest.element(access)} = {name}")
            return []
        element = self.nest.element(access)
        self.nest.inside.append(f"{element} = {combine.format(element, argument)}")
        flat = Access(target.memory, target.start, (1,))
        return copy_lines((value.size,), flat, flat, f"{{target}} = {start}") if value.size > 1 else [
            f"{target.memory}[{target.start}] = {start}"
        ]  # fmt: skip

    def _start(self, fn: str, dtype: DType) -> str:
        start = _STARTS[fn]
        if dtype == INT64:
            return integer(int(max(-(2.0**63), min(start, 2**63 - 1))))
        return self.header.constant(start, dtype)
