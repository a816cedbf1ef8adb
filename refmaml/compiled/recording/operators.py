"""Python's operators on boxes, where they are others than autograd's: as on the plain array or number in the box."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from autograd.numpy import numpy_wrapper as anp

from refmaml.compiled.errors import UnsupportedPrimitive, at, user_line
from refmaml.compiled.recording import weak
from refmaml.compiled.recording.arrays import overwrite
from refmaml.compiled.recording.boxes import RecordBox, shape_and_dtype, writing
from refmaml.compiled.recording.selections import Selection


def _in_place(symbol: str) -> Callable[[Any, Any], Any]:
    plain = getattr(operator, symbol.removeprefix("i"))

    def write(self: Any, other: Any) -> Any:
        if not isinstance(self._held, np.ndarray) or type(self._held) is RecordBox:
            return plain(self, other)  # the reference rebinds the name here too
        if self._node.origin is not None:
            array, index = self._node.origin
            array[index] = plain(self, other)
            return array[index]
        if not self._node.is_fresh:
            raise writing("Write `x = x + y` for `x += y`")
        overwrite(self, plain(self, other))
        return self

    return write


for _symbol in ("iadd", "isub", "imul", "itruediv", "ipow", "imod", "imatmul"):
    setattr(RecordBox, f"__{_symbol}__", _in_place(_symbol))


def _on_plain_data(symbol: str, written: str, *, in_place: bool = False, swapped: bool = False) -> Callable[..., Any]:
    def refuse(self: Any, *others: Any) -> Any:
        if type(self._held) is RecordBox:  # the reference has a box here too, which has no such operator
            return NotImplemented
        if symbol == "floordiv" and not in_place and all(shape_and_dtype(x)[1].kind in "iu" for x in (self, *others)):
            return anp.floor_divide(*((others[0], self) if swapped else (self, others[0])))
        if symbol in _OF_TRUTHS and not in_place and all(shape_and_dtype(x)[1].kind == "b" for x in (self, *others)):
            return _OF_TRUTHS[symbol](self, *others)
        raise UnsupportedPrimitive(
            f"{symbol}: expected an operator that the engine can compile, not {written}{at(user_line(2))}. Write it "
            "with functions of autograd.numpy, or pass on_unsupported='reference'."
        )

    return refuse


#: These are the logical functions on truth values, and have a rule for them.
_OF_TRUTHS = {"and": anp.bitwise_and, "or": anp.bitwise_or, "xor": anp.bitwise_xor, "invert": anp.invert}
_operators = {"floordiv": "//", "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>", "divmod": "divmod"}
for _symbol, _written in _operators.items():
    for _name in (f"__{_symbol}__", f"__r{_symbol}__"):
        setattr(RecordBox, _name, _on_plain_data(_symbol, _written, swapped=_name.startswith("__r")))
    if _symbol != "divmod":
        setattr(RecordBox, f"__i{_symbol}__", _on_plain_data(_symbol, f"{_written}=", in_place=True))

setattr(RecordBox, "__invert__", _on_plain_data("invert", "~"))  # noqa: B010 - mypy knows no such method


def _number(value: Any) -> tuple[bool, Any]:
    """Tell whether a value is a number of Python, recorded or not, and which one; None where it is recorded."""
    return (weak.is_number(value._held), None) if type(value) is RecordBox else (weak.is_number(value), value)


def _of_numbers(symbol: str, *, swapped: bool) -> Callable[[Any, Any], Any]:
    plain = getattr(RecordBox, f"__{'r' if swapped else ''}{symbol}__")
    own = weak.BINARY[symbol]

    def operate(self: Any, other: Any) -> Any:
        if not weak.is_number(self._held):
            return plain(self, other)
        operands = (other, self) if swapped else (self, other)
        (first, left), (second, right) = map(_number, operands)
        if not (first and second):
            return plain(self, other)
        if weak.may_fail(symbol, left, right):
            raise UnsupportedPrimitive(
                f"{symbol}: expected an operator that gives a number for every learning rate, but Python raises an "
                f"error or gives a complex number for some{at(user_line(2))}. Convert the rate with "
                "np.array(lr, w.dtype) first, or pass on_unsupported='reference'."
            )
        return own(*operands)

    return operate


for _symbol in weak.BINARY:
    for _swapped in (True, False):
        setattr(RecordBox, f"__{'r' if _swapped else ''}{_symbol}__", _of_numbers(_symbol, swapped=_swapped))


def _of_number(symbol: str) -> Callable[[Any], Any]:
    plain, own = getattr(RecordBox, f"__{symbol}__"), weak.UNARY[symbol]
    return lambda self: own(self) if weak.is_number(self._held) else plain(self)


for _symbol in weak.UNARY:
    setattr(RecordBox, f"__{_symbol}__", _of_number(_symbol))


def _after_a_selection(name: str) -> Callable[[Any, Any], Any]:
    """Leave an operation with x[mask] to that one."""
    plain = getattr(RecordBox, name)
    return lambda self, other: NotImplemented if type(other) is Selection else plain(self, other)


for _symbol in (*weak.BINARY, "matmul", "lt", "le", "gt", "ge", "eq", "ne", "and", "or"):
    setattr(RecordBox, f"__{_symbol}__", _after_a_selection(f"__{_symbol}__"))
