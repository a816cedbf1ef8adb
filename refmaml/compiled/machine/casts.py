"""The types of emitted source, and how numbers and vectors of them meet.

The types are Numba's: truth values, bytes (what a truth value is in memory), int64, float32 and float64; of two that
meet, the later one in this list is the result's, except that int64 and float32 give float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.real import constant, element_of

TRUTH, BYTE, INTEGER = ir.IntType(1), ir.IntType(8), ir.IntType(64)
SINGLE, DOUBLE = ir.FloatType(), ir.DoubleType()
_ORDER = [TRUTH, BYTE, INTEGER, SINGLE, DOUBLE]


def cast(builder: Any, value: Any, kind: Any) -> Any:
    """Return a number as one of another type, as C casts it; of a vector, all of them."""
    own, plain = element_of(value.type), kind
    if own == kind:
        return value
    if isinstance(value.type, ir.VectorType):
        kind = ir.VectorType(kind, value.type.count)
    if plain == TRUTH:
        zero = constant(value.type, 0)
        unequal = builder.fcmp_unordered if own in (SINGLE, DOUBLE) else builder.icmp_signed
        return unequal("!=", value, zero)
    if own in (TRUTH, BYTE):
        return builder.uitofp(value, kind) if plain in (SINGLE, DOUBLE) else builder.zext(value, kind)
    if own == INTEGER:
        return builder.sitofp(value, kind)
    if plain == INTEGER:
        inside = builder.and_(
            builder.fcmp_ordered(">=", value, constant(value.type, -(2.0**63))),
            builder.fcmp_ordered("<", value, constant(value.type, 2.0**63)),
        )  # as x86 has it, and with it NumPy: NaN and what is too large are the smallest integer
        return builder.select(inside, builder.fptosi(value, kind), constant(kind, -(2**63)))
    return builder.fpext(value, kind) if plain == DOUBLE else builder.fptrunc(value, kind)


def common(left: Any, right: Any) -> Any:
    """Return the type in which two numbers meet."""
    low, high = sorted(_ORDER.index(element_of(value.type)) for value in (left, right))
    return DOUBLE if _ORDER[high] == SINGLE and _ORDER[low] == INTEGER else _ORDER[high]


def of_one_length(builder: Any, values: Sequence[Any]) -> list[Any]:
    """Return numbers as vectors, where one of them is a vector."""
    longest = next((value.type for value in values if isinstance(value.type, ir.VectorType)), None)
    return [in_lanes(builder, value, longest) for value in values]


def in_lanes(builder: Any, value: Any, vector: Any) -> Any:
    """Return a number in every lane of a vector, where `vector` is the type of one and the number is not."""
    if not isinstance(vector, ir.VectorType) or isinstance(value.type, ir.VectorType):
        return value
    kind, place = ir.VectorType(value.type, vector.count), ir.VectorType(ir.IntType(32), vector.count)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(place, [0] * vector.count))
