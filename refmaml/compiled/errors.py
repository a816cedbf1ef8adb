"""What the engine refuses, and how it says where in the user's cost function the reason lies."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

import autograd
import numpy
import scipy

from refmaml.supplements import REWRITES

_OWN = sys.modules[__name__.partition(".")[0]]  # the whole package, wherever in it this module is
_LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(library.__file__ or "")) + os.sep for library in (autograd, numpy, scipy, _OWN)
)


class CompilationRefused(RuntimeError):  # noqa: N818 - the two kinds below are named after what was found
    """The engine cannot compile a cost function so that it gives the reference's answer.

    ``on_unsupported="reference"`` turns it into a warning and the reference's answer.
    """


class UnsupportedPrimitive(CompilationRefused):
    """A cost function uses an operation that the engine has no compiled form for."""


class ValueDependence(CompilationRefused):
    """A cost function depends on values in a way that a recording of it does not show."""


class CompilationFallback(UserWarning):
    """A step was computed by the reference, since its cost function could not be compiled."""


#: What to write where a result would have a shape that depends on data.
_WHOLE = (
    "Write np.sum(np.where(mask, x, 0.0)) for np.sum(x[mask]), divide by np.sum(mask) for the mean, and write "
    "(mask[:, None] * x).T @ x for x[mask].T @ x[mask]. Where the rest of x holds NaN, replace that before anything is "
    "computed of it: x = np.where(mask, x, 0.0)"
)
#: What to write in the place of an option, by its name.
_WITHOUT = {
    **REWRITES,
    "b": "Write logsumexp(x, axis, b) for logsumexp(x, axis, b=b)",
    "weights": (
        "Write np.sum(w * x) / np.sum(w) for np.average(x, weights=w), and np.bincount(x, w, k) for "
        "np.bincount(x, weights=w, minlength=k)"
    ),
}


def without(option: str) -> str:
    """Return the words that say what to write in the place of an option."""
    return f"{_WITHOUT.get(option, 'Give it by its position, or leave it out')}, or pass on_unsupported='reference'"


def shape_of_data(what: str, line: str, advice: str = _WHOLE) -> ValueDependence:
    """Return the error for a result whose shape depends on data."""
    return ValueDependence(
        f"{what}: how many elements the result has depends on data{at(line)}, and the shapes of a compiled cost do "
        f"not. {advice}, or pass on_unsupported='reference'."
    )


#: Files of functions that call the user's while they trace: what called them is no part of the trace.
_tracers: set[str] = set()


def trace_begins_in(code: CodeType) -> None:
    """Have `user_line` look no further out than to the module of some code."""
    _tracers.add(code.co_filename)


def of_library(filename: str) -> bool:
    """Tell whether code in a file is that of autograd, NumPy, SciPy or this package."""
    return filename.startswith(_LIBRARIES) or filename.startswith(("<frozen", "<__array_function__"))


def user_line(depth: int = 1) -> str:
    """Return ``file:line`` of the innermost frame inside the trace that is no library's, or an empty string."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        name = frame.f_code.co_filename
        if name in _tracers:
            return ""
        if not of_library(name):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def at(line: str) -> str:
    """Return the words that point at a line, where it is known."""
    return f" (at {line})" if line else ""
