"""The walk over emitted source that writes LLVM's instructions, statement by statement.

What the walk does not know is an error. `casts` has the types.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine import microkernels, several, vectormath
from refmaml.compiled.machine.casts import BYTE, DOUBLE, INTEGER, SINGLE, TRUTH, cast, common, in_lanes, of_one_length
from refmaml.compiled.machine.real import element_of
from refmaml.compiled.machine.repeats import Repeat
from refmaml.compiled.program.kernels import Kernel
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64

#: What the elements of an array are in memory.
KINDS = {BOOL: BYTE, INT64: INTEGER, FLOAT32: SINGLE, FLOAT64: DOUBLE}
_CASTS = {"f4": SINGLE, "f8": DOUBLE, "i8": INTEGER}
_NAMED = {"infinity": float("inf"), "not_a_number": float("nan")}
_COUNTED: dict[str, Callable[..., Any]] = {"next_below": microkernels.next_below, "finished": microkernels.finished}
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_FLOAT = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_WHOLE = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_",
    ast.BitXor: "xor",
}  # fmt: skip
_BITS = (ast.BitAnd, ast.BitOr, ast.BitXor)


class Walk:
    """Writes the instructions of one function, statement by statement."""

    def __init__(
        self, function: Any, memory: Mapping[str, Any], numbers: Mapping[str, Any], kernels: Mapping[str, Kernel],
        apart: set[str], repeated: Mapping[ast.stmt, Repeat],
    ) -> None:  # fmt: skip
        self.function, self.memory, self.kernels, self.apart, self.repeated = function, memory, kernels, apart, repeated
        self._entry = ir.IRBuilder(function.append_basic_block("entry"))
        self.builder = ir.IRBuilder(function.append_basic_block("begin"))
        self._slots: dict[str, Any] = {}  # where each variable is kept; LLVM turns these into registers
        self._counters: dict[str, Any] = dict(numbers)  # what is never assigned to: the function's numbers, and indices
        self._vector = next((array.type.pointee for array in memory.values()
                             if isinstance(array.type.pointee, ir.VectorType)), None)  # fmt: skip
        self._flags: tuple[str, ...] = ()
        self._sizes: dict[str, Any] | None = None

    def check(self, sizes: Mapping[str, int], beyond: int) -> None:
        """Check every access: what the first argument points to has the arrays' sizes, and room for what was found."""
        places = {name: self.builder.gep(self.function.args[0], [INTEGER(index)]) for name, index in sizes.items()}
        self._sizes = {name: self.builder.load(place) for name, place in places.items()}
        self._beyond = self.builder.gep(self.function.args[0], [INTEGER(beyond)])

    def _inside(self, array: str, start: Any, reach: int) -> None:
        """Where accesses are checked, leave the function before one beyond an array."""
        if self._sizes is None:
            return
        last = self.builder.add(start, INTEGER(reach))
        below = self.builder.icmp_signed("<", start, INTEGER(0))
        above = self.builder.icmp_signed(">=", last, self._sizes[array])
        with self.builder.if_then(self.builder.or_(below, above), likely=False):
            self.builder.store(INTEGER(1), self._beyond)
            self.builder.ret(INTEGER(0))

    def whole(self, body: Sequence[ast.stmt]) -> None:
        """Write the function's body; one that returns no number of its own returns 0."""
        begin = self.builder.block
        self._block(body)
        if not self.builder.block.is_terminated:
            self.builder.ret(INTEGER(0))
        self._entry.branch(begin)

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            _STATEMENTS[type(node)](self, node)

    def _assign(self, node: ast.Assign) -> None:
        self._put(node.targets[0], self._value(node.value))

    def _change(self, node: ast.AugAssign) -> None:
        self._put(node.target, self._arithmetic(type(node.op), self._value(node.target), self._value(node.value)))

    def _put(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Subscript):
            address = self._address(target)
            kind = address.type.pointee
            self.builder.store(in_lanes(self.builder, cast(self.builder, value, element_of(kind)), kind), address)
        elif isinstance(target, ast.Name):
            if value.type in (SINGLE, DOUBLE):  # what a loop adds to has a lane for each task from the beginning
                value = in_lanes(self.builder, value, self._vector)
            self._slots[target.id] = self._slot(target.id, value.type)
            self.builder.store(value, self._slots[target.id])

    def _slot(self, name: str, kind: Any) -> Any:
        """Return the slot of a variable: the one it has, or a new one where it changes its type."""
        slot = self._slots.get(name)
        return slot if slot is not None and slot.type.pointee == kind else self._entry.alloca(kind)

    def _for(self, node: ast.For) -> None:
        if node in self.repeated:
            self._call_loop(self.repeated[node])
            return
        match node:
            case ast.For(ast.Name(name), ast.Call(ast.Name("range"), [ast.Constant(int(count))])):
                if count:
                    self._loop(name, count, node.body)
            case _:
                raise TypeError(f"a loop that is not over a range of literal length: {ast.unparse(node)}")

    def _loop(self, name: str, count: int, body: Sequence[ast.stmt]) -> None:
        before = self.builder.block
        inside, after = self._new_blocks(2)
        self.builder.branch(inside)
        self.builder.position_at_end(inside)
        index = self.builder.phi(INTEGER)
        hidden = self._counters.get(name)
        self._counters[name] = index
        self._block(body)
        following = self.builder.add(index, INTEGER(1), flags=("nsw",))
        for value, block in ((INTEGER(0), before), (following, self.builder.block)):
            index.add_incoming(value, block)
        self.builder.cbranch(self.builder.icmp_signed("<", following, INTEGER(count)), inside, after)
        self.builder.position_at_end(after)
        self._counters[name] = hidden

    def _call_loop(self, repeat: Repeat) -> None:
        """Call a loop that comes again elsewhere, and write it at its first call."""
        form = repeat.form
        places = [self.builder.gep(self.memory[array], [INTEGER(start)], inbounds=True)
                  for array, start in zip(form.arrays, repeat.starts, strict=True)]  # fmt: skip
        scalars = [self._name(ast.Name(name)) for name in form.scalars]
        name = "_".join([form.name, *(str(value.type) for value in scalars)])
        function = self.function.module.globals.get(name)
        if function is None:
            function = self._internal(name, INTEGER, [value.type for value in (*places, *scalars)])
            parts = dict(zip((f"part{number}" for number in range(len(places))), function.args, strict=False))
            for part in parts.values():
                part.add_attribute("noalias")
            walk = Walk(
                function, parts, dict(zip(form.scalars, function.args[len(places) :], strict=True)), {}, set(), {}
            )
            walk.whole([form.loop])
        self.builder.call(function, [*places, *scalars])

    def _new_blocks(self, count: int) -> list[Any]:
        return [self.function.append_basic_block() for _ in range(count)]

    def _if(self, node: ast.If) -> None:
        then, otherwise, after = self._new_blocks(3)
        self.builder.cbranch(self._truth(node.test), then, otherwise)
        for block, body in ((then, node.body), (otherwise, node.orelse)):
            self.builder.position_at_end(block)
            self._block(body)
            self.builder.branch(after)
        self.builder.position_at_end(after)

    def _expression(self, node: ast.Expr) -> None:
        self._value(node.value)

    def _nothing(self, node: ast.Pass) -> None:
        pass

    def _return(self, node: ast.Return) -> None:
        self.builder.ret(self._value(node.value))  # type: ignore[arg-type]  # emitted functions return a number

    def _value(self, node: ast.expr) -> Any:
        return _EXPRESSIONS[type(node)](self, node)

    def _constant(self, node: ast.Constant) -> Any:
        kinds = {bool: TRUTH, int: INTEGER, float: DOUBLE}
        return ir.Constant(kinds[type(node.value)], node.value)

    def _name(self, node: ast.Name) -> Any:
        if self._counters.get(node.id) is not None:
            return self._counters[node.id]
        if node.id in _NAMED:
            return ir.Constant(DOUBLE, _NAMED[node.id])
        return self.builder.load(self._slots[node.id])

    def _element(self, node: ast.Subscript) -> Any:
        return self.builder.load(self._address(node))

    def _address(self, node: ast.Subscript) -> Any:
        outside, self._flags = self._flags, ("nsw",)  # an index inside an array does not wrap around
        index = self._value(node.slice)
        self._flags = outside
        self._inside(_array(node.value), index, 0)
        return self.builder.gep(self._memory(node.value), [index], inbounds=True)

    def _memory(self, node: ast.expr) -> Any:
        return self.memory[_array(node)]

    def _binary(self, node: ast.BinOp) -> Any:
        return self._arithmetic(type(node.op), self._value(node.left), self._value(node.right))

    def _arithmetic(self, operator: type[ast.operator], left: Any, right: Any) -> Any:
        kind = common(left, right)
        if kind == TRUTH and operator not in _BITS:
            kind = INTEGER
        if operator is ast.Div and kind == INTEGER:
            kind = DOUBLE
        left, right = self._alike(left, right, kind)
        if kind in (SINGLE, DOUBLE):
            return getattr(self.builder, _FLOAT[operator])(left, right)
        write = getattr(self.builder, _WHOLE[operator])
        wraps = operator in (ast.Add, ast.Sub, ast.Mult)
        return write(left, right, flags=self._flags) if wraps else write(left, right)

    def _alike(self, left: Any, right: Any, kind: Any) -> list[Any]:
        return of_one_length(self.builder, [cast(self.builder, left, kind), cast(self.builder, right, kind)])

    def _negated(self, node: ast.UnaryOp) -> Any:
        value = self._value(node.operand)
        if not isinstance(node.op, ast.USub) or value.type == TRUTH:
            raise TypeError(f"expected a negative number, but got {ast.unparse(node)}")
        return self.builder.fneg(value) if element_of(value.type) in (SINGLE, DOUBLE) else self.builder.neg(value)

    def _compared(self, node: ast.Compare) -> Any:
        how, left, right = _COMPARISONS[type(node.ops[0])], self._value(node.left), self._value(node.comparators[0])
        kind = common(left, right)
        kind = INTEGER if kind in (TRUTH, BYTE) else kind
        left, right = self._alike(left, right, kind)
        if kind == INTEGER:
            return self.builder.icmp_signed(how, left, right)
        return (self.builder.fcmp_unordered if how == "!=" else self.builder.fcmp_ordered)(how, left, right)

    def _both(self, node: ast.BoolOp) -> Any:
        # Both sides are evaluated: they have no effects.
        write = self.builder.and_ if isinstance(node.op, ast.And) else self.builder.or_
        return write(*(self._truth(value) for value in node.values))

    def _truth(self, node: ast.expr) -> Any:
        return cast(self.builder, self._value(node), TRUTH)

    def _call(self, node: ast.Call) -> Any:  # noqa: PLR0911 - one for each kind of function
        if not isinstance(node.func, ast.Name):
            raise TypeError(f"expected a call by name, but got {ast.unparse(node)}")
        name = node.func.id
        if name in self.kernels:
            args = [self._memory(node.args[0]), *(self._value(arg) for arg in node.args[1:])]
            for start, reach in zip(args[1:], self.kernels[name].reaches, strict=False):
                self._inside(_array(node.args[0]), start, reach)
            return self._kernel(name, self.kernels[name], args)
        if name in _COUNTED:
            return _COUNTED[name](self.builder, self._memory(node.args[0]), self._value(node.args[1]))
        if name in several.MOVES:
            ends = [self._memory(array) for array in node.args[:2]]
            return several.MOVES[name](self.builder, *ends, *map(self._value, node.args[2:]))
        if node.args and isinstance(node.args[0], ast.Name) and node.args[0].id == "memory":
            numbers = [cast(self.builder, self._value(arg), INTEGER) for arg in node.args[1:]]
            return self.builder.call(self.function.module.globals[name], [self.function.args[0], *numbers])
        values = [self._value(arg) for arg in node.args]
        if name in _CASTS:
            return cast(self.builder, values[0], _CASTS[name])
        if name in ("min", "max", "abs"):
            other = values[1] if len(values) > 1 else self.builder.neg(values[0])
            first = self.builder.icmp_signed("<" if name == "min" else ">", values[0], other)
            return self.builder.select(first, values[0], other)
        if name == "total":
            return several.total(self.builder, *values)
        return vectormath.write(name, self.builder, of_one_length(self.builder, values))

    def _kernel(self, name: str, kernel: Kernel, args: Sequence[Any]) -> Any:
        """Write a kernel at the place of its call, or once, as a function of its own."""
        if name not in self.apart:
            return microkernels.write(kernel, self.builder, args[0], args[1:])
        known = self.function.module.globals.get(name)
        return self.builder.call(known if known is not None else self._written_apart(name, kernel, args), args)

    def _written_apart(self, name: str, kernel: Kernel, args: Sequence[Any]) -> Any:
        function = self._internal(name, ir.VoidType(), [arg.type for arg in args])
        builder = ir.IRBuilder(function.append_basic_block())
        microkernels.write(kernel, builder, function.args[0], function.args[1:])
        builder.ret_void()
        return function

    def _internal(self, name: str, returned: Any, kinds: Sequence[Any]) -> Any:
        """Return a function that the others call, and that stays one."""
        function = ir.Function(self.function.module, ir.FunctionType(returned, kinds), name)
        function.linkage = "internal"
        for attribute in ("nounwind", "noinline"):
            function.attributes.add(attribute)
        return function


def _array(node: ast.expr) -> str:
    if not isinstance(node, ast.Name):
        raise TypeError(f"expected the name of an array, but got {ast.unparse(node)}")
    return node.id


_STATEMENTS: dict[type[ast.stmt], Callable[[Walk, Any], None]] = {
    ast.Assign: Walk._assign, ast.AugAssign: Walk._change, ast.For: Walk._for,
    ast.If: Walk._if, ast.Expr: Walk._expression, ast.Pass: Walk._nothing, ast.Return: Walk._return,
}  # fmt: skip
_EXPRESSIONS: dict[type[ast.expr], Callable[[Walk, Any], Any]] = {
    ast.Constant: Walk._constant, ast.Name: Walk._name, ast.Subscript: Walk._element, ast.BinOp: Walk._binary,
    ast.UnaryOp: Walk._negated, ast.Compare: Walk._compared, ast.BoolOp: Walk._both, ast.Call: Walk._call,
}  # fmt: skip
