"""The tape: the primitives that a cost calls while it is traced, in their order, and what may not stand on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refmaml.compiled.errors import UnsupportedPrimitive, ValueDependence, at


@dataclass(frozen=True)
class Ref:
    """The result of an earlier entry of the tape."""

    index: int


@dataclass
class Entry:
    """One call of a primitive: arguments are constants or `Ref`; `value` is the form of what it gave."""

    fun: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    value: Any
    backward: bool
    line: str


@dataclass
class Tape:
    """The primitives in the order of their calls; `backward` and `line` say what the tracer is busy with.

    `trace` is the number that autograd's tracer gave to the recording.
    """

    trace: int
    entries: list[Entry] = field(default_factory=list)
    backward: bool = False
    line: str = ""

    def append(self, entry: Entry) -> Ref:
        """Add an entry and return the reference to its result, of which the tape keeps the form alone.

        The numbers of all tasks are there until the gradients have come back, and those of a gradient until it has been
        used: a tape that held them would need several times the memory.
        """
        self.entries.append(replace(entry, value=form_of(entry.value)))
        return Ref(len(self.entries) - 1)


def form_of(value: Any) -> Any:
    """Return what has the type, shape and dtype of a value without its numbers: each array is one number everywhere."""
    if type(value) is np.ndarray and value.ndim:
        return np.broadcast_to(np.zeros((), value.dtype), value.shape)
    if isinstance(value, list | tuple):
        return tuple(map(form_of, value))
    return value


#: Memory of arrays that data were written into; a view of it from before is out of date.
SPOILED: list[Any] = []


def refuse_stale(value: Any, line: str) -> None:
    """Refuse what has its numbers in such memory, whether they are looked at or not."""
    if isinstance(value, np.ndarray) and any(np.may_share_memory(value, array) for array in SPOILED):
        raise ValueDependence(
            f"the cost function reads a view of an array into which it wrote data later{at(line)}. Take the view after "
            "the write, or copy it before."
        )


def name_of(fun: Any) -> str:
    """Return the name of a primitive as a user knows it."""
    raw = getattr(fun, "fun", fun)
    return str(getattr(raw, "__name__", raw)).removeprefix("_primitive_").removeprefix("_")


def no_rule(fun: Any, line: str) -> UnsupportedPrimitive:
    """Return the error for a primitive that nothing can lower."""
    return UnsupportedPrimitive(
        f"{name_of(fun)}: expected a primitive that the engine can compile, but it has no rule for this one{at(line)}. "
        "Write it with others, or pass on_unsupported='reference'."
    )
