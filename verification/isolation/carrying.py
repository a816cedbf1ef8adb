"""What crosses between the judge and a subject's process: results with their nesting, findings, numbers.

An array is its bytes in base64 with its dtype, one of `DTYPES`, and its shape. Containers keep their nesting; whatever
is neither goes as the words that say what it is. What comes is checked as if the subject had written it, since it may.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from autograd.builtins import DictBox, SequenceBox
from numpy.typing import NDArray

from verification.processes import MalformedError
from verification.processes.texts import shown
from verification.subjects import Finding
from verification.subjects.exceptions import shortened
from verification.subjects.reply import Given, number_of

Json: TypeAlias = dict[str, Any]

#: Real numbers in all sizes, in the machine's own order of bytes: both sides are on one machine.
DTYPES = {
    np.dtype(name).str: np.dtype(name)
    for name in (*(f"{kind}int{8 * size}" for kind in ("", "u") for size in (1, 2, 4, 8)), "float16", "float32",
                 "float64", "longdouble")
}  # fmt: skip
#: Bytes of all arrays, containers in containers, and leaves: the largest honest answer has a few thousand bytes.
_LARGEST, _DEEPEST, _MOST, _LONGEST_KEY = 2**18, 32, 1024, 200


def packed(result: Any, to_numpy: Callable[[Any], NDArray[Any]]) -> Json:
    """Return a result of a subject, whatever it is, as JSON."""
    left, bytes_left = [_MOST], [_LARGEST]

    def pack(value: Any, depth: int) -> Json:  # a container may hold itself
        left[0] -= 1
        if depth > _DEEPEST or left[0] < 0:
            return {
                "type": shortened(type(value).__name__, _LONGEST_KEY),
                "words": "a container with more in it than can be sent",
            }
        if isinstance(value, Mapping | DictBox):
            some = list(islice(value.items(), left[0] + 2))
            values = [pack(leaf, depth + 1) for _, leaf in some]
            return {"keys": [shortened(str(key), _LONGEST_KEY) for key, _ in some], "values": values}
        if isinstance(value, list | tuple | SequenceBox):
            return {"values": [pack(value[place], depth + 1) for place in range(min(len(value), left[0] + 2))]}
        return {} if value is None else _pack_leaf(value, to_numpy, bytes_left)

    return pack(result, 0)


def _pack_leaf(value: Any, to_numpy: Callable[[Any], NDArray[Any]], bytes_left: list[int]) -> Json:
    number, name = number_of(to_numpy, value), shortened(type(value).__name__, _LONGEST_KEY)
    if isinstance(number, str):
        return {"type": name, "words": shortened(number, _LONGEST_KEY)}
    bytes_left[0] -= number.nbytes
    if bytes_left[0] < 0:
        return {"type": name, "words": f"{name} of the shape {number.shape}"}
    return {"type": name, **pack_array(number)}


def unpacked(value: Any) -> Any:
    """Return what `packed` made: dicts and lists of `Given` leaves, and None.

    Raises:
        MalformedError: it is nothing of the kind.
    """
    if not isinstance(value, dict):
        raise MalformedError(f"expected an object, but got {shown(value)}")
    if "values" in value:
        values = value["values"]
        if not isinstance(values, list):
            raise MalformedError(f"values: expected a list, but got {shown(values)}")
        branches = [unpacked(entry) for entry in values]
        if "keys" not in value:
            return branches
        keys = value["keys"]
        if not isinstance(keys, list) or len(keys) != len(branches) or not all(isinstance(key, str) for key in keys):
            raise MalformedError(f"keys: expected a list of {len(branches)} names, but got {shown(keys)}")
        return dict(zip(keys, branches, strict=True))
    if not value:
        return None
    number = text(value, "words") if "words" in value else unpack_array(value)
    return Given(text(value, "type"), number)


def pack_array(array: NDArray[Any]) -> Json:
    """Return an array of real numbers as JSON."""
    own = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    return {"dtype": own.dtype.str, "shape": list(own.shape), "data": b64encode(own.tobytes()).decode()}


def unpack_array(value: Json) -> NDArray[Any]:
    """Return the array that `pack_array` made.

    Raises:
        MalformedError: it is none.
    """
    dtype, shape, data = (value.get(key) for key in ("dtype", "shape", "data"))
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise MalformedError(f"dtype: expected one of {', '.join(DTYPES)}, but got {shown(dtype)}")
    if not isinstance(shape, list) or len(shape) > _DEEPEST or not all(type(n) is int and n >= 0 for n in shape):
        raise MalformedError(f"shape: expected a list of lengths, but got {shown(shape)}")
    try:
        buffer = b64decode(data if isinstance(data, str) else "?", validate=True)
    except ValueError:
        raise MalformedError(f"data: expected bytes in base64, but got {shown(data)}") from None
    if len(buffer) != math.prod(shape) * DTYPES[dtype].itemsize:
        raise MalformedError(f"data: {len(buffer)} bytes are no array of {dtype} of the shape {shown(shape)}")
    if not buffer:
        shape = [min(length, 1) for length in shape] if math.prod(max(length, 1) for length in shape) > 2**62 else shape
    return np.frombuffer(buffer, DTYPES[dtype]).reshape(shape).copy()


def pack_finding(finding: Finding) -> Json:
    """Return a finding about an exception or about the arguments as JSON."""
    arrays = {name: array for name in ("expected", "got") if (array := getattr(finding, name)) is not None}
    return {
        "what": finding.what,
        "message": shortened(finding.message),
        "leaf": finding.leaf,
        **{name: pack_array(np.asarray(array)) for name, array in arrays.items()},
    }


def unpack_finding(value: Any, known: tuple[str, ...]) -> Finding:
    """Return the finding that `pack_finding` made, about one of the things known.

    Raises:
        MalformedError: it is none.
    """
    if not isinstance(value, dict) or value.get("what") not in known:
        raise MalformedError(f"expected a finding about {' or '.join(known)}, but got {shown(value)}")
    leaf = None if value.get("leaf") is None else text(value, "leaf")
    expected, got = (None if value.get(name) is None else unpack_array(value[name]) for name in ("expected", "got"))
    if expected is not None and (got is None or got.shape != expected.shape):
        raise MalformedError("expected a finding with two arrays of one shape")
    return Finding(value["what"], text(value, "message"), leaf, expected, got)


def text(value: Json, key: str) -> str:
    """Return a text of an object.

    Raises:
        MalformedError: there is none.
    """
    found = value.get(key)
    if not isinstance(found, str):
        raise MalformedError(f"{key}: expected a text, but got {shown(found)}")
    return found


def texts(value: Json, key: str) -> list[str]:
    """Return a list of texts of an object.

    Raises:
        MalformedError: there is none.
    """
    found = value.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        raise MalformedError(f"{key}: expected a list of texts, but got {shown(found)}")
    return found


def real(value: Any) -> float:
    """Return the number that a hex float in a text is.

    Raises:
        MalformedError: it is none.
    """
    try:
        return float.fromhex(value)
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(f"expected a hex float in a text, but got {shown(value)}") from None
