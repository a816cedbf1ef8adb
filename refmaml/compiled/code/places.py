"""What all writers of Numba source share: the header of the source, and where its statements find and put values."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refmaml.compiled.code.loops import Access
from refmaml.compiled.program.kernels import Kernel
from refmaml.compiled.program.program import DType, Value, contiguous, where_read
from refmaml.compiled.program.schedule import Workspace, memory_name

#: Where a chunk notes that it met what is an error in NumPy (an index outside of its axis, a singular matrix): beside
#: the cost of its tasks.
FAILED = "costs[8 * chunk + 1]"


@dataclass(frozen=True)
class Sink:
    """Where an output goes: `memory`[`start` …] = value, or += α · value when `alpha` names a factor.

    `late` ones are written by the last evaluation only, where one program serves both loops. Those `over_lanes` add up
    the tasks that are computed at once.
    """

    value: Value
    memory: str
    start: str
    alpha: str = ""
    late: bool = False
    over_lanes: bool = False


@dataclass
class Header:
    """What stands above the statements: constants and kernels by name, and the scalar functions that are called."""

    constants: dict[str, tuple[DType, Any]] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)

    def constant(self, number: Any, dtype: DType) -> str:
        """Return the name of a constant."""
        text = re.sub(r"[^0-9a-z]", "_", f"{float(number):.9g}".replace("-", "minus_").replace("+", ""))
        name = f"c{dtype.itemsize}_{text}"
        while name in self.constants and not _same(self.constants[name][1], number):
            name += "x"
        self.constants[name] = (dtype, number)
        return name

    def kernel(self, stem: str, kernel: Kernel) -> str:
        """Return the name of a kernel."""
        name = stem
        while self.kernels.get(name, kernel) != kernel:
            name += "x"
        self.kernels[name] = kernel
        return name

    def call(self, name: str) -> str:
        """Return the name of a scalar function, noting that it is called."""
        self.functions.add(name)
        return name


def _same(a: Any, b: Any) -> bool:
    return bool(np.asarray(a).tobytes() == np.asarray(b).tobytes())


class Places:
    """Where the values of one program are, as source: those that a workspace has places for."""

    def __init__(self, header: Header, workspace: Workspace, stored: Collection[int], lanes: int) -> None:
        self.header, self.workspace, self.lanes = header, workspace, lanes
        self._stored = stored  # ids of values

    def is_stored(self, value: Value) -> bool:
        """Tell whether a value has a place, and is no mere number of a loop."""
        return id(value) in self._stored

    def place(self, value: Value) -> int:
        """Return the first element of a stored value."""
        return self.workspace.places[id(value)]

    def access(self, value: Value) -> Access:
        """Return how a value, or a view of one, is read."""
        root, offset, strides = where_read(value)
        return Access(memory_name(root.dtype), str(self.place(root) + offset), strides)

    def own(self, value: Value) -> Access:
        """Return where a stored value is written."""
        return Access(memory_name(value.dtype), str(self.place(value)), contiguous(value.shape))

    def own_memory(self, value: Value) -> str:
        """Return the beginning of an access to a stored value: ``w4[128``."""
        root, offset, _ = where_read(value)
        return f"{memory_name(root.dtype)}[{self.place(root) + offset}"
