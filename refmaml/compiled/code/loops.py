"""Writing one loop nest: axes merged where every access allows it, loads as far out as they may stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from refmaml.compiled.program.program import Shape

#: Names of indices: none of them is a parameter of a body, or an array.
_INDICES = "ijklmopqrs"


@dataclass(frozen=True)
class Access:
    """Elements of a workspace array at start + Σ indexₐ · strideₐ; `start` may be an expression."""

    memory: str
    start: str
    strides: Shape


def merged(shape: Shape, strides: Sequence[Shape]) -> tuple[Shape, list[Shape]]:
    """Merge neighbouring axes that every one of `strides` runs through without a gap."""
    sizes, kept = list(shape), [list(stride) for stride in strides]
    axis = len(sizes) - 2
    while axis >= 0:
        if all(access[axis] == access[axis + 1] * sizes[axis + 1] for access in kept):
            sizes[axis : axis + 2] = [sizes[axis] * sizes[axis + 1]]
            for access in kept:
                del access[axis]
        axis -= 1
    return tuple(sizes), [tuple(access) for access in kept]


@dataclass
class Nest:
    """A loop nest under construction: lines that stand before the loop over each axis, inside all, and after."""

    sizes: Shape
    before: list[list[str]] = field(default_factory=list)
    after: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = [[] for _ in range(len(self.sizes) + 1)]
        self.after = [[] for _ in range(len(self.sizes) + 1)]

    @property
    def inside(self) -> list[str]:
        """The lines of the innermost body."""
        return self.before[-1]

    def depth(self, strides: Shape) -> int:
        """Return how many loops stand around an access with these strides."""
        return max((axis + 1 for axis, stride in enumerate(strides) if stride), default=0)

    def element(self, access: Access) -> str:
        """Return the expression of an access."""
        terms = [access.start] if access.start != "0" or not any(access.strides) else []
        for index, stride in zip(_INDICES, access.strides, strict=False):
            if stride:
                terms.append(index if stride == 1 else f"{stride} * {index}")
        return f"{access.memory}[{' + '.join(terms).replace('+ -', '- ')}]"

    def lines(self) -> list[str]:
        """Return the source of the nest."""
        result: list[str] = []
        for axis, size in enumerate(self.sizes):
            result += [f"{'    ' * axis}{line}" for line in self.before[axis]]
            result.append(f"{'    ' * axis}for {_INDICES[axis]} in range({size}):")
        result += [f"{'    ' * len(self.sizes)}{line}" for line in self.before[-1]]
        for axis in range(len(self.sizes), -1, -1):
            result += [f"{'    ' * axis}{line}" for line in self.after[axis]]
        return result


def copy_lines(shape: Shape, target: Access, source: Access, form: str = "{target} = {source}") -> list[str]:
    """Return a loop nest that copies (or otherwise combines, by `form`) one access to another."""
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    kept = [tuple(access.strides[axis] for axis in axes) for access in (target, source)]
    sizes, strides = merged(tuple(shape[axis] for axis in axes), kept)
    nest = Nest(sizes)
    ends = [Access(access.memory, access.start, own) for access, own in zip((target, source), strides, strict=True)]
    nest.inside.append(form.format(target=nest.element(ends[0]), source=nest.element(ends[1])))
    return nest.lines()
