"""Numbers of LLVM instructions, with Python's operators: what `refmaml.compiled.machine.vectormath` is written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types


def element_of(kind: Any) -> Any:
    """Return the type of a vector's elements; of a number, its own."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def constant(kind: Any, number: Any) -> Any:
    """Return a constant; of a vector's type, one in every lane."""
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


class Real:
    """An LLVM number, or a vector of them, with Python's operators; other operands are constants of its type."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def wide(self) -> bool:
        """Whether it is a float64."""
        return isinstance(element_of(self.value.type), ir.DoubleType)

    def like(self, other: Any) -> Real:
        """Return a number of Python as a constant of the same type."""
        return other if isinstance(other, Real) else Real(self.builder, constant(self.value.type, float(other)))

    def _with(self, name: str, other: Any) -> Real:
        return Real(self.builder, getattr(self.builder, name)(self.value, self.like(other).value))

    def __add__(self, other: Any) -> Real:
        return self._with("fadd", other)

    def __sub__(self, other: Any) -> Real:
        return self._with("fsub", other)

    def __mul__(self, other: Any) -> Real:
        return self._with("fmul", other)

    def __truediv__(self, other: Any) -> Real:
        return self._with("fdiv", other)

    def __neg__(self) -> Real:
        return Real(self.builder, self.builder.fneg(self.value))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Real:
        return self.like(other) - self

    def __rtruediv__(self, other: Any) -> Real:
        return self.like(other) / self

    def compare(self, how: str, other: Any) -> Any:
        """Return the truth of a comparison that is false for NaN ("!=": true)."""
        compare = self.builder.fcmp_unordered if how == "!=" else self.builder.fcmp_ordered
        return compare(how, self.value, self.like(other).value)

    def choose(self, condition: Any, other: Any) -> Real:
        """Return this number where the condition holds, and the other one elsewhere."""
        return Real(self.builder, self.builder.select(condition, self.value, self.like(other).value))

    def intrinsic(self, name: str, *others: Real) -> Real:
        """Call one of LLVM's own functions."""
        kind = self.value.type
        signature = ir.FunctionType(kind, [kind] * (1 + len(others)))
        lanes = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        symbol, module = f"llvm.{name}.{lanes}{'f64' if self.wide else 'f32'}", self.builder.module
        function = module.globals.get(symbol) or ir.Function(module, signature, symbol)
        return Real(self.builder, self.builder.call(function, [self.value, *(other.value for other in others)]))

    def magnitude(self) -> Real:
        """|x|."""
        return self.intrinsic("fabs")

    def polynomial(self, coefficients: Sequence[float]) -> Real:
        """Horner's scheme, the highest power first."""
        result = self.like(coefficients[0])
        for coefficient in coefficients[1:]:
            result = result * self + coefficient
        return result

    def bits(self) -> Any:
        """Return the number's bits as an integer."""
        kind, whole = self.value.type, ir.IntType(64 if self.wide else 32)
        return self.builder.bitcast(
            self.value, ir.VectorType(whole, kind.count) if isinstance(kind, ir.VectorType) else whole
        )

    def from_bits(self, bits: Any) -> Real:
        """Return the number that has these bits."""
        return Real(self.builder, self.builder.bitcast(bits, self.value.type))
