"""Lowering: one rule for each primitive of autograd, from a recorded call to values of a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refmaml.compiled.errors import CompilationRefused, UnsupportedPrimitive, at
from refmaml.compiled.lowering import contraction, elementwise, indexing, linear_algebra, reductions, shaping
from refmaml.compiled.lowering.rules import RULES, Call
from refmaml.compiled.program.program import Builder, FloatsOnlyError, Value
from refmaml.compiled.recording.boxes import held
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
        return rule(Call(builder, entry, weak), *args, **entry.kwargs)
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
