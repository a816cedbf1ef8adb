"""From a function of arrays to a program: record it on boxes, then lower every recorded primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from autograd.core import VJPNode
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import new_box, notrace_primitives, toposort, trace_stack

from refmaml.compiled.boxes import RecordBox, Ref, Tape, held, recording, shape_and_dtype
from refmaml.compiled.derivatives import added, compact_derivatives
from refmaml.compiled.errors import UnsupportedPrimitive, trace_begins_in, user_line
from refmaml.compiled.fingerprint import fingerprint
from refmaml.compiled.lowering import lower
from refmaml.compiled.program import BOOL, FLOAT32, FLOAT64, INT64, Builder, DType, Value, stored_dtype
from refmaml.compiled.simplify import simplify

Arrays = Mapping[str, Any]
Program = Callable[[dict[str, Any]], dict[str, Any]]


class LocatedNode(VJPNode):  # type: ignore[misc]  # autograd has no types
    """autograd's node for gradients, with the user's line, so that an error in the backward pass can name it."""

    __slots__ = ("line",)

    def __init__(self, *args: Any) -> None:
        self.line = user_line(2)
        super().__init__(*args)

    def initialize_root(self) -> None:
        """Begin a differentiated variable."""
        self.line = ""
        super().initialize_root()


notrace_primitives[LocatedNode] = notrace_primitives[VJPNode]


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


def recorded(function: Program, arrays: Arrays) -> tuple[Tape, Arrays, Arrays]:
    """Record `function` on `arrays`; both map names to arrays. Return the tape with the inputs and results on it."""
    if not arrays:
        raise ValueError("expected at least one array to trace.")
    with recording() as begin, compact_derivatives():
        boxes = {name: begin(value) for name, value in arrays.items()}
        results = function(boxes)
    return next(iter(boxes.values()))._node.tape, boxes, results


trace_begins_in(recorded.__code__)


def trace(function: Program, arrays: Arrays) -> Traced:
    """Record `function` and return the program."""
    return _lowered(*recorded(function, arrays))


def traced_again(function: Program, arrays: Arrays) -> str | None:
    """Record `function` once more, without lowering it, and return the recording's fingerprint."""
    tape, _, results = recorded(function, arrays)
    return fingerprint(tape, results)


def _lowered(tape: Tape, boxes: Arrays, results: Arrays) -> Traced:
    builder = Builder()
    names = {box._node.ref.index: name for name, box in boxes.items()}
    inputs = {name: _input(builder, name, box) for name, box in boxes.items()}
    starting = {index: inputs[name] for index, name in names.items()}
    wanted = {name: box._node.ref if type(box) is RecordBox else box for name, box in results.items()}
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


def value_and_gradients(function: Callable[[Any], Any], leaves: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return function(leaves) and its gradient by every leaf, in the leaf's dtype, all of it on the tape.

    A leaf that the function does not use gets zeros.
    """
    with trace_stack.new_trace() as level:
        roots = {name: LocatedNode.new_root() for name in leaves}
        value = function({name: new_box(leaf, level, roots[name]) for name, leaf in leaves.items()})
        independent = type(value) is not RecordBox or value._trace != level
    found = {} if independent else _backward(value, _tape_of(leaves))
    gradients = {name: _like(leaf, found.get(roots[name])) for name, leaf in leaves.items()}
    return value if independent else value._value, gradients


def _tape_of(leaves: dict[str, Any]) -> Tape:
    box = next(iter(leaves.values()))
    while type(box._held) is RecordBox:
        box = box._held
    tape: Tape = box._node.tape
    return tape


def _backward(value: Any, tape: Tape) -> dict[Any, Any]:
    """Carry the gradient from `value` back to every root; return them by node."""
    shape, dtype = shape_and_dtype(value)
    gradients = {value._node: (np.ones(shape, dtype), False)}
    at_roots, before = {}, (tape.backward, tape.line)
    tape.backward = True
    for node in toposort(value._node):
        gradient = gradients.pop(node)
        if not node.parents:
            at_roots[node] = gradient[0]
            continue
        tape.line = node.line
        for parent, part in zip(node.parents, node.vjp(gradient[0]), strict=False):
            gradients[parent] = added(gradients.get(parent), part)
    tape.backward, tape.line = before
    return at_roots


def _like(leaf: Any, gradient: Any) -> Any:
    shape, dtype = shape_and_dtype(leaf)
    if gradient is None:
        return np.zeros(shape, dtype)
    found, kind = shape_and_dtype(gradient)
    if found != shape:
        raise UnsupportedPrimitive(
            f"expected a gradient of the variable's shape {list(shape)}, but autograd's is of shape {list(found)}. A "
            "size of 1 in np.einsum, where another operand has the same label longer, does that: use np.sum, or "
            "broadcast the operand first."
        )
    return gradient if kind == dtype else anp._astype(gradient, dtype)


def inner_product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    """Return Σ ⟨leftᵢ, rightᵢ⟩, on the tape."""
    return sum(anp.sum(a * b) for a, b in zip(left, right, strict=True))
