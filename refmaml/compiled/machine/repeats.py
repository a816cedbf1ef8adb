"""Loops that come again at other places in memory, as equal layers give: each form is written once, as a function.

LLVM's passes take most of the time of a first call, and are in proportion to the instructions. A loop becomes a call
where nothing but the places of its arrays differs, and where it shares no variable with the rest of its function.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

#: From so many loops of one form on.
_OFTEN = 4
#: An index begins with the place of its array, where that is not 0; a number before a product is a stride.
_PLACE = re.compile(r"\b(\w+)\[(?:(\d+)(?: \+ |(?=\])))?")


@dataclass(frozen=True)
class Form:
    """A loop over parts of arrays: of which arrays, how far each part goes, which are written, what is read beside."""

    name: str
    loop: ast.For
    arrays: tuple[str, ...]
    reaches: tuple[int, ...]
    written: frozenset[int]
    scalars: tuple[str, ...]
    own: frozenset[str]


@dataclass(frozen=True)
class Repeat:
    """A loop as a call of its form, with the first element of each part."""

    form: Form
    starts: tuple[int, ...]


def repeats(source: str, functions: Sequence[ast.FunctionDef]) -> dict[ast.stmt, Repeat]:
    """Return the loops that are to be calls."""
    lines = source.splitlines()
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[ast.For, tuple[int, ...]]]] = defaultdict(list)
    for function in functions:
        for loop in function.body:
            if isinstance(loop, ast.For):
                text = textwrap.dedent("\n".join(lines[loop.lineno - 1 : loop.end_lineno]))
                form, arrays, starts = _masked(text)
                alike[form, arrays].append((loop, starts))
    needed = {node: names for function in functions for node, names in _needed_after(function.body)}
    found: dict[ast.stmt, Repeat] = {}
    for (text, arrays), loops in alike.items():
        made = _form(f"loop{len(found)}", text, arrays) if len(loops) >= _OFTEN else None
        for loop, starts in loops:
            if made and not made.own & needed[loop] and _apart(made, starts):
                found[loop] = Repeat(made, starts)
    return found


def _masked(text: str) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
    """Return a loop over parts 0, 1, … in place of its arrays, and the array and the first element of each part."""
    parts: dict[tuple[str, int], int] = {}

    def masked(found: re.Match[str]) -> str:
        number = parts.setdefault((found[1], int(found[2] or 0)), len(parts))
        return f"part{number}[" + "0" * (found.string[found.end()] == "]")

    text = _PLACE.sub(masked, text)
    return text, tuple(array for array, _ in parts), tuple(start for _, start in parts)


def _form(name: str, text: str, arrays: tuple[str, ...]) -> Form | None:
    """Return what a call has to know of a loop, or None where it calls kernels, decides, or reaches elsewhere."""
    (loop,) = ast.parse(text).body
    counts: dict[str, int] = {}
    reaches, written, called = [0] * len(arrays), set(), set()
    for node in ast.walk(loop):
        match node:
            case ast.For(ast.Name(counter), ast.Call(ast.Name("range"), [ast.Constant(int(count))])) if (
                count > 0 and counts.setdefault(counter, count) == count
            ):
                pass
            case ast.For() | ast.If():
                return None
    for node in ast.walk(loop):
        match node:
            case ast.Subscript(ast.Name(part), index, context):
                reach, number = _reach(index, counts), int(part.removeprefix("part"))
                if reach is None:
                    return None
                reaches[number] = max(reaches[number], reach)
                written |= {number} if isinstance(context, ast.Store) else set()
            case ast.Call(ast.Name(function)):
                called.add(function)
    own = frozenset(name.id for name in _in_order(loop) if _is_given(name))
    scalars = _read_first(loop) - called - {f"part{number}" for number in range(len(arrays))}
    if scalars & {*own, *arrays, "memory"} or not isinstance(loop, ast.For):
        return None
    return Form(name, loop, arrays, tuple(reaches), frozenset(written), tuple(sorted(scalars)), own)


def _reach(index: ast.expr, counts: dict[str, int]) -> int | None:
    """Return the largest value of an index of positive strides, or None for another one."""
    match index:
        case ast.Constant(int(value)):
            return value
        case ast.Name(name) if name in counts:
            return counts[name] - 1
        case ast.BinOp(ast.Constant(int(stride)), ast.Mult(), ast.Name(name)) if name in counts:
            return stride * (counts[name] - 1)
        case ast.BinOp(left, ast.Add(), right):
            one, other = _reach(left, counts), _reach(right, counts)
            return None if one is None or other is None else one + other
    return None


def _apart(form: Form, starts: tuple[int, ...]) -> bool:
    """Tell whether no part that is written overlaps another one: LLVM is told so."""
    return not any(
        form.arrays[one] == form.arrays[other]
        and {one, other} & form.written
        and starts[one] <= starts[other] + form.reaches[other]
        and starts[other] <= starts[one] + form.reaches[one]
        for one, other in combinations(range(len(starts)), 2)
    )


def _needed_after(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.stmt, set[str]]]:
    """Yield statements with the names whose values the statements after them read."""
    needed: set[str] = set()
    for node in reversed(body):
        yield node, needed
        given = set() if isinstance(node, ast.If) else {name.id for name in _in_order(node) if _is_given(name)}
        needed = needed - given | _read_first(node)


def _is_given(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _read_first(statement: ast.AST) -> set[str]:
    """Return the names that a statement reads before it has given them a value."""
    given: set[str] = set()
    read: set[str] = set()
    for node in _in_order(statement):
        if _is_given(node):
            given.add(node.id)
        elif node.id not in given:
            read.add(node.id)
    return read


def _in_order(node: ast.AST) -> Iterator[ast.Name]:
    """Yield names as they are met when the code runs."""
    match node:
        case ast.Name():
            yield node
        case ast.Assign([target], value):
            yield from _in_order(value)
            yield from _in_order(target)
        case ast.AugAssign(ast.Name(name), _, value):
            yield ast.Name(name, ast.Load())
            yield from _in_order(value)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _in_order(child)
