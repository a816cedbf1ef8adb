"""Arrays that a cost makes itself, and may index by data or write data into.

While something is recorded, what `zeros`, `eye` and the like give to a user's code is a `MadeArray`: an array like any
other, except that data may be its index, and that it becomes a `WrittenArray` once data are written into it. That one
is a box of autograd's, and a write into it is recorded as a new value. Its own memory is filled with what no cost
expects, and so is that of a value that a view still reads: whoever reads there gives another cost than on plain
arrays, which the proof at first use finds.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import autograd.numpy
import numpy as np
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import Box, box_type_mappings, trace_primitives_map

from refmaml.compiled.errors import ValueDependence, at, of_library, user_line
from refmaml.compiled.recording import indices
from refmaml.compiled.recording.boxes import (
    RecordBox,
    held,
    is_recorded,
    is_variable,
    refuse_options,
    selecting,
    writing,
)
from refmaml.compiled.recording.pasting import Pasting
from refmaml.compiled.recording.tape import SPOILED, refuse_stale

_CREATORS = (
    "zeros", "ones", "full", "empty", "eye", "identity", "array", "asarray", "arange", "linspace", "zeros_like",
    "ones_like", "empty_like",
)  # fmt: skip
_PASTING = ("r_", "c_")
#: Functions that are given lists of numbers.
_REDUCING = ("sum", "prod", "max", "min", "amax", "amin", "any", "all", "dot")


def made(array: Any) -> Any:
    """Return an array of the cost's own with the contents of another one; numbers as they are."""
    if type(array) is not np.ndarray:
        return array
    result = np.ndarray.__new__(MadeArray, array.shape, array.dtype)
    result.view(np.ndarray)[...] = array
    return result


class MadeArray(np.ndarray[Any, Any]):
    """An array that a cost made."""

    __array_priority__ = -1.0  # of an operation with another array, the result is a plain array

    def __getitem__(self, index: Any) -> Any:
        """Read a part, by data too."""
        template, parts = indices.split(index, is_recorded)
        refuse_stale(self.view(np.ndarray), user_line(2))
        if not parts:
            return super().__getitem__(index)
        return indices.indexed(np.array(self), template, *whole(parts))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write a part, and become a `WrittenArray` where data are in it."""
        _, parts = indices.split(index, is_recorded)
        _refuse_variable(value)
        if parts or is_recorded(value):
            if self.base is not None:
                raise ValueDependence(
                    f"the cost function writes data into a part of an array that it made{at(user_line(2))}. Index the "
                    "whole array: x[0, :] = y for x[0][:] = y."
                )
            _begin(self)
            self[index] = value
        else:
            super().__setitem__(index, value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Do what NumPy does; `x += data` writes."""
        if method == "at" and any(map(is_recorded, inputs)):
            raise ValueDependence(
                f"np.{ufunc.__name__}.at writes into an array in place{at(user_line(2))}. Write np.bincount(index, "
                "minlength=n) for counts in zeros, and np.bincount(index, x, n) for sums of x."
            )
        out = kwargs.pop("out", (None,))[0]
        refuse_options(f"numpy.{ufunc.__name__}", kwargs)
        kwargs = {name: x.view(np.ndarray) if isinstance(x, MadeArray) else x for name, x in kwargs.items()}
        if not any(map(is_recorded, (*inputs, out))):
            plain = tuple(x.view(np.ndarray) if isinstance(x, MadeArray) else x for x in inputs)
            if out is None:
                result = getattr(ufunc, method)(*plain, **kwargs)
                # With an array of somebody else's the memory may lie in another order, in which sums are taken.
                others = (x for x in inputs if isinstance(x, np.ndarray) and not isinstance(x, MadeArray))
                return result if any(x.ndim for x in others) else made(result)
            getattr(ufunc, method)(*plain, out=out.view(np.ndarray), **kwargs)
            return out
        if out is None or method != "__call__":
            return NotImplemented
        result = trace_primitives_map[ufunc](*inputs, **kwargs)
        if not np.can_cast(result.dtype, out.dtype, "same_kind"):
            raise TypeError(
                f"Cannot cast ufunc output from {result.dtype} to {out.dtype} with casting rule 'same_kind'"
            )
        out[...] = result
        return out


def whole(parts: list[Any]) -> list[Any]:
    """Return the recorded parts of an index, where they are whole numbers."""
    if any(part.dtype.kind not in "iu" for part in parts):
        raise selecting()
    return parts


def _refuse_variable(value: Any) -> None:
    if type(value) is RecordBox and not is_recorded(value):
        raise TypeError("expected data or a constant, but a variable is written into an array.")  # as autograd has it


def _after_a_write(before: Any, index: Any, value: Any) -> Any:
    """Return what an array is after a write into a part of it."""
    _refuse_variable(value)
    template, parts = indices.split(index, is_recorded)
    if len(parts) == 1 and parts[0].dtype.kind == "b" and len(template) == 1 and anp.ndim(value) == 0:
        mask = anp.reshape(parts[0], parts[0].shape + (1,) * (before.ndim - parts[0].ndim))
        return anp._astype(autograd.numpy.where(mask, value, before), before.dtype)
    return indices.written(before, template, value, *whole(parts))


def overwrite(box: RecordBox, after: Any) -> None:
    """Put another value into data that a cost has computed: whoever has this box sees it, and nobody the former one."""
    _refuse_variable(after)
    if after.shape != box.shape:
        raise ValueError(f"expected a result of shape {box.shape} to write, but got one of {after.shape}.")
    if not np.can_cast(after.dtype, box.dtype, "same_kind"):
        raise TypeError(f"Cannot cast ufunc output from {after.dtype} to {box.dtype} with casting rule 'same_kind'")
    after = after if after.dtype == box.dtype else anp._astype(after, box.dtype)
    _spoil(box._held)
    box._held, box._node = after._held, after._node


def _begin(array: MadeArray) -> None:
    """Have an array hold data from here on."""
    content = np.array(array)
    _spoil(array)
    array.__class__ = WrittenArray
    array.__dict__["_box"] = content  # a constant, up to the first write


def _spoil(array: np.ndarray[Any, Any]) -> None:
    """Fill memory that nobody may read with what nobody expects."""
    plain = array.view(np.ndarray)
    SPOILED.append(plain)
    if plain.dtype.kind == "f":
        plain[...] = np.nan
    elif plain.dtype.kind == "b":
        np.logical_not(plain, out=plain)
    elif plain.dtype.kind in "iu":
        plain[...] = np.iinfo(plain.dtype).max // 3


class WrittenArray(MadeArray):
    """A box in the place of an array: what it holds is recorded in `_box`."""

    _LOCAL = frozenset({"_box", "_node", "_trace", "_value", "__dict__", "__class__"})

    def __getattribute__(self, name: str) -> Any:
        """Find everything in what is recorded."""
        if name in WrittenArray._LOCAL or name.startswith("__array_"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "__dict__")["_box"], name)

    @property
    def _node(self) -> Any:
        return self._box._node

    @property
    def _trace(self) -> Any:
        return self._box._trace

    @property
    def _value(self) -> Any:
        return self._box.plainly(sys._getframe(1))

    def __getitem__(self, index: Any) -> Any:
        """Read a part of what is recorded; `x[i] += y` writes into x."""
        part = self._box[index]
        if not isinstance(part._held, np.ndarray):
            return part
        if not np.may_share_memory(part._held, self._box._held):
            return written_copy(part)
        part._node.origin = (self, index)
        return part

    def __setitem__(self, index: Any, value: Any) -> None:
        """Record a write."""
        before = self.__dict__["_box"]
        after = _after_a_write(before, index, value)
        if is_recorded(before):
            _spoil(before._held)
        self.__dict__["_box"] = after

    def __len__(self) -> int:
        return len(self._box)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._box[k] for k in range(len(self._box)))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Call a function of NumPy with what is recorded."""

        def recorded(arg: Any) -> Any:
            if isinstance(arg, list | tuple):
                return type(arg)(map(recorded, arg))
            return arg._box if type(arg) is WrittenArray else arg

        return func(*recorded(args), **kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Record what is computed; `x += y` writes."""
        if "out" in kwargs:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        return ArrayBox.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)


def _reading(name: str) -> Callable[..., Any]:
    return lambda self, *args: getattr(self._box, name)(*args)


for _name in (
    "__bool__", "__float__", "__int__", "__complex__", "__index__", "__array__", "__str__", "__repr__", "__format__",
    "__round__", "__hash__", "__pow__",
):  # fmt: skip
    setattr(WrittenArray, _name, _reading(_name))
Box.types.add(WrittenArray)


def written_copy(box: RecordBox) -> Any:
    """Return a copy of data that may be written into."""
    array = np.ndarray.__new__(MadeArray, box.shape, box.dtype)
    _spoil(array)
    array.__class__ = WrittenArray
    array.__dict__["_box"] = anp.array(box)
    return array


def _copied(self: RecordBox, order: str = "C") -> Any:  # noqa: ARG001 - NumPy's
    """Do what ndarray.copy does: a copy of data can be written into."""
    return anp.array(self) if isinstance(self._held, Box) else written_copy(self)


setattr(RecordBox, "copy", _copied)  # noqa: B010 - mypy knows another one


def _write(self: RecordBox, index: Any, value: Any) -> None:
    """Write into data that the cost has computed; a variable is a box in the reference too, which has no such thing."""
    if type(self._held) is RecordBox:
        raise TypeError("'ArrayBox' object does not support item assignment")
    if not self._node.is_fresh:
        raise writing("Copy it first, or write np.where(…) or np.concatenate(…) for `x[i] = y`")
    overwrite(self, _after_a_write(self, index, value))


setattr(RecordBox, "__setitem__", _write)  # noqa: B010 - as above


def _is_data(thing: Any) -> bool:
    """Tell whether something is recorded and a plain array in the reference."""
    return type(thing) is WrittenArray or (type(thing) is RecordBox and type(thing._held) is not RecordBox)


def _making(name: str, original: Callable[..., Any], thread: int) -> Callable[..., Any]:
    of_shape_alone, of_arrays = name.endswith("_like"), name in ("array", "asarray")

    @wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        file = sys._getframe(1).f_code.co_filename
        if threading.get_ident() != thread or of_library(file) or "-packages" in file:
            return original(*args, **kwargs)
        first = args[0] if args else None
        if of_shape_alone and (_is_data(first) or (type(first) is RecordBox and hasattr(original, "fun"))):
            args = (held(first), *args[1:])
        if of_arrays and _is_data(first) and not hasattr(original, "fun"):
            dtype = kwargs.get("dtype")
            if len(args) > 1 or kwargs.keys() - {"dtype"}:
                raise ValueDependence(
                    f"the cost function calls np.{name} on data with more than a dtype{at(user_line(2))}. Leave the "
                    "other arguments out."
                )
            same: Any = first if name == "asarray" else anp.array(first)
            return same if dtype is None else same.astype(dtype)
        is_plain = of_arrays and len(args) == 1 and not kwargs and not hasattr(original, "fun")
        if is_plain and isinstance(first, list | tuple) and any(map(_is_data, first)):
            return anp.array(list(first))
        result = original(*args, **kwargs)
        if type(result) is not np.ndarray or result is first:
            return result
        return made(np.zeros_like(result) if name.startswith("empty") else result)

    return make


def _reducing(original: Callable[..., Any], thread: int) -> Callable[..., Any]:
    """Return a function to which a list of data is an array, as NumPy makes it; one of variables is of objects."""

    def is_of_data(arg: Any) -> bool:
        return isinstance(arg, list | tuple) and not is_variable(arg) and _has_data(arg)

    @wraps(original)
    def reduce(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == thread:
            args = tuple(anp.array(list(arg)) if is_of_data(arg) else arg for arg in args)
        return original(*args, **kwargs)

    return reduce


def _has_data(thing: Any) -> bool:
    return any(map(_has_data, thing)) if isinstance(thing, list | tuple) else is_recorded(thing)


@contextmanager
def making_arrays() -> Iterator[None]:
    """Have the functions that make arrays give `MadeArray`s to the code of users on this thread."""
    places = [(module, name) for module in (autograd.numpy, np) for name in (*_CREATORS, *_PASTING, *_REDUCING)]
    before = [getattr(module, name) for module, name in places]
    thread = threading.get_ident()
    for (module, name), original in zip(places, before, strict=True):
        if name in _REDUCING:
            setattr(module, name, _reducing(original, thread))
            continue
        pasting = name in _PASTING
        setattr(module, name, Pasting(original, thread, name == "c_") if pasting else _making(name, original, thread))
    box_type_mappings[MadeArray] = RecordBox
    try:
        yield
    finally:
        del box_type_mappings[MadeArray]
        for (module, name), original in zip(places, before, strict=True):
            setattr(module, name, original)
