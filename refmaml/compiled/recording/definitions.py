"""Primitives that are recorded as others: what they compute, written with primitives that have a rule.

autograd's derivatives of them stay in force: they are computed one level above the recording, and made of primitives
again. A user's own primitive is recorded as what its function calls.
"""

# ruff: noqa: ARG001 - a definition has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy
import numpy as np
from autograd.numpy import fft, linalg
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import isbox

from refmaml.compiled.errors import UnsupportedPrimitive, at, of_library, shape_of_data, user_line
from refmaml.compiled.recording.indices import Part, Space, indexed, placed, split
from refmaml.supplements import along_axis

Definition = Callable[..., Any]
where = autograd.numpy.where
_DEFINITIONS: dict[Any, Definition] = {}


def definition_of(fun: Any) -> Definition | None:
    """Return what records a primitive as others: a definition, or the function of a user's own; None for the others."""
    if fun in _DEFINITIONS:
        return _DEFINITIONS[fun]
    raw = getattr(fun, "fun", None)
    code = getattr(raw, "__code__", None)
    return raw if code is not None and not of_library(code.co_filename) else None


def is_users(fun: Any) -> bool:
    """Tell whether a primitive is a user's own."""
    return fun not in _DEFINITIONS


def defined(*primitives: Any) -> Callable[[Definition], Definition]:
    """Register the decorated function as the definition of `primitives`; NotImplemented is no definition."""

    def register(function: Definition) -> Definition:
        _DEFINITIONS.update(dict.fromkeys(primitives, function))
        return function

    return register


# ----- Order, and indexing along an axis -----


def read(x: Any, index: Any) -> Any:
    """Return x[index], where the index may depend on data and x may be a plain array."""
    template, parts = split(index, isbox)
    return indexed(x, template, *parts) if parts else anp.array(x)[index]


@defined(anp.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Pick elements along an axis."""
    if axis is None:
        return read(anp.ravel(arr), (indices,))
    return read(arr, along_axis(anp.shape(arr), indices, axis))


@defined(anp.take)
def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    """Pick slices along an axis."""
    if out is not None or mode != "raise":
        return NotImplemented
    if axis is None:
        return read(anp.ravel(anp.array(a)), (indices,))
    return read(a, (slice(None),) * (axis % anp.ndim(a)) + (indices,))


def _ranks(x: Any) -> Any:
    """Return the place of each element in its sorted row: the number of those that stand before it, NaN last."""
    x = anp.array(x)
    mine, other = x[..., :, None], x[..., None, :]
    earlier = np.tri(x.shape[-1], k=-1, dtype=bool)
    same = anp.logical_or(mine == other, anp.logical_and(anp.isnan(mine), anp.isnan(other)))
    below = anp.logical_or(other < mine, anp.logical_and(anp.isnan(mine), anp.logical_not(anp.isnan(other))))
    return anp.sum(anp.logical_or(below, anp.logical_and(same, earlier)), axis=-1)


@defined(anp.argsort)
def argsort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """Return the places of the sorted elements; of equal ones the first comes first."""
    a = anp.ravel(a) if axis is None else anp.moveaxis(a, axis, -1)
    ranks = _ranks(a)
    template = (*np.ogrid[tuple(slice(n) for n in a.shape)][:-1], Part(0)) if a.ndim > 1 else (Part(0),)
    template = tuple(np.asarray(item) if not isinstance(item, Part) else item for item in template)
    space = Space(tuple(a.shape), np.dtype(np.int64))
    found = placed(np.broadcast_to(np.arange(a.shape[-1]), a.shape), template, space, ranks)
    return found if axis is None else anp.moveaxis(found, -1, axis)


@defined(anp.sort)
def sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """Sort along an axis."""
    if axis is None:
        a, axis = anp.ravel(a), 0
    return take_along_axis(a, anp.argsort(a, axis), axis)


def _first(equal: Any, axis: Any, keepdims: Any) -> Any:
    """Return the first place along an axis that is true."""
    if axis is None:
        equal, axis = anp.reshape(equal, (-1,)), 0
    length = equal.shape[axis]
    numbers = np.arange(length).reshape([-1 if k == axis % equal.ndim else 1 for k in range(equal.ndim)])
    return anp.min(where(equal, numbers, length - 1), axis=axis, keepdims=keepdims is True)


def _arg(extreme: Any) -> Definition:
    def found(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        top = extreme(a, axis=axis, keepdims=True)
        return _first(anp.logical_or(a == top, anp.isnan(a)), axis, keepdims)

    return found


defined(anp.argmax)(_arg(anp.max))
defined(anp.argmin)(_arg(anp.min))


@defined(anp.partition, anp.argpartition)
def partition(*args: Any, **options: Any) -> Any:
    """Refuse a partition, whose order within its parts NumPy leaves open."""
    raise UnsupportedPrimitive(
        "partition: expected an order that NumPy defines, and that of the elements in a part is open"
        f"{at(user_line())}. Write np.sort(x)[k:] for np.partition(x, k)[k:], or np.argsort(x) for np.argpartition, "
        "or pass on_unsupported='reference'."
    )


def _real_numbers_alone(name: str) -> Definition:
    """Refuse a Fourier transform, which is complex."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise UnsupportedPrimitive(
            f"{name}: expected real numbers{at(user_line())}. Write the parts of the transform as products with "
            "np.cos(a) and np.sin(a), where a = 2 * np.pi * np.outer(np.arange(n), np.arange(n)) / n, transform "
            "data in a batch function, or pass on_unsupported='reference'."
        )

    return refuse


for _name in ("fft", "ifft", "fft2", "ifft2", "fftn", "ifftn", "rfft", "irfft", "rfft2", "irfft2", "rfftn", "irfftn"):
    defined(getattr(fft, _name))(_real_numbers_alone(_name))


@defined(anp.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Return how many of the sorted numbers a lie before each of v."""
    if sorter is not None:
        return NotImplemented
    v = anp.array(v)[..., None]
    last = anp.isnan(v)  # NaN stands last
    if side == "left":
        return anp.sum(anp.logical_or(a < v, anp.logical_and(last, anp.logical_not(anp.isnan(a)))), axis=-1)
    return anp.sum(anp.logical_or(a <= v, last), axis=-1)


# ----- Results whose length depends on data -----


def _of_unknown_length(name: str, advice: str) -> Definition:
    def refuse(*args: Any, **options: Any) -> Any:
        raise shape_of_data(name, user_line(), advice)

    return refuse


_PLACES = (
    "Write np.where(mask, a, b), or np.sum(np.where(mask, x, 0.0)) for a sum of x at these places, and divide by "
    "np.sum(mask) for the mean"
)
_VALUES = "Write a loop over range(k) with the mask labels == k in the place of these values"
for _name in ("nonzero", "flatnonzero", "argwhere", "extract", "compress"):
    defined(getattr(anp, _name))(_of_unknown_length(_name, _PLACES))
for _name in ("unique", "union1d", "intersect1d", "setdiff1d", "setxor1d"):
    defined(getattr(anp, _name))(_of_unknown_length(_name, _VALUES))


@defined(autograd.numpy._original_where if hasattr(autograd.numpy, "_original_where") else anp.where)
def places(*args: Any) -> Any:
    """Refuse np.where(condition), which has another length on other data; the form with three arguments has a rule."""
    if len(args) == 3:
        return NotImplemented
    raise shape_of_data("where(mask)", user_line(), _PLACES)


@defined(anp.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Refuse numbers of repetitions that are data."""
    if isbox(repeats):
        raise shape_of_data("repeat", user_line(), "Write np.sum(n * x) for np.sum(np.repeat(x, n))")
    return NotImplemented


# ----- Arithmetic that NumPy composes -----


@defined(anp.kron)
def kron(a: Any, b: Any) -> Any:
    """All products of an element of a and one of b."""
    a, b = anp.array(a), anp.array(b)
    n = max(a.ndim, b.ndim)
    one, two = ((1,) * (n - x.ndim) + x.shape for x in (a, b))
    left = anp.reshape(a, tuple(size for k in one for size in (k, 1)))
    right = anp.reshape(b, tuple(size for k in two for size in (1, k)))
    return anp.reshape(left * right, tuple(p * q for p, q in zip(one, two, strict=True)))


@defined(anp.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Count what is not 0."""
    return anp.sum(a != 0, axis=axis, keepdims=keepdims)


@defined(anp.around, anp.round)
def around(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Round to whole numbers."""
    return anp.rint(a) if decimals == 0 and out is None else NotImplemented


@defined(anp.fix)
def fix(x: Any, out: Any = None) -> Any:
    """Round towards 0."""
    return anp.trunc(x)


@defined(anp.isclose)
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """|a − b| ≤ atol + rtol |b|, and equal infinities."""
    if equal_nan:
        return NotImplemented
    near = anp.logical_and(anp.abs(a - b) <= atol + rtol * anp.abs(b), anp.isfinite(b))
    return anp.logical_or(near, a == b)


@defined(anp.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """The largest number less the smallest one."""
    return anp.max(a, axis=axis, keepdims=keepdims) - anp.min(a, axis=axis, keepdims=keepdims)


@defined(anp.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    """The mean, or the weighted one."""
    if returned or keepdims is True or (weights is not None and anp.shape(weights) != anp.shape(a)):
        return NotImplemented
    if weights is None:
        return anp.mean(a, axis=axis)
    return anp.sum(a * weights, axis=axis) / anp.sum(weights, axis=axis)


def _without_nan(reduction: Any) -> Definition:
    def found(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
    ) -> Any:
        if options:
            return NotImplemented
        there = anp.logical_not(anp.isnan(a))
        return reduction(where(there, a, 0.0), there, axis, keepdims is True)

    return found


def _nanmean(a: Any, there: Any, axis: Any, keepdims: bool) -> Any:
    return anp.sum(a, axis=axis, keepdims=keepdims) / anp.sum(there, axis=axis, keepdims=keepdims)


def _nanvar(a: Any, there: Any, axis: Any, keepdims: bool) -> Any:
    away = where(there, a - _nanmean(a, there, axis, True), 0.0)
    return _nanmean(away**2, there, axis, keepdims)


defined(anp.nansum)(_without_nan(lambda a, _there, axis, keepdims: anp.sum(a, axis=axis, keepdims=keepdims)))
defined(anp.nanmean)(_without_nan(_nanmean))
defined(anp.nanvar)(_without_nan(_nanvar))
defined(anp.nanstd)(_without_nan(lambda *args: anp.sqrt(_nanvar(*args))))


@defined(anp.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The middle number, or the mean of the two middle ones."""
    if keepdims or isinstance(axis, tuple):
        return NotImplemented
    if axis is None:
        a, axis = anp.ravel(a), 0
    ordered = anp.moveaxis(anp.sort(a, axis), axis, -1)
    high, low = ordered.shape[-1] // 2, (ordered.shape[-1] - 1) // 2
    middle = (ordered[..., low] + ordered[..., high]) / 2.0
    return where(anp.isnan(ordered[..., -1]), np.nan, middle)  # NaN stands last


@defined(anp.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, **options: Any) -> Any:
    """The covariance matrix of rows of numbers."""
    if y is not None or any(value is not None for value in options.values()):
        return NotImplemented
    rows = anp.atleast_2d(m) if rowvar or m.ndim == 1 else anp.transpose(m)
    away = rows - anp.mean(rows, axis=1, keepdims=True)
    count = rows.shape[1] - (ddof if ddof is not None else int(not bias))
    return anp.squeeze(anp.dot(away, away.T) / float(count))


@defined(anp.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803 - NumPy's
    """Powers of numbers, in columns."""
    count = len(x) if N is None else N
    powers = range(count) if increasing else range(count - 1, -1, -1)
    return anp.stack([x**k for k in powers], axis=1)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Choose by the first condition that holds."""
    shape = np.broadcast_shapes(*(anp.shape(array) for array in (*condlist, *choicelist)))

    def whole(array: Any) -> Any:  # autograd has no derivative of a broadcast to more axes
        return anp.broadcast_to(anp.reshape(array, (1,) * (len(shape) - anp.ndim(array)) + anp.shape(array)), shape)

    result = whole(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, whole(choice), result)
    return result


def _sequence(function: Callable[..., Any]) -> Definition:
    """Return a function of autograd's for one of NumPy's that takes its arrays in a list."""

    def of_list(arrays: Sequence[Any], axis: int = 0, **options: Any) -> Any:
        if options:
            return NotImplemented
        return function([anp.array(array) for array in arrays], axis)

    return of_list


def sliding_window_view(x: Any, window_shape: Any, axis: Any = None, **options: Any) -> Any:
    """Return windows that slide along axes, which come last."""
    sizes = window_shape if isinstance(window_shape, tuple | list) else (window_shape,)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    for size, place in zip(sizes, (axis % x.ndim for axis in axes), strict=True):
        table = np.arange(x.shape[place] - size + 1)[:, None] + np.arange(size)
        x = anp.moveaxis(x[(slice(None),) * place + (table,)], place + 1, -1)
    return x


@defined(linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, **options: Any) -> Any:
    """The pseudo-inverse by singular values."""
    if hermitian or options:
        return NotImplemented
    u, s, vt = linalg.svd(a, full_matrices=False)
    cut = (max(a.shape[-2:]) * np.finfo(a.dtype).eps if rcond is None else rcond) * anp.max(s, axis=-1, keepdims=True)
    inverse = where(s > cut, 1.0 / where(s > cut, s, 1.0), 0.0)
    return anp.matmul(anp.swapaxes(vt, -1, -2) * inverse[..., None, :], anp.swapaxes(u, -1, -2))


@defined(linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """A product of a matrix with itself, n times."""
    if n < 1:
        return NotImplemented
    result = a
    for _ in range(n - 1):
        result = anp.matmul(result, a)
    return result


#: Functions of NumPy's that autograd has in another form, or not at all.
PLAIN: dict[Any, Definition] = {
    np.concatenate: _sequence(anp.concatenate), np.stack: _sequence(anp.stack), np.hstack: anp.hstack,
    np.vstack: anp.vstack, np.column_stack: anp.column_stack, np.append: anp.append, np.select: select,
    np.linalg.norm: linalg.norm, np.mean: anp.mean, np.std: anp.std, np.var: anp.var, np.ndim: anp.ndim,
    np.shape: anp.shape, np.size: anp.size, np.lib.stride_tricks.sliding_window_view: sliding_window_view,
}  # fmt: skip

#: Of them, what NumPy does to variables as well: it chooses among boxes as among other objects, and autograd's own form
#: works in that way, with an option of data.
CHOOSING = frozenset({np.select})
