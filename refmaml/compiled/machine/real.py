"""Numbers of LLVM instructions, with Python's operators: what `refmaml.compiled.machine.vectormath` is written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types


class Real:
    """An LLVM number with Python's operators; other operands are constants of its type."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def wide(self) -> bool:
        """Whether it is a float64."""
        return isinstance(self.value.type, ir.DoubleType)

    def like(self, other: Any) -> Real:
        """Return a number of Python as a constant of the same type."""
        return other if isinstance(other, Real) else Real(self.builder, ir.Constant(self.value.type, float(other)))

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
        function = self.builder.module.declare_intrinsic(f"llvm.{name}", [kind], signature)
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
        return self.builder.bitcast(self.value, ir.IntType(64 if self.wide else 32))

    def from_bits(self, bits: Any) -> Real:
        """Return the number that has these bits."""
        return Real(self.builder, self.builder.bitcast(bits, self.value.type))
