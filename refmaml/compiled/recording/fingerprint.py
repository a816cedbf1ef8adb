"""A digest of a recording: two recordings of one function that differ were not determined by its arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from autograd.extend import VSpace

from refmaml.compiled.program.program import same_everywhere
from refmaml.compiled.recording.boxes import is_recorded
from refmaml.compiled.recording.indices import Part, Space
from refmaml.compiled.recording.tape import Ref, Tape

_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), slice, range, np.dtype, type, Part,
          Space)  # fmt: skip


def fingerprint(tape: Tape, results: Mapping[str, Any]) -> str | None:
    """Return a digest of every call with its constants, and of the results; None where a constant is of no known kind.

    The values of the data are no part of it.
    """
    digest = hashlib.sha256()
    try:
        for entry in tape.entries:
            _tell(digest.update, (id(entry.fun), entry.args, entry.kwargs, entry.backward))
        _tell(digest.update, {name: box._node.ref if is_recorded(box) else box for name, box in results.items()})
    except TypeError:
        return None
    return digest.hexdigest()


def _tell(told: Callable[[Any], Any], thing: Any) -> None:
    """Tell what a thing is; the lengths are told first, so that no two things are told alike."""
    if isinstance(thing, Ref):
        told(b"@%d," % thing.index)
    elif isinstance(thing, np.ndarray | np.generic):
        if thing.dtype == object:
            raise TypeError("an array of objects")
        told(repr((type(thing), thing.dtype.str, thing.shape)).encode())
        number = same_everywhere(np.asarray(thing))
        told(np.ascontiguousarray(thing if number is None else number).reshape(-1).view(np.uint8).data)
    elif isinstance(thing, list | tuple):
        told(b"(%d," % len(thing))
        for part in thing:
            _tell(told, part)
    elif isinstance(thing, Mapping):
        _tell(told, tuple(thing.items()))
    elif isinstance(thing, VSpace):
        _tell(told, (type(thing), vars(thing)))
    elif isinstance(thing, _PLAIN):
        told(repr((type(thing), thing)).encode())
    else:
        raise TypeError(f"a constant of type {type(thing).__name__}")
