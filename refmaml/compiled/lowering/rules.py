"""The table of lowering rules, and the call that a rule is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refmaml.compiled.errors import UnsupportedPrimitive, at, without
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64, Builder, DType, Shape, Value, stored_dtype
from refmaml.compiled.recording.boxes import held, shape_and_dtype
from refmaml.compiled.recording.tape import Entry, name_of

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}
_STORED = (FLOAT32, FLOAT64, INT64, BOOL)


def rule(*primitives: Any) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of `primitives`."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(primitives, function))
        return function

    return register


class Call:
    """One recorded call: the builder to write with, and the shape and dtype that the primitive returned."""

    def __init__(self, builder: Builder, entry: Entry, weak: Sequence[bool]) -> None:
        self.b = builder
        self.weak = weak  # which arguments are recorded numbers of Python
        self._entry = entry

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return shape_and_dtype(self._entry.value)[0]

    @property
    def dtype(self) -> DType:
        """The dtype in which the result is kept; one that has none is refused."""
        dtype = shape_and_dtype(self._entry.value)[1]
        kept = stored_dtype(dtype)
        if kept not in _STORED or dtype == np.uint64:
            self.refuse(f"float32, float64, integers that int64 holds or bool, but the result is {dtype}")
        return kept

    @property
    def dtypes(self) -> list[DType]:
        """The dtypes of a result that is a sequence of arrays."""
        return [stored_dtype(shape_and_dtype(part)[1]) for part in held(self._entry.value)]

    def refuse(self, expected: str, advice: str = "Pass on_unsupported='reference'") -> None:
        """Raise `UnsupportedPrimitive`, saying what was expected and what to do."""
        raise UnsupportedPrimitive(f"{name_of(self._entry.fun)}: expected {expected}{at(self._entry.line)}. {advice}.")

    def value(self, arg: Any, dtype: DType | None = None) -> Value:
        """Return an argument as a value; a number of Python takes `dtype`, as NumPy's promotion has it."""
        if isinstance(arg, Value):
            return arg if dtype is None else self.b.cast(arg, dtype)
        array = np.asarray(arg)
        if (
            array.dtype.kind not in "fiub"
            or array.dtype == np.uint64
            or (array.dtype.kind == "f" and array.dtype not in _STORED)
        ):
            self.refuse(f"float32, float64, integers that int64 holds or booleans, but one is {array.dtype}")
        made = self.b.const(array if array.dtype in _STORED else array.astype(np.int64))
        return made if dtype is None else self.b.cast(made, dtype)

    def only(self, options: dict[str, Any], **defaults: Any) -> None:
        """Refuse keyword arguments that differ from what the rule takes for granted."""
        for name, given in options.items():
            if name not in defaults or (given is not defaults[name] and given != defaults[name]):
                self.refuse(f"no option {name}={'an array' if np.ndim(given) else repr(given)}", without(name))
