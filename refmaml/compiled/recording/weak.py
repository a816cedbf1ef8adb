"""Arithmetic of Python's numbers: a learning rate that is one stays one through `2 * lr`, and promotes nothing.

NumPy's functions turn Python's numbers into float64, which the operators of Python do not. So these have primitives of
their own; they are compiled like NumPy's. Where an operator of Python raises an error for some numbers, and NumPy's
function gives NaN or infinity for them, the recording would have no error: such an operator is refused.
"""

from __future__ import annotations

import operator
from typing import Any

from autograd.extend import primitive

add, subtract, multiply = primitive(operator.add), primitive(operator.sub), primitive(operator.mul)
divide, remainder, power = primitive(operator.truediv), primitive(operator.mod), primitive(operator.pow)
negative, absolute = primitive(operator.neg), primitive(operator.abs)

BINARY = {"add": add, "sub": subtract, "mul": multiply, "truediv": divide, "mod": remainder, "pow": power}
UNARY = {"neg": negative, "abs": absolute}


def is_number(value: Any) -> bool:
    """Tell whether a value is a number of Python, which is weak in NumPy's promotion."""
    return type(value) in (int, float, bool)


def may_fail(symbol: str, left: Any, right: Any) -> bool:
    """Tell whether an operator can raise an error for some numbers; None stands for a number that is not known."""
    if symbol in ("truediv", "mod"):
        return right is None
    if symbol == "pow":
        whole = isinstance(right, int) and right >= 0
        return not whole and not (left is not None and left > 0)
    return False
