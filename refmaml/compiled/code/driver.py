"""The source of one compiled step: every task's inner loop, outer cost and gradient, around the emitted programs.

The function that comes out claims chunks of tasks until none is left, so that any number of threads can run it at
once; each chunk adds its tasks' gradients, in order, into a slot of its own. Which thread computes a chunk therefore
never shows in the result.
"""

from __future__ import annotations

from textwrap import indent

from refmaml.compiled.code.bodies import COST, Leaf, Role, Step, bodies
from refmaml.compiled.code.places import FAILED
from refmaml.compiled.errors import UnsupportedPrimitive
from refmaml.compiled.program.program import FLOAT32, FLOAT64, DType
from refmaml.compiled.program.schedule import memory_name

PARAMETERS = (
    "counter", "n", "w4", "w8", "wi", "wb", "rates4", "rates8", "theta4", "theta8", "out4", "out8", "costs",
    "adapted4", "adapted8",
)  # fmt: skip
#: What the elements of `n` are.
CHUNKS, CHUNK_SIZE, TASKS, STEPS, AVERAGE, ADAPTED = range(6)


def source_of(step: Step) -> str:
    """Return the source of `run` and fill in the step's header and workspace."""
    _reserve(step)
    written = bodies(step)
    data = list(dict.fromkeys(array.name for role in (step.inner, step.outer) for array in role.data))
    lines = _second_order(step, written) if step.kind == "second" else _first_order(step, written)
    parameters = ", ".join([*PARAMETERS, *data])
    constants = [f"{name} = {_literal(*value)}" for name, value in step.header.constants.items()]
    return f"def run({parameters}):\n{_block([*constants, *_prologue(step), *_chunks(step, lines)])}\n"


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


def _prologue(step: Step) -> list[str]:
    """Return the lines that run once: the rates."""
    lines = [f"descent{d.itemsize} = rates{d.itemsize}[0]" for d in step.precisions]
    for dtype in (FLOAT32, FLOAT64):
        total = _end(step.rates, dtype)
        if total:
            lines += _copy(
                memory_name(dtype), step.regions["rates"][dtype], f"rates{dtype.itemsize}", "2", total
            )  # fmt: skip
    return lines


def _copy(target: str, start: int | str, source: str, first: str, size: int) -> list[str]:
    first = f"{first} + " if first != "0" else ""
    return [f"for i in range({size}):", f"    {target}[{start} + i] = {source}[{first}i]"]


def _chunks(step: Step, task: list[str]) -> list[str]:
    """Return the loop over chunks and over the tasks of each."""
    zero = [line for d in step.precisions for line in (
        f"for i in range({step.totals[d]}):",
        f"    {memory_name(d)}[{step.regions['sums'][d]} + i] = f{d.itemsize}(0.0)",
    )]  # fmt: skip
    flush = [line for d in step.precisions for line in (
        f"for i in range({step.totals[d]}):",
        f"    out{d.itemsize}[chunk * {step.totals[d]} + i] = {memory_name(d)}[{step.regions['sums'][d]} + i]",
    )]  # fmt: skip
    stop = [f"stop = (chunk + 1) * n[{CHUNK_SIZE}]", f"if stop > n[{TASKS}]:", f"    stop = n[{TASKS}]"]
    tasks = f"for task in range(chunk * n[{CHUNK_SIZE}], stop):"
    inside = [f"{COST} = 0.0", f"{FAILED} = 0.0", *zero, *stop, tasks, _block([*_start_task(step), *task]), *flush]
    inside.append("finished(counter, chunk)")
    claimed = [f"chunk = claim(counter, n[{CHUNKS}])", "while chunk >= 0:", _block(inside)]
    return [*claimed, f"    chunk = claim(counter, n[{CHUNKS}])"]


def _start_task(step: Step) -> list[str]:
    lines: list[str] = []
    for dtype in step.precisions:
        size = dtype.itemsize
        lines += _copy(memory_name(dtype), step.regions["phi"][dtype], f"theta{size}", "0", step.totals[dtype])
    if not step.shared:
        lines += _load(step, step.inner)
        lines += [] if step.outer.data == step.inner.data else _load(step, step.outer)
    return lines


def _load(step: Step, role: Role, into: Role | None = None) -> list[str]:
    """Return the lines that bring a task's data into the workspace."""
    lines: list[str] = []
    for array, place_of in zip(role.data, (into or role).data, strict=True):
        region = step.regions.get(f"data {place_of.name}")
        if region is None:
            continue  # no program reads it
        size = 1
        for length in array.shape:
            size *= length
        (dtype, start), *_ = region.items()
        line = _copy(memory_name(dtype), start, array.name, f"task * {size}", size)
        lines += line if line[1] not in lines else []
    return lines


def _keep_adapted(step: Step) -> list[str]:
    lines = [f"if task < n[{ADAPTED}]:"]
    for dtype in step.precisions:
        size, total, start = dtype.itemsize, step.totals[dtype], step.regions["phi"][dtype]
        lines += [f"    for i in range({total}):"]
        lines += [f"        adapted{size}[task * {total} + i] = {memory_name(dtype)}[{start} + i]"]
    return lines


def _first_order(step: Step, bodies: dict[str, list[str]]) -> list[str]:
    if step.shared:
        return _shared(step, bodies["inner"])
    lines = [
        f"for step in range(n[{STEPS}] + 1):",
        f"    if step == n[{STEPS}] or n[{AVERAGE}]:",
        indent(_block(bodies["outer"]), "    "),
        f"    if step < n[{STEPS}]:",
        indent(_block(bodies["inner"]), "    "),
    ]
    return lines + (_displacement(step) if step.kind == "reptile" else []) + _keep_adapted(step)


def _shared(step: Step, body: list[str]) -> list[str]:
    """One program for both loops: the last evaluation, or every other one, adds to the sums instead of to φ."""
    inner = [f"d{d.itemsize} = {step.regions['phi'][d]}" for d in step.precisions]
    inner += [f"a{d.itemsize} = descent{d.itemsize}" for d in step.precisions]
    outer = [f"d{d.itemsize} = {step.regions['sums'][d]}" for d in step.precisions]
    outer += [f"a{d.itemsize} = f{d.itemsize}(1.0)" for d in step.precisions]
    same = [array.name for array in step.inner.data] == [array.name for array in step.outer.data]
    load = [] if same else ["if outer:", _block(_load(step, step.outer, step.inner) or ["pass"]), "else:",
                            _block(_load(step, step.inner) or ["pass"])]  # fmt: skip
    return [
        *(_load(step, step.inner) if same else []),
        f"evaluations = n[{STEPS}] * (2 if n[{AVERAGE}] else 1) + 1",
        "for step in range(evaluations):",
        f"    outer = step == evaluations - 1 or (n[{AVERAGE}] != 0 and step % 2 == 0)",
        *[f"    {line}" for line in inner],
        "    if outer:",
        *[f"        {line}" for line in outer],
        *([_block(load)] if load else []),
        _block(body),
        *_keep_adapted(step),
    ]


def _displacement(step: Step) -> list[str]:
    lines = []
    for d in step.precisions:
        w, size = memory_name(d), d.itemsize
        moved = f"theta{size}[i] - {w}[{step.regions['phi'][d]} + i]"
        lines += [f"for i in range({step.totals[d]}):", f"    {w}[{step.regions['sums'][d]} + i] += {moved}"]
    return lines


def _second_order(step: Step, bodies: dict[str, list[str]]) -> list[str]:
    """Go forward keeping every φ_k and what it led to, then carry the adjoint back through them."""
    keep, back, recorded, again, clear, add = [], [], [], [], [], []
    for d in step.precisions:
        w, total, phi = memory_name(d), step.totals[d], step.regions["phi"][d]
        adjoint, sums = step.regions["adjoint"][d], step.regions["sums"][d]
        path = f"h{d.itemsize} + step * {total + step.record.get(d, 0)}"
        keep += _copy(w, path, w, str(phi), total)
        back += _copy(w, phi, w, path, total)
        if d in step.record:
            record, size = step.regions["record"][d], step.record[d]
            recorded += _copy(w, f"{path} + {total}", w, str(record), size)
            again += _copy(w, record, w, f"{path} + {total}", size)
        clear += [f"for i in range({total}):", f"    {w}[{adjoint} + i] = f{d.itemsize}(0.0)"]
        add += [f"for i in range({total}):", f"    {w}[{sums} + i] += {w}[{adjoint} + i]"]
    return [
        *[f"h{d.itemsize} = n[{ADAPTED + 1 + i}]" for i, d in enumerate(step.precisions)],
        f"for step in range(n[{STEPS}] + 1):",
        _block(keep),
        f"    if step < n[{STEPS}]:",
        indent(_block([*bodies["inner"], *recorded]), "    "),
        *_keep_adapted(step),
        *clear,
        f"for back in range(n[{STEPS}] + 1):",
        f"    step = n[{STEPS}] - back",
        _block(back),
        f"    if step < n[{STEPS}]:",
        indent(_block([*again, *bodies["adjoint"]]), "    "),
        f"    if step == n[{STEPS}] or n[{AVERAGE}]:",
        indent(_block(bodies["outer"]), "    "),
        *add,
    ]
