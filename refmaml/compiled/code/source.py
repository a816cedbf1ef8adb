"""The source of one compiled step: the bodies that its driver calls, in Numba source that a person can read.

Each is a function of `memory`, which has the arrays by name, and of numbers of the driver's: a chunk, a task, an inner
step. The programs that were traced are the bodies `inner`, `outer` and `adjoint`; the others move θ, φ, λ, the data and
the sums to where the programs find them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from textwrap import indent

from refmaml.compiled.code.bodies import COST, Leaf, Role, Step, bodies
from refmaml.compiled.code.driver import ADAPTED, CHUNKS, HISTORY, OWN, TASKS, Driver, first_order, second_order
from refmaml.compiled.code.places import FAILED, Header
from refmaml.compiled.errors import UnsupportedPrimitive
from refmaml.compiled.program.kernels import MatMul, RowSum, Turn
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64, DType
from refmaml.compiled.program.scalars import VECTORS
from refmaml.compiled.program.schedule import memory_name

#: The arrays of every step; the variables and the data follow.
PARAMETERS: dict[str, DType] = {
    "counter": INT64, "n": INT64, "w4": FLOAT32, "w8": FLOAT64, "wi": INT64, "wb": BOOL, "rates4": FLOAT32,
    "rates8": FLOAT64, "out4": FLOAT32, "out8": FLOAT64, "costs": FLOAT64, "adapted4": FLOAT32, "adapted8": FLOAT64,
}  # fmt: skip


@dataclass(frozen=True)
class Emitted:
    """A step as source: its bodies, what they call, the arrays that they read, and the driver around them."""

    source: str
    header: Header
    parameters: dict[str, DType]
    driver: Driver
    lanes: int = 1


#: Numbers of a workspace up to which several tasks are computed at once: with 64 bytes for each it fits into a cache.
_SMALL = 640


def fits_lanes(step: Step, written: Emitted) -> bool:
    """Tell whether a step may be computed for several tasks at once: it is small, and every operation has vector code.

    A vector of a register's size has to hold the numbers of all lanes, so that they are of one dtype.
    """
    data = (array.dtype for role in (step.inner, step.outer) for array in role.data)
    plain = all(isinstance(kernel, MatMul | Turn | RowSum) for kernel in written.header.kernels.values())
    if step.kind != "first" or len(step.precisions) != 1 or not plain or written.header.functions - VECTORS:
        return False
    (dtype,) = step.precisions
    other = memory_name(FLOAT64 if dtype == FLOAT32 else FLOAT32)
    fits = all(array == dtype for array in data) and step.workspace.sizes[dtype] <= _SMALL
    return fits and not re.search(rf"\bwi\[|\b{other}\[", written.source)


def emitted(step: Step) -> Emitted:
    """Return the source of a step and fill in its header and workspace."""
    _reserve(step)
    programs = bodies(step)
    data = {array.name: array.dtype for role in (step.inner, step.outer) for array in role.data}
    parameters = {**PARAMETERS, **{leaf.name: leaf.dtype for leaf in step.leaves}, **data}
    functions = {
        "number(memory, index)": ["return n[index]"],
        "claim(memory)": [f"return next_below(counter, n[{CHUNKS}])"],
        "begin(memory, chunk)": _begin(step),
        "start(memory, task)": _start(step),
        **(_second_order(step, programs) if step.kind == "second" else _first_order(step, programs)),
        "leave(memory, chunk, task)": (_displacement(step) if step.kind == "reptile" else []) + _leave(step),
        "finish(memory, chunk)": _finish(step),
    }
    source = "\n\n".join(_function(step, parameters, *body) for body in functions.items())
    driver = second_order if step.kind == "second" else first_order
    return Emitted(source, step.header, parameters, driver, step.lanes)


def _function(step: Step, parameters: dict[str, DType], signature: str, lines: list[str]) -> str:
    """Return the source of one body, with the arrays and the constants that it uses."""
    used, header = set(re.findall(r"\b[a-z]\w*", _block(lines))), step.header
    if "count" in used:  # of the lanes that have a task
        lines, used = [f"count = min({step.lanes}, n[{TASKS}] - task)", *lines], used | {"n"}
    for size in (4, 8):
        if f"descent{size}" in used:
            lines, used = [f"descent{size} = rates{size}[0]", *lines], used | {f"rates{size}"}
    arrays = [f"{name} = memory.{name}" for name in parameters if name in used]
    constants = [f"{name} = {_literal(*value)}" for name, value in header.constants.items() if name in used]
    return f"def {signature}:\n{_block([*arrays, *constants, *(lines or ['pass'])])}\n"


def _literal(dtype: DType, number: float) -> str:
    return f"f{dtype.itemsize}({float(number)!r})".replace("inf", "infinity").replace("nan", "not_a_number")


def _block(lines: list[str]) -> str:
    return indent("\n".join(lines), "    ")


def _reserve(step: Step) -> None:
    """Lay out the regions that hold all variables: θ moved (φ), sums of gradients, adjoints, and the rates."""
    step.totals.update({leaf.dtype: _end(step.leaves, leaf.dtype) for leaf in step.leaves})
    for dtype, total in step.totals.items():
        if not total:
            raise UnsupportedPrimitive(f"variables: expected a {dtype} one with elements, but all are empty.")
    for name in ("phi", "sums", "adjoint"):
        step.regions[name] = {dtype: step.workspace.reserve(dtype, step.totals[dtype]) for dtype in step.precisions}
    ends = {dtype: _end(step.rates, dtype) for dtype in (FLOAT32, FLOAT64)}
    step.regions["rates"] = {dtype: step.workspace.reserve(dtype, end) for dtype, end in ends.items()}


def _end(leaves: list[Leaf], dtype: DType) -> int:
    return max((leaf.start + leaf.size for leaf in leaves if leaf.dtype == dtype), default=0)


def _copy(target: str, start: int | str, source: str, first: str, size: int) -> list[str]:
    first = f"{first} + " if first != "0" else ""
    return [f"for i in range({size}):", f"    {target}[{start} + i] = {source}[{first}i]"]


def _clear(step: Step, region: str) -> list[str]:
    """Return the lines that fill a region with zeros."""
    return [line for d in step.precisions for line in (
        f"for i in range({step.totals[d]}):",
        f"    {memory_name(d)}[{step.regions[region][d]} + i] = f{d.itemsize}(0.0)",
    )]  # fmt: skip


def _begin(step: Step) -> list[str]:
    """Return the lines that begin a chunk: nothing is summed, nothing has failed, and the rates are at their place."""
    lines = [f"{COST} = 0.0", f"{FAILED} = 0.0"]
    lines += _slot(step, "0.0") if step.lanes > 1 else _clear(step, "sums")
    for dtype in (FLOAT32, FLOAT64):
        if total := _end(step.rates, dtype):
            lines += _copy(memory_name(dtype), step.regions["rates"][dtype], f"rates{dtype.itemsize}", "2", total)
    return lines


def _finish(step: Step) -> list[str]:
    """Return the lines that end a chunk: its sums go to its slot."""
    return [*([] if step.lanes > 1 else _given(step, "out", "chunk", "sums")), "finished(counter, chunk)"]


def _slot(step: Step, number: str, operator: str = "=") -> list[str]:
    """Return the lines that change a chunk's slot; a step has one dtype where tasks have lanes."""
    ((size, total),) = ((d.itemsize, step.totals[d]) for d in step.precisions)
    return [f"for i in range({total}):", f"    out{size}[chunk * {total} + i] {operator} {number}"]


def _given(step: Step, name: str, row: str, region: str) -> list[str]:
    """Return the lines that copy a region into a row of what the caller gets."""
    return [line for d in step.precisions for line in _copy(
        f"{name}{d.itemsize}", f"{row} * {step.totals[d]}", memory_name(d), str(step.regions[region][d]), step.totals[d]
    )]  # fmt: skip


def _start(step: Step) -> list[str]:
    """Return the lines that begin a task: φ ← θ, λ ← 0, and its data."""
    lines = _clear(step, "adjoint") if step.kind == "second" else _clear(step, "sums") if step.lanes > 1 else []
    for leaf in step.leaves:
        start = step.regions["phi"].get(leaf.dtype, 0) + leaf.start
        if step.lanes > 1:
            lines += _brought(leaf.dtype, leaf.name, start, f"n[{OWN}] * {leaf.size}", leaf.size)
        else:
            lines += _copy(memory_name(leaf.dtype), start, leaf.name, _first(leaf), leaf.size)
    if not _takes_turns(step):
        lines += _load(step, step.inner)
    if not step.shared and step.outer.data != step.inner.data:
        lines += _load(step, step.outer)
    return lines


def _brought(dtype: DType, name: str, start: int, apart: str, size: int) -> list[str]:
    """Return the line that brings the numbers of the tasks into their lanes."""
    return [f"bring({memory_name(dtype)}, {name}, {start}, task * {apart}, {apart}, {size}, count)"] if size else []


def _takes_turns(step: Step) -> bool:
    """Tell whether one program serves both loops on data of their own, which then share their place."""
    return step.shared and [array.name for array in step.inner.data] != [array.name for array in step.outer.data]


def _first(leaf: Leaf) -> str:
    """Return the first element of a task's variable, as source."""
    return f"task * n[{OWN}] * {leaf.size}"


def _load(step: Step, role: Role, into: Role | None = None) -> list[str]:
    """Return the lines that bring a task's data into the workspace."""
    lines: list[str] = []
    for array, place_of in zip(role.data, (into or role).data, strict=True):
        region = step.regions.get(f"data {place_of.name}")
        if region is None:
            continue  # no program reads it
        (dtype, start), *_ = region.items()
        size = prod(array.shape)
        if step.lanes > 1:
            line = _brought(dtype, array.name, start, str(size), size)
        else:
            line = _copy(memory_name(dtype), start, array.name, f"task * {size}", size)
        lines += line if not line or line[-1] not in lines else []
    return lines


def _leave(step: Step) -> list[str]:
    """Return the lines that give φ to the caller, for the tasks that it wants."""
    if step.lanes == 1:
        return [f"if task < n[{ADAPTED}]:", _block(_given(step, "adapted", "task", "phi"))]
    (dtype,) = step.precisions
    memory, size, total = memory_name(dtype), dtype.itemsize, step.totals[dtype]
    wanted = f"task * {total}, {step.regions['phi'][dtype]}, {total}, min(count, n[{ADAPTED}] - task)"
    return [
        *_slot(step, f"total({memory}[{step.regions['sums'][dtype]} + i], count)", "+="),
        f"if task < n[{ADAPTED}]:",
        f"    give(adapted{size}, {memory}, {wanted})",
    ]


def _first_order(step: Step, programs: dict[str, list[str]]) -> dict[str, list[str]]:
    if not step.shared:
        return {f"{name}(memory, chunk, task)": programs[name] for name in ("inner", "outer")}
    return {
        "evaluate(memory, chunk, task, outer)": [*_turns(step), *programs["inner"]],
        "inner(memory, chunk, task)": ["evaluate(memory, chunk, task, False)"],
        "outer(memory, chunk, task)": ["evaluate(memory, chunk, task, True)"],
    }


def _turns(step: Step) -> list[str]:
    """One program for both loops: an outer evaluation adds to the sums, an inner one to φ."""
    inner = [f"d{d.itemsize} = {step.regions['phi'][d]}" for d in step.precisions]
    inner += [f"a{d.itemsize} = descent{d.itemsize}" for d in step.precisions]
    outer = [f"d{d.itemsize} = {step.regions['sums'][d]}" for d in step.precisions]
    outer += [f"a{d.itemsize} = f{d.itemsize}(1.0)" for d in step.precisions]
    lines = [*inner, "if outer:", _block(outer)]
    if _takes_turns(step):
        lines += ["if outer:", _block(_load(step, step.outer, step.inner) or ["pass"])]
        lines += ["else:", _block(_load(step, step.inner) or ["pass"])]
    return lines


def _displacement(step: Step) -> list[str]:
    lines = []
    for leaf in step.leaves:
        w, sums, phi = memory_name(leaf.dtype), step.regions["sums"][leaf.dtype], step.regions["phi"][leaf.dtype]
        moved = f"{leaf.name}[{_first(leaf)} + i] - {w}[{phi + leaf.start} + i]"
        lines += [f"for i in range({leaf.size}):", f"    {w}[{sums + leaf.start} + i] += {moved}"]
    return lines


def _second_order(step: Step, programs: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the bodies that go forward, keeping every φ_k and what it led to, and back through them."""
    keep, recall, recorded, again, add = [], [], [], [], []
    for position, d in enumerate(step.precisions):
        w, total, phi = memory_name(d), step.totals[d], step.regions["phi"][d]
        adjoint, sums = step.regions["adjoint"][d], step.regions["sums"][d]
        path = f"n[{HISTORY + position}] + step * {total + step.record.get(d, 0)}"
        keep += _copy(w, path, w, str(phi), total)
        recall += _copy(w, phi, w, path, total)
        if d in step.record:
            record, size = step.regions["record"][d], step.record[d]
            recorded += _copy(w, f"{path} + {total}", w, str(record), size)
            again += _copy(w, record, w, f"{path} + {total}", size)
        add += [f"for i in range({total}):", f"    {w}[{sums} + i] += {w}[{adjoint} + i]"]
    return {
        "keep(memory, step)": keep,
        "inner(memory, chunk, step)": [*programs["inner"], *recorded],
        "recall(memory, step)": recall,
        "adjoint(memory, chunk, step)": [*again, *programs["adjoint"]],
        "outer(memory, chunk, task)": programs["outer"],
        "add(memory)": add,
    }
