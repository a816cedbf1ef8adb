"""What the answers of a program hold.

docs/protocol.md describes them, and `schema` has their JSON Schemas. An answer is checked here by hand, so that what is
wrong with it is said in a sentence, and so that reading needs no package for schemas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.processes.lines import MalformedError
from verification.processes.texts import printable, shown
from verification.protocol.capabilities import LIMITS, VALUES, Capabilities
from verification.vectors.layout import Json

#: The version of the protocol: answers to `start` must have the same.
PROTOCOL = 1
_NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_MOST_AXES = 32
_LONGEST_AXIS = 2**20
_MOST_ARRAYS = 1000  # problems have six variables at most


def read_start(kind: str, result: Any) -> str:
    """Return a program's language from its answer to `start`."""
    if kind != "result":
        raise MalformedError(f"expected a result, but got {kind}: {shown(result)}")
    version = result.get("protocol")
    if version != PROTOCOL or isinstance(version, bool):
        raise MalformedError(f"protocol: expected {PROTOCOL}, but got {shown(version)}")
    for key in ("name", "language"):
        if not isinstance(result.get(key), str) or not result[key]:
            raise MalformedError(f"{key}: expected a name in a string, but got {shown(result.get(key))}")
    return printable(result["language"])


def read_capabilities(result: Json) -> Capabilities:
    """Return what a program declares."""
    declared = {key: _names(key, result.get(key), known) for key, known in VALUES.items()}
    return Capabilities(**declared, without=_names("without", result.get("without", []), LIMITS))


def _names(key: str, declared: Any, known: Iterable[str]) -> frozenset[str]:
    if not isinstance(declared, list) or not all(isinstance(entry, str) for entry in declared):
        raise MalformedError(f"{key}: expected a list of names, but got {shown(declared)}")
    unknown = set(declared) - set(known)
    if unknown:
        raise MalformedError(f"{key}: expected some of {', '.join(known)}, but got {shown(min(unknown))}")
    if not declared and key in ("families", "steps", "dtypes"):
        raise MalformedError(f"{key}: expected at least one of {', '.join(known)}, but got none")
    return frozenset(declared)


def read_answer(result: Json) -> tuple[Any, dict[str, Any], dict[str, Any] | None]:
    """Return cost, gradients (None: no gradient) and adapted variables (None: not told), as NumPy arrays."""
    for key in ("cost", "gradients"):
        if key not in result:
            raise MalformedError(f"result: expected the key {key}, but it has {shown(sorted(result))}")
    adapted = result.get("adapted")
    cost = read_number(result["cost"], "cost")
    return cost, _arrays(result["gradients"], "gradients"), None if adapted is None else _arrays(adapted, "adapted")


def _arrays(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"{what}: expected an object of arrays by variable, but got {shown(value)}")
    if len(value) > _MOST_ARRAYS:
        raise MalformedError(f"{what}: expected an array for each variable, but got {len(value)} of them")
    return {
        name: None if leaf is None else read_array(leaf, f"{what}, {printable(name)}") for name, leaf in value.items()
    }


def read_array(value: Any, where: str) -> NDArray[np.float64]:
    """Return the array that {"shape", "values"} holds."""
    if not isinstance(value, dict) or not isinstance(value.get("values"), list):
        raise MalformedError(f'{where}: expected {{"shape": [...], "values": [...]}}, but got {shown(value)}')
    shape, values = value.get("shape"), value["values"]
    if not isinstance(shape, list) or len(shape) > _MOST_AXES or not all(map(_is_length, shape)):
        raise MalformedError(f"{where}: expected a shape such as [2, 3], but got {shown(shape)}")
    if math.prod(shape) != len(values):
        raise MalformedError(f"{where}: its shape {shown(shape)} and its {len(values)} values contradict each other")
    return np.array([read_number(entry, where) for entry in values], np.float64).reshape(shape)


def _is_length(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LONGEST_AXIS


def read_number(value: Any, where: str) -> float:
    """Return the number that a C99 hex float in a string is, or "nan", "inf" or "-inf"."""
    if isinstance(value, str) and value in _NO_NUMBERS:
        return _NO_NUMBERS[value]
    if not isinstance(value, str) or "0x" not in value.lower():
        raise MalformedError(f'{where}: expected a hex float in a string, such as "0x1.8p+1", but got {shown(value)}')
    try:
        return float.fromhex(value)
    except ValueError:
        raise MalformedError(f"{where}: {shown(value)} is no hex float") from None
    except OverflowError:
        raise MalformedError(f"{where}: {shown(value)} is beyond the largest binary64 number") from None
