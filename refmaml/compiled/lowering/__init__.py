"""Lowering: one rule for each primitive of autograd, from a recorded call to values of a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from autograd.numpy import numpy_wrapper as anp

from refmaml.compiled.errors import CompilationRefused, UnsupportedPrimitive, at
from refmaml.compiled.lowering import contraction, elementwise, indexing, linear_algebra, reductions, shaping
from refmaml.compiled.lowering.rules import RULES, Call
from refmaml.compiled.program.program import INT64, Builder, FloatsOnlyError, Value, where_read
from refmaml.compiled.recording.boxes import held, shape_and_dtype
from refmaml.compiled.recording.tape import Entry, Ref, Tape, name_of, no_rule
from refmaml.compiled.recording.weak import is_number

__all__ = [
    "contraction",
    "elementwise",
    "indexing",
    "linear_algebra",
    "lower",
    "reductions",
    "shaping",
]


def lower(builder: Builder, tape: Tape, starting: dict[int, Value], wanted: Iterable[int]) -> dict[int, Any]:
    """Return the values of the entries `wanted`, lowering no entry that they do not need."""
    values: dict[int, Any] = dict(starting)
    for index in _needed(tape, wanted):
        if index not in values:
            values[index] = _lower_one(builder, tape, tape.entries[index], values)
    return values


def _needed(tape: Tape, wanted: Iterable[int]) -> list[int]:
    needed: set[int] = set()
    waiting = list(wanted)
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting.extend(ref.index for ref in tape.entries[index].args if isinstance(ref, Ref))
    return sorted(needed)


def _lower_one(builder: Builder, tape: Tape, entry: Entry, values: dict[int, Any]) -> Any:
    rule = RULES.get(entry.fun)
    if rule is None:
        raise no_rule(entry.fun, entry.line)
    builder.backward = entry.backward
    args = [values[arg.index] if isinstance(arg, Ref) else arg for arg in entry.args]
    weak = [isinstance(arg, Ref) and is_number(held(tape.entries[arg.index].value)) for arg in entry.args]
    try:
        return _narrowed(builder, entry, rule(Call(builder, entry, weak), *args, **entry.kwargs))
    except CompilationRefused:
        raise
    except FloatsOnlyError as error:
        raise UnsupportedPrimitive(
            f"{name_of(entry.fun)}: expected floating-point numbers, but {error}{at(entry.line)}. Convert them with "
            "x.astype(float), or pass on_unsupported='reference'."
        ) from error
    except Exception as error:
        raise UnsupportedPrimitive(
            f"{name_of(entry.fun)}: expected arguments that the engine can compile{at(entry.line)}, but {error!r}."
        ) from error


#: What gives no integers but those that it is given: operations, and elementwise functions.
_MOVING = {"input", "const", "view", "gather", "assemble", "bounded"}
_CHOOSING = {"where", "copy", "maximum", "minimum", "sign"}


def _narrowed(builder: Builder, entry: Entry, found: Any) -> Any:
    """Return a result in the range of its integers, which are all kept as 64 bits: shorter ones wrap earlier."""
    if not isinstance(found, Value) or found.dtype != INT64:
        return found
    kind = shape_and_dtype(entry.value)[1]
    root, _, _ = where_read(found)
    is_computed = root.op not in _MOVING and not (root.op == "map" and root.params[0] in _CHOOSING)
    if kind.kind not in "iu" or kind.itemsize == INT64.itemsize or not (is_computed or entry.fun is anp._astype):
        return found
    least, count = builder.const(np.iinfo(kind).min, INT64), builder.const(2 ** (8 * kind.itemsize), INT64)
    above = builder.map("floor_mod", builder.map("subtract", found, least, dtype=INT64), count, dtype=INT64)
    return builder.map("add", above, least, dtype=INT64)
