"""From a function of arrays to a program: record it on boxes, then lower every recorded primitive."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from refmaml.compiled.errors import UnsupportedPrimitive
from refmaml.compiled.lowering import lower
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64, Builder, DType, Value, stored_dtype
from refmaml.compiled.program.simplify import simplify
from refmaml.compiled.recording.boxes import held, is_recorded, shape_and_dtype
from refmaml.compiled.recording.fingerprint import fingerprint
from refmaml.compiled.recording.record import Arrays, Program, recorded
from refmaml.compiled.recording.tape import Ref, Tape


@dataclass(frozen=True)
class Traced:
    """A program with its inputs and outputs by name, and what the outputs were on the traced data.

    `precision` is the coarsest in which it computes anything.
    """

    inputs: dict[str, Value]
    outputs: dict[str, Value]
    expected: dict[str, Any]
    fingerprint: str | None
    precision: DType


def trace(function: Program, arrays: Arrays) -> Traced:
    """Record `function` and return the program."""
    return _lowered(*_recorded(function, arrays))


def traced_again(function: Program, arrays: Arrays) -> str | None:
    """Record `function` once more, without lowering it, and return the recording's fingerprint."""
    tape, _, results = recorded(function, arrays)
    return fingerprint(tape, results)


def _recorded(function: Program, arrays: Arrays) -> tuple[Tape, Arrays, Arrays]:
    """Record `function`, once more where it has imported what autograd has of SciPy."""
    known = _know_scipy()
    try:
        found = recorded(function, arrays)
    except Exception:
        if known or not _know_scipy():
            raise
    else:
        if known or not _know_scipy():
            return found
    return recorded(function, arrays)


def _know_scipy() -> bool:
    """Import the rules of SciPy's functions where autograd's are imported, and tell so: few costs have them."""
    if "autograd.scipy" not in sys.modules:
        return False
    import_module("refmaml.compiled.lowering.special")
    return True


def _lowered(tape: Tape, boxes: Arrays, results: Arrays) -> Traced:
    builder = Builder()
    names = {box._node.ref.index: name for name, box in boxes.items()}
    inputs = {name: _input(builder, name, box) for name, box in boxes.items()}
    starting = {index: inputs[name] for index, name in names.items()}
    wanted = {name: box._node.ref if is_recorded(box) else box for name, box in results.items()}
    values = lower(builder, tape, starting, [ref.index for ref in wanted.values() if isinstance(ref, Ref)])
    outputs = {name: values[ref.index] if isinstance(ref, Ref) else builder.const(ref) for name, ref in wanted.items()}
    expected = {name: np.array(held(box)) for name, box in results.items()}
    return Traced(inputs, simplify(builder, outputs), expected, fingerprint(tape, results), _coarsest(tape))


def _coarsest(tape: Tape) -> DType:
    kinds = {getattr(held(entry.value), "dtype", FLOAT64) for entry in tape.entries}  # a list is made of other entries
    return FLOAT32 if any(kind.kind == "f" and kind.itemsize < FLOAT64.itemsize for kind in kinds) else FLOAT64


def _input(builder: Builder, name: str, box: Any) -> Value:
    shape, dtype = shape_and_dtype(box)
    if stored_dtype(dtype) not in (FLOAT32, FLOAT64, INT64, BOOL) or dtype == np.uint64:
        raise UnsupportedPrimitive(f"{name}: expected float32, float64, integers or booleans, but got {dtype}.")
    return builder.input(name, shape, stored_dtype(dtype))
