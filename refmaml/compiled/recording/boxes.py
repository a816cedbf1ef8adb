"""Boxes that record: what stands in for data and variables while a cost function is traced.

autograd wraps a value in a `Box` with a `Node`; a primitive called on boxes makes a new node. The node here writes
the call into a `Tape`. The box here is stricter than autograd's: wherever Python could read the number inside (a
truth value, ``float(x)``, ``x._value``, a plain array, text), it raises `ValueDependence` with the user's line, since
a recording would then hold for these numbers only.
"""

# ruff: noqa: PLE0304, PLE0305, PLE0307, ARG002 - these methods have Python's signatures and never return
from __future__ import annotations

import sys
from types import FrameType
from typing import Any, NoReturn

import autograd
import numpy as np
from autograd import builtins
from autograd.builtins import make_sequence
from autograd.core import SparseObject
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import (
    Box,
    Node,
    box_type_mappings,
    getval,
    new_box,
    notrace_primitives,
    trace_primitives_map,
)  # fmt: skip

from refmaml.compiled.errors import (
    UnsupportedPrimitive,
    ValueDependence,
    at,
    of_library,
    shape_of_data,
    user_line,
    without,
)
from refmaml.compiled.program.program import same_everywhere
from refmaml.compiled.recording import indices
from refmaml.compiled.recording.definitions import CHOOSING, PLAIN, definition_of, is_users
from refmaml.compiled.recording.selections import Selection, selected
from refmaml.compiled.recording.tape import Entry, Ref, Tape, name_of, refuse_stale
from refmaml.containers import children

# By name, since autograd wraps them: what it calls on the value in a box, and uses its shape and dtype alone.
_SHAPE_ONLY = {
    function.__name__
    for function in (anp.ndim, anp.shape, anp.iscomplexobj, anp.result_type, anp.metadata, anp.parse_einsum_input,
                     builtins.isinstance, builtins.type)
}  # fmt: skip
# Packages that know what a box is: autograd, and this one, wherever in it this module is.
_AT_HOME = (f"{autograd.__name__}.", ".".join(__name__.split(".")[:2]))
# What ndarray's operator has in the place of np.power.
_POWERS = {0.5: anp.sqrt, 2.0: anp.square, -1.0: anp.reciprocal}
# autograd's wrapper of a function that is followed through a trace, and of one that is not.
_WRAPPERS = {anp.sin.__code__, anp.ndim.__code__}


class RecordNode(Node):  # type: ignore[misc]  # autograd has no types
    """The node behind a `RecordBox`: it writes the call that made it into the tape of its parents."""

    __slots__ = ("is_fresh", "origin", "parents", "ref", "tape")
    tape: Tape
    ref: Ref
    is_fresh: bool  # whether the value has memory of its own
    origin: tuple[Any, Any] | None  # the array that a cost made, and the index at which this is a view of it

    def __init__(
        self, value: Any, fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: tuple[int, ...],
        parents: tuple[RecordNode, ...],
    ) -> None:  # fmt: skip
        self.tape, self.origin = parents[0].tape, None
        self.parents = parents
        self.is_fresh = isinstance(value, np.ndarray) and not any(_shares(value, arg) for arg in args)
        line = user_line(2) or self.tape.line
        others = [arg for place, arg in enumerate(args) if place not in argnums]
        if isinstance(value, np.ndarray) and any(value is arg for arg in (*others, *kwargs.values())):
            raise writing("Write `a[...] = np.f(x)` for `np.f(x, out=a)`")
        if value is None:
            raise writing(
                f"{name_of(fun)} has no result: write np.where(np.eye(n) > 0, x, a) for np.fill_diagonal(a, x)"
            )
        if type(value) is Selection:
            raise shape_of_data(f"{name_of(fun)} of another array and x[mask]", line)
        recorded = [arg if place in argnums else _constant(arg, fun, line) for place, arg in enumerate(args)]
        refuse_options(name_of(fun), kwargs, line)
        fixed = {name: _constant(arg, fun, line) for name, arg in kwargs.items()}
        definition = definition_of(fun)
        if definition is not None:
            given = list(args)
            for argnum, parent in zip(argnums, parents, strict=True):
                given[argnum] = new_box(args[argnum], self.tape.trace, parent)
            try:
                found = definition(*given, **kwargs)
            except TypeError as error:
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise
                found = NotImplemented  # it has no such parameter
            if found is not NotImplemented:
                self.ref = _defined(self.tape, fun, found, value, line)
                return
        for argnum, parent in zip(argnums, parents, strict=True):
            refuse_stale(held(args[argnum]), line)
            recorded[argnum] = parent.ref
        self.ref = self.tape.append(Entry(fun, tuple(recorded), fixed, value, self.tape.backward, line))

    def initialize_root(self, tape: Tape, value: Any) -> None:
        """Begin a tape's input."""
        self.tape, self.parents, self.origin, self.is_fresh = tape, (), None, False
        self.ref = tape.append(Entry(None, (), {}, value, False, ""))


# They read no numbers.
notrace_primitives[RecordNode].update({anp.size, anp.isscalar, anp.isrealobj})


def _shares(value: np.ndarray[Any, Any], arg: Any) -> bool:
    if isinstance(arg, list | tuple):
        return any(_shares(value, part) for part in arg)
    other = held(arg)
    return isinstance(other, np.ndarray) and np.may_share_memory(value, other)


def _constant(arg: Any, fun: Any, line: str) -> Any:
    """Return an argument that is not followed, copied so that a later write cannot change the tape."""
    parts = arg if isinstance(arg, list | tuple) else [arg]
    if any(type(part) in Box.types for part in parts):
        raise ValueDependence(
            f"{name_of(fun)}: expected only its positional array arguments to depend on data or variables, but "
            f"another one does (an index, a keyword){at(line)}. Use np.where, or compute it in a batch function."
        )
    refuse_stale(arg, line)
    if not isinstance(arg, np.ndarray):
        return arg
    number = same_everywhere(np.asarray(arg))
    return np.array(arg) if number is None else np.broadcast_to(number, arg.shape)


def _defined(tape: Tape, fun: Any, found: Any, value: Any, line: str) -> Ref:
    """Return what a definition has put on the tape, where it is what the primitive itself gave."""
    if isinstance(value, list | tuple):
        parts = [_defined(tape, fun, part, own, line) for part, own in zip(found, value, strict=True)]
        return tape.append(Entry(make_sequence, (type(value), *parts), {}, value, tape.backward, line))
    plain = np.asarray(held(found))
    if plain.shape != np.shape(value):
        raise UnsupportedPrimitive(
            f"{name_of(fun)}: expected a result of shape {list(np.shape(value))}, but traced through it has "
            f"{list(plain.shape)}{at(line)}. Write it with others, or pass on_unsupported='reference'."
        )
    if is_users(fun) and not np.array_equal(plain, np.asarray(value), equal_nan=plain.dtype.kind == "f"):
        raise ValueDependence(
            f"{name_of(fun)}: it gives another answer while it is traced through than on plain arrays{at(line)}, so it "
            "looks at what its arguments are, or at something else. Use arithmetic alone, or pass "
            "on_unsupported='reference'."
        )
    if plain.dtype != np.asarray(value).dtype:
        found = anp._astype(found, np.asarray(value).dtype)
    if is_recorded(found) and type(found) is not RecordBox:
        found = found._box  # a `WrittenArray`, whose own memory holds nothing
    if type(found) is not RecordBox:
        return tape.append(Entry(anp.array, (np.array(found),), {}, value, tape.backward, line))
    ref: Ref = found._node.ref
    return ref


def refuse_options(name: str, options: dict[str, Any], line: str = "") -> None:
    """Refuse options that depend on data: autograd follows arguments by their position alone."""
    for option, value in options.items():
        if type(value) in Box.types:
            raise ValueDependence(
                f"{name}: expected only its positional array arguments to depend on data or variables, but its option "
                f"{option}= does{at(line or user_line())}. {without(option)}."
            )


def _refuse_options_of_a_primitive() -> None:
    """Refuse such options where a function of NumPy's meets one, called by autograd's wrapper of it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and of_library(frame.f_code.co_filename):
        if frame.f_code in _WRAPPERS:
            refuse_options(name_of(frame.f_locals["f_raw"]), frame.f_locals["kwargs"])
        frame = frame.f_back


def _is_listed(box: RecordBox) -> bool:
    """Tell whether a function of autograd's has a list in which this is, and a variable: `np.sum([a, b])`.

    There NumPy makes an array of objects, in the reference as well, and calls their operators one after the other.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and of_library(frame.f_code.co_filename):
        if frame.f_code in _WRAPPERS:
            lists = [arg for arg in frame.f_locals["args"] if isinstance(arg, list | tuple)]
            return any(_has(known, box) and is_variable(known) for known in lists)
        frame = frame.f_back
    return False


def _has(thing: Any, box: RecordBox) -> bool:
    return any(_has(part, box) for part in thing) if isinstance(thing, list | tuple) else thing is box


def _as_objects(box: RecordBox) -> np.ndarray[Any, Any]:
    """Return an array of the entries, each of them a box."""
    objects = np.empty(box.shape, object)
    for index in np.ndindex(*box.shape):
        objects[index] = box[index] if index else box
    return objects


def _refuse(what: str, advice: str = "Compute it with autograd.numpy, or in a batch function") -> NoReturn:
    line = user_line(2)
    _refuse_options_of_a_primitive()
    raise ValueDependence(
        f"the cost function reads a value while it is traced: {what}{at(line)}. The compiled answer would hold for "
        f"this value only. {advice}, or pass on_unsupported='reference'."
    )


def _reads_shape_only(frame: Any) -> bool:
    """Tell whether `Box._value` is read by autograd itself, for a call that needs no more than shape and dtype."""
    if frame.f_code is getval.__code__:
        caller = frame.f_back
        if caller.f_code in _WRAPPERS:
            return getattr(caller.f_locals["f_raw"], "__name__", "") in _SHAPE_ONLY
        return _reads_shape_only(caller)
    if frame.f_code is children.__code__:  # it asks whether a node is a branch
        return True
    return bool(frame.f_globals.get("__name__", "").startswith(_AT_HOME))


class RecordBox(ArrayBox):  # type: ignore[misc]  # autograd has no types
    """An array whose operations are recorded and whose numbers nobody may look at."""

    __slots__ = ("_held",)

    @property
    def _value(self) -> Any:
        return self.plainly(sys._getframe(1))

    @_value.setter
    def _value(self, value: Any) -> None:
        made = type(value) is not np.ndarray and issubclass(type(value), np.ndarray)
        self._held = value.view(np.ndarray) if made else value

    def plainly(self, reader: Any) -> Any:
        """Return the value to a frame of autograd's that reads no more than its shape."""
        if not _reads_shape_only(reader):
            _refuse("x._value or autograd's getval(x)")
        return self._held

    @property  # type: ignore[misc]  # object declares it writable
    def __class__(self) -> type:
        """Answer isinstance() as the reference's value would: data is a plain array there, variables are boxes."""
        return ArrayBox if type(self._held) is RecordBox else type(self._held)

    __hash__ = ArrayBox.__hash__
    size = property(lambda self: int(np.prod(self.shape)))

    def __bool__(self) -> bool:
        _refuse(
            "its truth value (`if`, `while`, `and`, `assert`, max() or min() of Python)",
            "Write np.where(condition, x, y) for `x if condition else y`, with both computed, np.maximum for max(), "
            "and np.max(np.array([x, y])) for np.max([x, y])",
        )

    def __float__(self) -> float:
        _refuse("float(x)")

    def __int__(self) -> int:
        _refuse("int(x)", "Write w[label] for w[int(label)], np.eye(k)[label] for a loop, and x.astype(int) for int(x)")

    def __complex__(self) -> complex:
        _refuse("complex(x)")

    def __index__(self) -> int:
        _refuse(
            "x as the index of a list, the length of a range or the bound of a slice",
            "Write np.take(np.array(table), x) for table[x], and np.where(np.arange(n) < k, x, 0.0) for x[:k]",
        )

    def __round__(self, ndigits: int = 0) -> int:
        _refuse("round(x)")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if _is_listed(self):
            return _as_objects(self)
        _refuse(
            "a conversion to a plain array, by a function that is not autograd's or as the index of a plain array",
            "Write np.take(table, labels, axis=0) for table[labels], x.astype(float) for np.float64(x), and "
            "f(np.array([x, y])) for f([x, y]), and call functions of autograd.numpy",
        )

    def __str__(self) -> str:
        _refuse("its text (print, or the key of a dict)", "Write np.take(np.array(table), x) for table[x]")

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        _refuse("its text")

    def item(self, *index: int) -> Any:
        """Refuse ndarray.item."""
        _refuse("x.item()", "Write w[label] for w[label.item()], and x for x.item()")

    def tolist(self) -> Any:
        """Refuse ndarray.tolist."""
        _refuse("x.tolist()", "Write w[labels] for w[labels.tolist()]")

    def __pow__(self, other: Any) -> Any:
        """Do what ndarray's operator does to data: a few powers are functions of their own, which round otherwise."""
        is_data = type(self._held) is np.ndarray and self._held.dtype.kind == "f"
        own = _POWERS.get(other) if is_data and type(other) in (int, float, np.float64) else None
        if own is not None and np.result_type(self._held, other) != self._held.dtype:
            own = None  # a number of NumPy's 2 promotes
        return anp.power(self, other) if own is None else own(self)

    def dot(self, other: Any) -> Any:
        """Do what ndarray.dot does."""
        return anp.dot(self, other)

    def __getitem__(self, index: Any) -> Any:
        """Read a part; what the index has of data is recorded as data."""
        if isinstance(index, list) and any(map(is_recorded, index)):
            index = anp.array(index)
        if type(index) is Selection:
            return index.picked(self)
        if not any(map(is_recorded, index if isinstance(index, tuple) else (index,))):
            part = _plain_getitem(self, index)
            if type(self._held) is np.ndarray and self._node.is_fresh and not part._node.is_fresh:
                part._node.origin = (self, index)
            return part
        template, parts = indices.split(index, is_recorded)
        if isinstance(template[0], indices.Part) and shape_and_dtype(parts[0])[1].kind == "b" and parts[0].ndim:
            found = self._selected(parts[0], template[1:])
            if found is not None:
                return found
        if any(shape_and_dtype(part)[1].kind not in "iu" for part in parts):
            raise selecting()
        return indices.indexed(self, template, *parts)

    def _selected(self, mask: Any, rest: tuple[Any, ...]) -> Selection | None:
        """Return self[mask, *rest] where `rest` is the same for every row, or selected by the mask too."""
        identity = _identity(mask._node.tape, mask._node.ref)
        if len(rest) == 1 and type(rest[0]) is Selection and self.shape[: mask.ndim] == mask.shape:
            return rest[0].picked(anp.reshape(self, (-1, *self.shape[mask.ndim :])), identity)
        if not all(item is None or item is Ellipsis or type(item) in (slice, int) for item in rest):
            return None
        return selected(self[(slice(None),) * mask.ndim + rest] if rest else self, mask, identity)

    def __getattr__(self, name: str) -> Any:
        """Refuse what a plain array has and a box has not: the reference answers where it is asked of data."""
        if name.startswith("_") or type(self._held) is RecordBox or not hasattr(self._held, name):
            raise AttributeError(f"'ArrayBox' object has no attribute {name!r}", name=name, obj=self)
        raise UnsupportedPrimitive(
            f"x.{name}: expected attributes of arrays that the engine can compile{at(user_line(2))}. Compute it in a "
            "batch function, or pass on_unsupported='reference'."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Record a call of one of NumPy's elementwise functions."""
        _refuse_options_of_a_primitive()
        refuse_options(f"numpy.{ufunc.__name__}", kwargs)
        return ArrayBox.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Record a call of plain NumPy on data, which the reference allows since data is plain there."""
        if func not in CHOOSING:
            _refuse_options_of_a_primitive()
            refuse_options(name_of(func), kwargs)
        own, wrapped = PLAIN.get(func), trace_primitives_map.get(func)
        data = not is_variable(args)
        if own is not None and (data or func in CHOOSING):
            found = own(*args, **kwargs)
            if found is not NotImplemented:
                return found
        # A function that takes its arrays in a list comes back here from autograd's own form of it.
        elif own is None and wrapped is not None and data and any(type(arg) is RecordBox for arg in args):
            return wrapped(*args, **kwargs)
        raise UnsupportedPrimitive(
            f"numpy.{name_of(func)}: expected a function that the engine can compile{at(user_line(2))}. Write it with "
            "others of autograd.numpy, compute it in a batch function, or pass on_unsupported='reference'."
        )


_plain_getitem = ArrayBox.__getitem__


def is_recorded(thing: Any) -> bool:
    """Tell whether something stands for an array that is recorded."""
    return type(thing) in Box.types and type(thing._node) is RecordNode


def _same(constant: Any) -> Any:
    numbers = np.asarray(constant)
    return type(constant), numbers.shape, numbers.dtype.str, numbers.tobytes()


def _identity(tape: Tape, ref: Ref) -> Any:
    """Return what is the same for two masks that were computed in the same way from the same data."""
    entry = tape.entries[ref.index]
    if entry.fun is None:
        return ref.index
    parts = (_identity(tape, arg) if isinstance(arg, Ref) else _same(arg) for arg in entry.args)
    return (entry.fun, *parts, repr(sorted(entry.kwargs.items())))


def selecting() -> ValueDependence:
    """Return the error for an index of truth values."""
    return shape_of_data("x[mask]", user_line(3))


def writing(advice: str) -> ValueDependence:
    """Return the error for a write into an array of data."""
    return ValueDependence(f"the cost function writes into an array in place{at(user_line(3))}. {advice}.")


Box.types.add(RecordBox)
box_type_mappings[RecordBox] = RecordBox


def held(box: Any) -> Any:
    """Return the plain value inside any number of boxes."""
    while type(box) in Box.types:
        box = box._held if type(box) is RecordBox else box._value
    return box


def is_variable(thing: Any) -> bool:
    """Tell whether something is a variable, or has one in it, where the reference has a box of autograd's."""
    if isinstance(thing, list | tuple):
        return any(map(is_variable, thing))
    return type(thing) is RecordBox and type(thing._held) is RecordBox


def shape_and_dtype(value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of a recorded value; a sparse gradient has those of the array that it adds to."""
    plain = held(value)
    if type(plain) is SparseObject:
        return tuple(plain.vs.shape), np.dtype(plain.vs.dtype)
    return np.shape(plain), np.asarray(plain).dtype
