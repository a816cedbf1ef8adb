"""np.r_ and np.c_, which autograd has as objects of its own that read arrays element by element."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import Box

from refmaml.compiled.errors import UnsupportedPrimitive, at, of_library, user_line
from refmaml.compiled.recording.boxes import is_variable
from refmaml.compiled.recording.weak import is_number


def _has_recorded(thing: Any) -> bool:
    return any(map(_has_recorded, thing)) if isinstance(thing, list | tuple) else type(thing) in Box.types


class Pasting:
    """np.r_, or np.c_ for `columns`, to the code of users on one thread."""

    def __init__(self, original: Any, thread: int, columns: bool) -> None:
        self._original, self._thread, self._columns = original, thread, columns

    def __getitem__(self, key: Any) -> Any:
        """Lay arrays side by side where one is recorded."""
        parts = key if isinstance(key, tuple) else (key,)
        file, variable = sys._getframe(1).f_code.co_filename, is_variable(parts)
        if threading.get_ident() != self._thread or of_library(file) or not _has_recorded(parts):
            return self._original[key]
        plain = type(self._original).__module__.startswith("numpy")
        if (variable and plain) or any(isinstance(part, str | slice) for part in parts):
            raise UnsupportedPrimitive(
                f"np.{'c_' if self._columns else 'r_'}: expected arrays and numbers, no slice or text, and variables "
                f"only in that of autograd.numpy{at(user_line(2))}. Write np.concatenate of autograd.numpy, or pass "
                "on_unsupported='reference'."
            )
        arrays = [self._as_array(part, variable) for part in parts]
        dtype = np.result_type(
            *(part if is_number(part) and not variable else x.dtype for part, x in zip(parts, arrays, strict=True))
        )
        least = 2 if self._columns else 1
        arrays = [anp.reshape(x, (-1, 1)[:least]) if x.ndim < least else x for x in arrays]
        return anp.concatenate([x if x.dtype == dtype else x.astype(dtype) for x in arrays], axis=1 - least)

    @staticmethod
    def _as_array(part: Any, variable: bool) -> Any:
        """Return an array; beside a variable autograd makes numbers of Python of all others."""
        array = anp.array(part)
        widest = {"f": np.float64, "i": np.int64, "u": np.int64}.get(array.dtype.kind)
        return array.astype(widest) if variable and widest and not is_variable(part) else array
