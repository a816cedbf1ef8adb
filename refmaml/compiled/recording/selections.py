"""What a mask of data selects: x[mask], whose length depends on data.

Nothing compiled has such a length. But what costs do with a selection is nearly always elementwise until a sum or a
mean ends it, and that can be computed on the whole array: what is not selected takes the numbers of the first element
that is, so that no function meets what the mask was to keep from it, and takes no part in the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import autograd.numpy
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import trace_primitives_map

from refmaml.compiled.errors import ValueDependence, shape_of_data, user_line
from refmaml.compiled.recording.definitions import defined, read

where = autograd.numpy.where


def _reduced(reduction: Callable[..., Any]) -> Any:
    """Return a primitive (x, mask, axis) of what the mask selects of the first axis."""
    return primitive(lambda x, mask, axis: reduction(x[mask], axis=axis))


_sum, _mean, _max, _min = _reduced(np.sum), _reduced(np.mean), _reduced(np.max), _reduced(np.min)


def _rows(mask: Any, x: Any) -> Any:
    return anp.reshape(mask, (-1,) + (1,) * (x.ndim - 1))


def _spread(g: Any, x: Any, axis: Any) -> Any:
    return anp.reshape(g, (1,) * x.ndim if axis is None else (1, *x.shape[1:]))


def _count(x: Any, mask: Any, axis: Any) -> Any:
    return anp.sum(mask) * float(prod(x.shape[1:]) if axis is None else 1)


def _masked(g: Any, x: Any, mask: Any) -> Any:
    whole = anp.broadcast_to(g, x.shape)
    return where(anp.broadcast_to(_rows(mask, x), x.shape), whole, anp.zeros(x.shape, x.dtype))


defvjp(_sum, lambda _ans, x, mask, axis: lambda g: _masked(_spread(g, x, axis), x, mask), argnums=(0,))
defvjp(
    _mean, lambda _ans, x, mask, axis: lambda g: _masked(_spread(g / _count(x, mask, axis), x, axis), x, mask),
    argnums=(0,),
)  # fmt: skip


def _gradient_of_extreme(ans: Any, x: Any, mask: Any, axis: Any) -> Callable[[Any], Any]:
    """Elements that are the extreme one share the gradient, as autograd has it."""
    equal = anp.logical_and(x == _spread(ans, x, axis), _rows(mask, x))
    share = anp.sum(equal, axis=axis, keepdims=True)
    return lambda g: _spread(g, x, axis) * equal / share


defvjp(_max, _gradient_of_extreme, argnums=(0,))
defvjp(_min, _gradient_of_extreme, argnums=(0,))


@defined(_sum)
def _whole_sum(x: Any, mask: Any, axis: Any) -> Any:
    chosen = anp.broadcast_to(_rows(mask, x), x.shape)
    return anp.sum(where(chosen, x, np.zeros(x.shape, x.dtype)), axis=axis)


@defined(_mean)
def _whole_mean(x: Any, mask: Any, axis: Any) -> Any:
    return _whole_sum(x * 1.0, mask, axis) / _count(x, mask, axis)


# What is not selected has the numbers of an element that is.
def _some(x: Any, mask: Any) -> Any:
    """Return x, and so that the reference answers where nothing is selected: element 1 of 1 is read then."""
    none = anp._astype(anp.logical_not(anp.any(mask)), np.int64)
    return x + read(np.zeros(1), (none,))


defined(_max)(lambda x, mask, axis: anp.max(_some(x, mask), axis=axis))
defined(_min)(lambda x, mask, axis: anp.min(_some(x, mask), axis=axis))


class Selection:
    """x[mask]: elementwise until it is summed. `whole` has the rows of x, and `mask` is true for those selected."""

    __array_priority__ = 200.0  # above a box's

    def __init__(self, whole: Any, mask: Any, identity: Any) -> None:
        self.whole, self.mask, self._identity = whole, mask, identity

    @property
    def shape(self) -> tuple[Any, ...]:
        """The number of rows, which depends on data, and the other lengths."""
        return (anp.sum(self.mask), *self.whole.shape[1:])

    @property
    def size(self) -> Any:
        """The number of elements, which depends on data."""
        return anp.sum(self.mask) * prod(self.whole.shape[1:])

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self.whole.ndim)

    @property
    def dtype(self) -> Any:
        """The dtype of the elements."""
        return self.whole.dtype

    def __len__(self) -> int:
        raise _unknown("len(x[mask])")

    def __array__(self, *_args: Any, **_options: Any) -> Any:
        raise _unknown("x[mask] as a plain array")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise _unknown("a write into x[mask]")

    def __getattr__(self, name: str) -> Any:
        """Refuse what else an array has."""
        if name.startswith("_"):
            raise AttributeError(f"'Selection' object has no attribute {name!r}", name=name, obj=self)
        raise _unknown(f"x[mask].{name}")

    def __getitem__(self, index: Any) -> Any:
        """Read a part that has all rows."""
        items = index if isinstance(index, tuple) else (index,)
        if not isinstance(items[0], slice) or items[0] != slice(None):
            raise _unknown("a part of x[mask]")
        return self._of(self.whole[index])

    def _of(self, whole: Any) -> Selection:
        return Selection(whole, self.mask, self._identity)

    def picked(self, x: Any, identity: Any = None) -> Selection:
        """Return x[ids[mask]], or x[mask, ids[mask]] where `identity` is that of the mask."""
        if self.dtype.kind not in "iu" or (identity is not None and (identity != self._identity or self.ndim != 1)):
            raise _unknown("an index that a mask selects")
        return self._of(x[self.whole] if identity is None else x[np.arange(len(self.whole)), self.whole])

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Compute an elementwise function, of this and of numbers or selections by the same mask; or a product."""
        function = trace_primitives_map.get(ufunc)
        if method != "__call__" or kwargs or function is None:
            raise _unknown(f"np.{ufunc.__name__} of x[mask]")
        if ufunc is np.matmul and not (inputs[0] is self and self.ndim == 2 and not isinstance(inputs[1], Selection)):
            raise _unknown("this product with x[mask]")
        return self._of(function(*(self._operand(other, ufunc is np.matmul) for other in inputs)))

    def _operand(self, other: Any, product: bool) -> Any:
        if isinstance(other, Selection):
            if other._identity != self._identity:
                raise _unknown("two selections by different masks")
            if other.ndim != self.ndim:
                raise _unknown("two selections with different numbers of axes")
            return other.whole
        if not product and anp.ndim(other) >= self.ndim:
            raise _unknown("x[mask] with an array that has as many axes")
        return other

    def __array_function__(self, func: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        """Reduce, or choose element by element."""
        if func in _REDUCTIONS and args[0] is self and set(kwargs) <= {"axis"}:
            return _REDUCTIONS[func](self, *args[1:], **kwargs)
        if func is np.where and len(args) == 3 and not kwargs:
            return self._of(where(*(self._operand(arg, False) for arg in args)))
        raise _unknown(f"np.{func.__name__} of x[mask]")

    def _reduce(self, function: Any, axis: Any = None) -> Any:
        axis = axis if axis is None else axis % self.ndim
        if axis in (None, 0):
            return function(self.whole, self.mask, axis)
        plain = {_sum: anp.sum, _mean: anp.mean, _max: anp.max, _min: anp.min}[function]
        return self._of(plain(self.whole, axis=axis))

    def sum(self, axis: Any = None) -> Any:
        """Sum."""
        return self._reduce(_sum, axis)

    def mean(self, axis: Any = None) -> Any:
        """Average."""
        return self._reduce(_mean, axis)

    def max(self, axis: Any = None) -> Any:
        """Return the largest."""
        return self._reduce(_max, axis)

    def min(self, axis: Any = None) -> Any:
        """Return the smallest."""
        return self._reduce(_min, axis)

    def astype(self, dtype: Any) -> Any:
        """Convert."""
        return self._of(anp._astype(self.whole, dtype))


_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: Selection.sum, np.mean: Selection.mean, np.max: Selection.max, np.min: Selection.min,
    np.amax: Selection.max, np.amin: Selection.min,
}  # fmt: skip


def _unknown(what: str) -> ValueDependence:
    return shape_of_data(what, user_line(2))


def _binary(ufunc: Any, swapped: bool) -> Callable[[Any, Any], Any]:
    if swapped:
        return lambda self, other: self.__array_ufunc__(ufunc, "__call__", other, self)
    return lambda self, other: self.__array_ufunc__(ufunc, "__call__", self, other)


_OPERATORS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power, "mod": np.mod,
    "matmul": np.matmul, "floordiv": np.floor_divide, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "and": np.bitwise_and, "or": np.bitwise_or,
}  # fmt: skip
for _symbol, _ufunc in _OPERATORS.items():
    setattr(Selection, f"__{_symbol}__", _binary(_ufunc, swapped=False))
    setattr(Selection, f"__r{_symbol}__", _binary(_ufunc, swapped=True))


def _unary(ufunc: Any) -> Callable[[Any], Any]:
    return lambda self: self.__array_ufunc__(ufunc, "__call__", self)


setattr(Selection, "__neg__", _unary(np.negative))  # noqa: B010 - mypy knows no such method
setattr(Selection, "__invert__", _unary(np.invert))  # noqa: B010 - mypy knows no such method
setattr(Selection, "__abs__", _unary(np.absolute))  # noqa: B010 - mypy knows no such method


def selected(x: Any, mask: Any, identity: Any) -> Selection:
    """Return x[mask] of a mask that is data, over the first axes of x; `identity` is the same for equal masks."""
    rows = anp.reshape(x, (-1, *anp.shape(x)[mask.ndim :]))
    flat = anp.reshape(mask, (-1,))
    if anp.shape(x)[: mask.ndim] != mask.shape or not len(rows):
        raise _unknown("x[mask] with a mask of another shape")
    # Where nothing is selected: ½ is in the domain of log, √, 1/x, arcsin and arctanh, and so are its neighbours.
    first = where(anp.any(flat), rows[anp.argmax(flat)], anp._astype(np.array(0.5), rows.dtype))
    whole = where(anp.broadcast_to(_rows(flat, rows), rows.shape), rows, anp.broadcast_to(first[None], rows.shape))
    return Selection(whole, flat, identity)
