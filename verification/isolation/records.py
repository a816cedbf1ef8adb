"""Data classes as they cross between two processes: checked against the types of their fields, field by field.

A float crosses as a hex float, so that it comes to its last bit, and NaN and infinities come at all. What comes is
checked as if a stranger had written it: only what the types allow is made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from verification.isolation.carrying import pack_array, real, unpack_array
from verification.processes import MalformedError
from verification.processes.texts import shown

T = TypeVar("T")


def pack_record(value: Any) -> Any:
    """Return a data class, with all that it holds, as JSON."""
    if isinstance(value, np.ndarray):
        return pack_array(value)
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, list | tuple):
        return [pack_record(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): pack_record(entry) for key, entry in value.items()}
    if is_dataclass(value):
        kind: Any = type(value)
        return {name: pack_record(getattr(value, name)) for name in _types(kind)}
    return value


def unpack_record(kind: type[T], value: Any) -> T:
    """Return the data class of a kind that `pack_record` made.

    Raises:
        MalformedError: it is none.
    """
    found: T = _unpacked(kind, value)
    return found


def _unpacked(kind: Any, value: Any) -> Any:
    origin = get_origin(kind) or kind
    if origin in _KINDS:
        return _KINDS[origin](get_args(kind), value)
    if not is_dataclass(kind):
        if type(value) is not kind:  # True is no whole number
            raise _unexpected(getattr(kind, "__name__", str(kind)), value)
        return value
    made: Any = kind
    types = _types(made)
    if not isinstance(value, dict) or value.keys() != types.keys():
        raise _unexpected(f"an object with {', '.join(types)}", value)
    return made(**{name: _unpacked(types[name], value[name]) for name in types})


@cache
def _types(kind: Any) -> dict[str, Any]:
    """Return the types of the fields that a data class is made of."""
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in fields(kind) if field.init}


def _list(kinds: tuple[Any, ...], value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _unexpected("a list", value)
    return [_unpacked(kinds[0], entry) for entry in value]


def _dict(kinds: tuple[Any, ...], value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected("an object", value)
    return {key: _unpacked(kinds[1], entry) for key, entry in value.items()}


def _literal(known: tuple[Any, ...], value: Any) -> Any:
    if not any(type(value) is type(one) and value == one for one in known):
        raise _unexpected(f"one of {', '.join(map(repr, known))}", value)
    return value


def _union(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return what one kind or nothing makes of a value: no field has another union."""
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return None if value is None else _unpacked(kind, value)


def _array(_: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, dict):
        raise _unexpected("an array", value)
    return unpack_array(value)


_KINDS: dict[Any, Callable[[tuple[Any, ...], Any], Any]] = {
    list: _list,
    tuple: lambda kinds, value: tuple(_list(kinds, value)),  # all of one kind, as many as there are
    dict: _dict,
    Literal: _literal,
    Union: _union,
    UnionType: _union,
    np.ndarray: _array,
    NDArray: _array,  # where an alias of types has a name of its own
    float: lambda _, value: float(value) if type(value) is int else real(value),
}


def _unexpected(expected: str, value: Any) -> MalformedError:
    return MalformedError(f"expected {expected}, but got {shown(value)}")
