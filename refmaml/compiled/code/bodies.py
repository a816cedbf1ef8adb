"""The bodies of a step: the source of its programs, in one workspace with the regions that hold all variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from refmaml.compiled.code.emit import Writer
from refmaml.compiled.code.places import Header, Sink
from refmaml.compiled.program.addends import parts_of
from refmaml.compiled.program.program import (
    FLOAT32,
    FLOAT64,
    Builder,
    DType,
    Shape,
    Value,
    in_order,
    stored_dtype,
    where_read,
)
from refmaml.compiled.program.schedule import Statement, Workspace, memory_name, place, ready, statements_of, turn_of

#: Where a chunk adds its tasks' costs: in a cache line of its own, so that threads do not wait for each other.
COST = "costs[8 * chunk]"


@dataclass(frozen=True)
class Leaf:
    """A variable of a task, which parameter `name` holds; and where it lies among all variables of its dtype."""

    chain: str
    name: str
    shape: Shape
    dtype: DType
    start: int
    size: int


@dataclass(frozen=True)
class Data:
    """A leaf of a task's batch, which parameter `name` holds for all tasks."""

    chain: str
    name: str
    shape: Shape
    dtype: DType


@dataclass(frozen=True)
class Role:
    """A program with its part in the step: outputs "cost", "g/…" (to add, times α) and "n/…" (to store)."""

    outputs: dict[str, Value]
    data: tuple[Data, ...]


@dataclass
class Step:
    """What a source is written from. `kind`: "first", "second" (order) or "reptile"."""

    kind: str
    leaves: list[Leaf]
    inner: Role
    outer: Role
    adjoint: Role | None
    rates: list[Leaf]
    shared: bool  # inner and outer are one program, on their own data
    lanes: int = 1  # so many tasks are computed at once: each element of a workspace has a lane for each
    header: Header = field(default_factory=Header)
    workspace: Workspace = field(default_factory=Workspace)
    regions: dict[str, dict[DType, int]] = field(default_factory=dict)
    totals: dict[DType, int] = field(default_factory=dict)
    builders: list[Builder] = field(default_factory=list)  # places go by identity, so values must stay
    record: dict[DType, int] = field(default_factory=dict)  # sizes of what the way back reads of each step forward

    @property
    def precisions(self) -> list[DType]:
        """The dtypes that variables have."""
        return [dtype for dtype in (FLOAT32, FLOAT64) if self.totals.get(dtype)]


def bodies(step: Step) -> dict[str, list[str]]:
    """Return the source of every program of a step."""
    inner = {} if step.shared else {"inner": step.inner}
    if step.adjoint is None:
        groups: list[dict[str, Role]] = [inner, {"outer": step.outer}]
    else:
        groups = [{**inner, "adjoint": step.adjoint}, {"outer": step.outer}]
    if step.shared:
        groups = [{"inner": step.inner}]
    return {name: lines for group in groups for name, lines in _together(step, group).items()}


def _together(step: Step, roles: dict[str, Role]) -> dict[str, list[str]]:
    """Return the source of programs that have a builder of their own: the second one reads what the first one made."""
    builder = Builder()  # a value shared with another program would have its place there
    step.builders.append(builder)
    parts = {
        f"{name}:{key}#{n}": part
        for name, role in roles.items()
        for key, own in parts_of(builder, _outputs(builder, step, name, role)).items()
        for n, part in enumerate(own)
    }
    outputs = ready(builder, parts)
    of_role = {
        name: {key.partition(":")[2]: value for key, value in outputs.items() if key.startswith(f"{name}:")}
        for name in roles
    }
    kept = _kept(step, *(list(own.values()) for own in of_role.values())) if len(roles) > 1 else {}
    lines: dict[str, list[str]] = {}
    for position, (name, role) in enumerate(roles.items()):
        lines[name] = _body(step, name, role, of_role[name], kept, first=position == 0)
    return lines


def _outputs(builder: Builder, step: Step, name: str, role: Role) -> dict[str, Value]:
    return {
        key: _apart(builder, value)
        for key, value in role.outputs.items()
        if step.shared or name != "inner" or key != "cost"
    }


def _kept(step: Step, first: list[Value], second: list[Value]) -> dict[int, int]:
    """Return the places of what the first program leaves for the second, by id: all that takes more than copying."""
    made = {id(value) for value in in_order(first) if value.op not in ("input", "const", "view")}
    useful = {
        id(value)
        for value in in_order(second)
        if id(value) in made and value.dtype in step.precisions and turn_of(value) is None
    }
    frontier = [value for value in in_order(second, useful) if id(value) in useful]
    places = {}
    for value in frontier:
        start = step.workspace.reserve(value.dtype, value.size)
        step.regions.setdefault("record", {}).setdefault(value.dtype, start)
        places[id(value)] = start
    for dtype, start in step.regions.get("record", {}).items():
        step.record[dtype] = step.workspace.sizes[dtype] - start
    return places


def _body(
    step: Step, name: str, role: Role, outputs: dict[str, Value], kept: dict[int, int], *, first: bool
) -> list[str]:
    """Return the source of one program of the step."""
    written = {"inner": "v/", "outer": "", "adjoint": "u/"}[name]
    values = list(outputs.values())
    known = () if first else kept
    late = [outputs["cost#0"]] if step.shared else []
    wanted = [value for key, value in outputs.items() if not late or key != "cost#0"]
    left = [value for value in in_order(values) if id(value) in kept] if first else []
    statements = statements_of(wanted, late, known)
    place(statements, [*values, *left], step.workspace, _inputs(step, role, values) | kept)
    sinks = [_sink(step, name, key.rpartition("#")[0], value) for key, value in outputs.items()]
    lines = Writer(step.header, step.workspace, statements, sinks, written, kept, step.lanes).lines()
    _forget(step, statements, kept)
    return [f"# {name}: {_title(name)}", *(lines or ["pass"])]


def _forget(step: Step, statements: list[Statement], kept: dict[int, int]) -> None:
    """Give up the places of a program's values: the next one may compute the same ones elsewhere."""
    for statement in statements:
        for value in statement.values:
            if id(value) not in kept:
                step.workspace.places.pop(id(value), None)


def _title(name: str) -> str:
    return {
        "inner": "the gradient of the inner cost, and the step",
        "outer": "the outer cost and its gradient",
        "adjoint": "the adjoint of one inner step",
    }[name]


def _apart(builder: Builder, value: Value) -> Value:
    """Copy an output that is an input, which a sink may overwrite before another sink reads it."""
    return builder.map("copy", value, dtype=value.dtype) if where_read(value)[0].op == "input" else value


def _inputs(step: Step, role: Role, values: list[Value]) -> dict[int, int]:
    """Return the places of a program's inputs, by id."""
    places: dict[int, int] = {}
    starts = {f"v/{leaf.chain}": step.regions["phi"].get(leaf.dtype, 0) + leaf.start for leaf in step.leaves}
    starts |= {f"u/{leaf.chain}": step.regions["adjoint"].get(leaf.dtype, 0) + leaf.start for leaf in step.leaves}
    starts |= {f"r/{rate.chain}": step.regions["rates"][rate.dtype] + rate.start for rate in step.rates}
    names = {f"b/{array.chain}": array for array in role.data}
    for value in in_order(values):
        if value.op == "input":
            name = value.params[0]
            places[id(value)] = starts[name] if name in starts else _data_place(step, names[name])
    return places


def _data_place(step: Step, data: Data) -> int:
    """Return where one task's part of a batch leaf lies; programs that read the same leaf share it."""
    region = step.regions.setdefault(f"data {data.name}", {})
    dtype = stored_dtype(data.dtype)
    if dtype not in region:
        region[dtype] = step.workspace.reserve(dtype, prod(data.shape))
    return region[dtype]


def _sink(step: Step, role: str, key: str, value: Value) -> Sink:
    step.header.constant(1.0, FLOAT64)
    if key == "cost":
        return Sink(value, "costs", "8 * chunk", "c8_1", late=step.shared, over_lanes=step.lanes > 1)
    kind, _, chain = key.partition("/")
    leaf = next(table for table in step.leaves if table.chain == chain)
    size = leaf.dtype.itemsize
    step.header.constant(1.0, leaf.dtype)
    memory = memory_name(leaf.dtype)
    region = {"inner": "phi", "outer": "adjoint" if step.kind == "second" else "sums", "adjoint": "adjoint"}[role]
    start = str(step.regions[region][leaf.dtype] + leaf.start)
    if step.shared:
        return Sink(value, memory, f"d{size} + {leaf.start}", f"a{size}")
    if kind == "n":
        return Sink(value, memory, start)
    return Sink(value, memory, start, f"c{size}_1" if role == "outer" else f"descent{size}")
