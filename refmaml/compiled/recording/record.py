"""A function of arrays recorded onto a tape, with its gradients by autograd's own reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from autograd.core import VJPNode
from autograd.numpy import numpy_wrapper as anp
from autograd.tracer import box_type_mappings, new_box, notrace_primitives, toposort, trace_stack

from refmaml.compiled.errors import UnsupportedPrimitive, trace_begins_in, user_line
from refmaml.compiled.recording import functions, locks, operators  # noqa: F401 - two of them extend tables
from refmaml.compiled.recording.arrays import making_arrays
from refmaml.compiled.recording.boxes import RecordBox, RecordNode, shape_and_dtype
from refmaml.compiled.recording.derivatives import added, compact_derivatives
from refmaml.compiled.recording.tape import SPOILED, Tape

Arrays = Mapping[str, Any]
Program = Callable[[dict[str, Any]], dict[str, Any]]
_SCALARS = (
    np.ndarray, float, np.float64, np.float32, np.float16, np.longdouble, np.bool_, bool, int,
    np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
)  # fmt: skip


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


@contextmanager
def recording() -> Iterator[Callable[[Any], Any]]:
    """Yield a function that turns an array into an input of a fresh tape.

    While it runs, every array that autograd boxes gets a `RecordBox`, truth values and integers too, which autograd
    itself cannot box; afterwards its table is as before. One thread records at a time.
    """
    with locks.recording:
        before = {kind: box_type_mappings.get(kind) for kind in _SCALARS}
        box_type_mappings.update(dict.fromkeys(_SCALARS, RecordBox))
        depth = trace_stack.top
        try:
            with trace_stack.new_trace() as trace:
                tape = Tape(trace)
                SPOILED.clear()
                yield lambda value: new_box(value, trace, RecordNode.new_root(tape, value))
        finally:
            trace_stack.top = depth  # autograd forgets to when the traced function raises
            for kind, box in before.items():
                box_type_mappings.pop(kind)
                if box is not None:
                    box_type_mappings[kind] = box


def recorded(function: Program, arrays: Arrays) -> tuple[Tape, Arrays, Arrays]:
    """Record `function` on `arrays`; both map names to arrays. Return the tape with the inputs and results on it."""
    if not arrays:
        raise ValueError("expected at least one array to trace.")
    with recording() as begin, compact_derivatives(), making_arrays():
        boxes = {name: begin(value) for name, value in arrays.items()}
        results = function(boxes)
    return next(iter(boxes.values()))._node.tape, boxes, results


trace_begins_in(recorded.__code__)


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
