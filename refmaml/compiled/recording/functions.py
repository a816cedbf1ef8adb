"""More functions of NumPy's, recorded as others. autograd has derivatives of few of them: the rest are for data.

What NumPy decides by the numbers (whether bins rise or fall, how many counts there are) has to be a constant here:
where it is not, there is no definition, and the function is refused.
"""

# ruff: noqa: ARG001 - a definition has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

from typing import Any

import autograd.numpy
import numpy as np
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import isbox

from refmaml.compiled.errors import shape_of_data, user_line
from refmaml.compiled.recording.boxes import held
from refmaml.compiled.recording.definitions import PLAIN, Definition, defined, read, take_along_axis
from refmaml.compiled.recording.indices import Part, Space, placed

where = autograd.numpy.where


# ----- Arithmetic -----


def _powers(base: Any) -> Any:
    """Return the powers of an integer that int64 tells apart, and those that wrap as NumPy's do."""
    with np.errstate(over="ignore"):
        return np.power(np.int64(base), np.arange(64))


@defined(anp.power)
def power(x: Any, y: Any, **options: Any) -> Any:
    """A constant integer to powers that are data; an exponent outside of 0 … 63 leaves the step to the reference."""
    kind = np.asarray(held(y)).dtype
    if options or isbox(x) or not isbox(y) or np.ndim(x) or np.result_type(x, held(y)) != np.int64 or kind.kind == "b":
        return NotImplemented
    return read(_powers(x), (where(y < 0, 64, y),))


@defined(anp.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """The product of all elements up to each."""
    if dtype is not None:
        return NotImplemented
    rows = anp.moveaxis(a, axis, -1) if axis is not None else anp.ravel(a)
    earlier = np.tri(rows.shape[-1], dtype=bool)
    found = anp.prod(where(earlier, rows[..., None, :], 1), axis=-1)
    return found if axis is None else anp.moveaxis(found, -1, axis)


@defined(anp.linspace)
def linspace(start: Any, stop: Any, num: int = 50, **options: Any) -> Any:
    """Numbers at equal distances."""
    if options or np.ndim(held(start)) or np.ndim(held(stop)) or num < 2:
        return NotImplemented
    numbers = np.arange(float(num))
    return where(numbers == num - 1, stop, start + numbers * ((stop - start) / (num - 1.0)))


@defined(anp.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product in three dimensions."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    a, b = anp.moveaxis(anp.array(a), axisa, -1), anp.moveaxis(anp.array(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        return NotImplemented
    later, latest = np.array([1, 2, 0]), np.array([2, 0, 1])
    product = a[..., later] * b[..., latest] - a[..., latest] * b[..., later]
    return anp.moveaxis(product, -1, axisc)


@defined(anp.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """yₖ = Σᵢ aₖ₋ᵢ vᵢ: windows of the longer operand times the shorter one in reverse."""
    a, v = anp.ravel(anp.array(a)), anp.ravel(anp.array(v))
    count, size = len(a), len(v)
    if size > count:
        return convolve(v, a, mode)
    before, length = {
        "full": (size - 1, count + size - 1), "same": (size // 2, count), "valid": (0, count - size + 1)
    }[mode]  # fmt: skip
    around = np.zeros(before, a.dtype)
    table = np.arange(length)[:, None] + np.arange(size)
    return anp.dot(anp.concatenate([around, a, around])[table], v[::-1])


@defined(anp.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """yₖ = Σᵢ aₖ₊ᵢ vᵢ."""
    return convolve(a, v[::-1], mode) if len(a) >= len(v) else NotImplemented


@defined(anp.gradient)
def gradient(f: Any, *spacing: Any, axis: int | None = None, edge_order: int = 1) -> Any:
    """Differences of the neighbours on both sides, along one axis."""
    if (axis is None and np.ndim(held(f)) != 1) or isinstance(axis, tuple | list) or edge_order != 1:
        return NotImplemented
    if len(spacing) > 1 or any(isbox(step) or np.ndim(step) for step in spacing):
        return NotImplemented
    f, step = anp.moveaxis(f, axis or 0, 0) * 1.0, float(*spacing or (1.0,))
    first, inside, last = (f[1:2] - f[:1]) / step, (f[2:] - f[:-2]) / (2.0 * step), (f[-1:] - f[-2:-1]) / step
    return anp.moveaxis(anp.concatenate([first, inside, last]), 0, axis or 0)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral by the rule of trapezoids."""
    if np.ndim(held(dx)) or (x is not None and np.ndim(held(x)) not in (1, np.ndim(held(y)))):
        return NotImplemented
    y = anp.moveaxis(anp.array(y), axis, -1)
    if x is not None:
        x = anp.array(x)
        dx = anp.diff(x if x.ndim == 1 else anp.moveaxis(x, axis, -1))
    return anp.sum(dx * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)


for _name in ("trapezoid", "trapz"):
    if hasattr(anp, _name):
        defined(getattr(anp, _name))(trapezoid)


# ----- Search and order -----


@defined(anp.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin of each element, where the bins are constants."""
    if isbox(bins):
        return NotImplemented
    bins, side = np.asarray(bins), "left" if right else "right"
    if np.all(np.diff(bins) >= 0):
        return anp.searchsorted(bins, x, side)
    return len(bins) - anp.searchsorted(bins[::-1], x, side)


@defined(anp.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    """Whether each element is one of others."""
    others = anp.ravel(anp.array(test_elements))
    found = anp.any(anp.array(element)[..., None] == others, axis=-1)
    return anp.logical_not(found) if invert else found


@defined(anp.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """A piecewise linear function, whose places are constants that rise."""
    if isbox(xp) or period is not None or len(xp) < 2 or not np.all(np.diff(xp) > 0):
        return NotImplemented
    x, xp, fp = anp._astype(anp.array(x), np.float64), np.asarray(xp, float), anp._astype(anp.array(fp), np.float64)
    piece = (anp.minimum(anp.maximum(anp.searchsorted(xp, x, "right") - 1, 0), len(xp) - 2),)
    slope = read((fp[1:] - fp[:-1]) / np.diff(xp), piece)
    start, end, low, high = read(xp, piece), read(xp[1:], piece), read(fp, piece), read(fp[1:], piece)
    forth, back = slope * (x - start) + low, slope * (x - end) + high
    inside = where(anp.isnan(forth), where(anp.isnan(back) * (low == high), low, back), forth)  # of infinities
    inside = where(anp.isnan(x), x, where(x == start, low, where(x == end, high, inside)))
    below, above = (fp[0] if left is None else left), (fp[-1] if right is None else right)
    return where(x < xp[0], below, where(x > xp[-1], above, inside))


def _ordered(a: Any, axis: int | None) -> Any:
    """Return rows in their order, along the last axis."""
    return anp.sort(anp.ravel(a)) if axis is None else anp.sort(anp.moveaxis(a, axis, -1))


@defined(anp.quantile)
def quantile(a: Any, q: Any, axis: int | None = None, **options: Any) -> Any:
    """Numbers between those in order, by linear interpolation, at shares that are constants."""
    if options or isbox(q) or np.ndim(q) > 1 or isinstance(axis, tuple):
        return NotImplemented
    rows, q = _ordered(a, axis) * 1.0, np.asarray(q)
    place = q * (rows.shape[-1] - 1)
    low = np.floor(place).astype(int)
    high, share = np.minimum(low + 1, rows.shape[-1] - 1), place - low
    below, gap = rows[..., low], rows[..., high] - rows[..., low]
    found = where(share < 0.5, below + gap * share, rows[..., high] - gap * (1 - share))
    found = where(anp.isnan(rows[..., -1:] if q.ndim else rows[..., -1]), np.nan, found)  # NaN stands last
    return anp.moveaxis(found, -1, 0) if q.ndim else found


@defined(anp.percentile)
def percentile(a: Any, q: Any, axis: int | None = None, **options: Any) -> Any:
    """Quantiles at hundredths."""
    return NotImplemented if isbox(q) else quantile(a, np.asarray(q) / 100.0, axis, **options)


def _extreme_number(extreme: Any, least: float) -> Definition:
    def found(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        if options:
            return NotImplemented
        if a.dtype.kind != "f":
            return extreme(a, axis=axis, keepdims=keepdims is True)
        there = anp.logical_not(anp.isnan(a))
        some = anp.any(there, axis=axis, keepdims=keepdims is True)
        return where(some, extreme(where(there, a, least), axis=axis, keepdims=keepdims is True), np.nan)

    return found


defined(anp.nanmax)(_extreme_number(anp.max, -np.inf))
defined(anp.nanmin)(_extreme_number(anp.min, np.inf))


@defined(anp.nanmedian)
def nanmedian(a: Any, axis: int | None = None, **options: Any) -> Any:
    """The middle number of those that are numbers."""
    if options or isinstance(axis, tuple):
        return NotImplemented
    rows = _ordered(a, axis)
    count = anp.sum(anp.logical_not(anp.isnan(rows)), axis=-1, keepdims=True)
    low, high = (anp.maximum(place, 0) for place in ((count - 1) // 2, count // 2))
    high = anp.minimum(high, rows.shape[-1] - 1)
    return ((take_along_axis(rows, low) + take_along_axis(rows, high)) / 2.0)[..., 0]


@defined(anp.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, **options: Any) -> Any:
    """Covariances divided by the deviations."""
    if y is not None or options or np.ndim(held(x)) != 2:
        return NotImplemented
    covariance = anp.cov(x, rowvar=rowvar)
    size = anp.sqrt(anp.diag(covariance))
    return anp.clip(covariance / size[:, None] / size[None, :], -1, 1)


@defined(anp.bincount)
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number is there; one that is too large for `minlength` leaves a step to the reference."""
    largest = np.max(held(x), initial=-1)
    if largest >= minlength:
        raise shape_of_data(
            "bincount", user_line(), "Write np.bincount(x, minlength=k) with a k that is larger than every element"
        )
    kind = np.dtype(np.int64 if weights is None else np.float64)
    each = np.ones(np.shape(held(x)), kind) if weights is None else anp._astype(anp.array(weights), kind)
    index = where(x < 0, minlength, x)  # NumPy has an error for these
    return placed(each, (Part(0),), Space((minlength,), kind), index)


# ----- Arrays side by side -----


def dstack(tup: Any) -> Any:
    """Lay arrays side by side along the third axis."""
    return anp.concatenate([anp.atleast_3d(anp.array(array)) for array in tup], axis=2)


def block(arrays: Any) -> Any:
    """Lay nested lists of arrays side by side, the innermost along the last axis."""

    def depth(item: Any) -> int:
        return 1 + max(map(depth, item)) if isinstance(item, list) else 0

    def dimensions(item: Any) -> int:
        return max(map(dimensions, item)) if isinstance(item, list) else np.ndim(held(item))

    count = max(depth(arrays), dimensions(arrays))

    def joined(item: Any) -> Any:
        if isinstance(item, list):
            return anp.concatenate(list(map(joined, item)), axis=-depth(item))
        array = anp.array(item)
        return anp.reshape(array, (1,) * (count - array.ndim) + array.shape)

    return joined(arrays)


PLAIN.update({np.dstack: dstack, np.block: block})
