"""A digest of a recording: two recordings of one function that differ were not determined by its arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from autograd.extend import VSpace

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
            digest.update(_text((id(entry.fun), entry.args, entry.kwargs, entry.backward)))
        digest.update(_text({name: box._node.ref if is_recorded(box) else box for name, box in results.items()}))
    except TypeError:
        return None
    return digest.hexdigest()


def _text(thing: Any) -> bytes:
    if isinstance(thing, Ref):
        return b"@%d" % thing.index
    if isinstance(thing, np.ndarray | np.generic):
        if thing.dtype == object:
            raise TypeError("an array of objects")
        return repr((type(thing), thing.dtype.str, thing.shape)).encode() + thing.tobytes()
    if isinstance(thing, list | tuple):
        return b"(" + b",".join(map(_text, thing)) + b")"
    if isinstance(thing, Mapping):
        return b"{" + b",".join(_text(pair) for pair in thing.items()) + b"}"
    if isinstance(thing, VSpace):
        return _text((type(thing), vars(thing)))
    if isinstance(thing, _PLAIN):
        return repr((type(thing), thing)).encode()
    raise TypeError(f"a constant of type {type(thing).__name__}")
