"""What a Python program holds beside its model, put back as it was: random numbers, and what a step keeps.

A step keeps things in the object that it is a method of, and in the variables of the functions around it. Their
bindings, their lists, dicts and arrays, and their own random numbers are put back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

Restore = Callable[[], None]
#: From a method to an entry of a list among its object's attributes, by way of a function around it.
_DEPTH = 7


def random_numbers() -> Restore:
    """Return what puts the random numbers of Python and NumPy back where they are now."""
    of_python, of_numpy = random.getstate(), np.random.get_state()

    def restore() -> None:
        random.setstate(of_python)
        np.random.set_state(of_numpy)

    return restore


def states_of(*roots: Any) -> dict[str, str]:
    """Return the states of the random numbers of Python and NumPy, and of what some objects draw from, by name."""
    found = {"random": repr(random.getstate()), "numpy.random": repr(np.random.get_state())}
    for source in _reached(roots):
        if issubclass(type(source), np.random.Generator):
            found[f"a generator of NumPy's ({id(source)})"] = repr(source.bit_generator.state)
        elif issubclass(type(source), random.Random):
            found[f"a source of Python's ({id(source)})"] = repr(source.getstate())
    return found


def drawn_since(before: dict[str, str], *roots: Any) -> dict[str, str]:
    """Return the random numbers that were drawn since, by name, each with its place."""
    now = states_of(*roots)
    return {name.partition(" (")[0]: "the step" for name, state in before.items() if now.get(name, state) != state}


def seed(number: int) -> None:
    """Begin the random numbers of Python and NumPy anew."""
    random.seed(number)
    np.random.seed(number)


def held_by(*roots: Any) -> list[Restore]:
    """Return what puts everything back that some objects hold."""
    return [restore for found in _reached(roots) if (restore := _restore_of(found)) is not None]


def _reached(roots: tuple[Any, ...]) -> Iterator[Any]:
    visited: dict[int, Any] = {}
    waiting = [(root, 0) for root in roots]
    while waiting:
        found, depth = waiting.pop()
        if id(found) in visited:
            continue
        visited[id(found)] = found
        yield found
        if depth < _DEPTH:
            waiting += [(part, depth + 1) for part in _parts_of(found)]


def _parts_of(found: Any) -> list[Any]:
    for kinds, parts in _PARTS:
        if issubclass(type(found), kinds):  # an `isinstance` asks proxies that may raise
            return parts(found)
    return [object.__getattribute__(found, "__dict__")] if _is_plain(found) else []


_PARTS: tuple[tuple[Any, Callable[[Any], list[Any]]], ...] = (
    (dict, lambda found: list(found.values())),
    ((list, tuple, set), list),
    (partial, lambda found: [found.func, *found.args, *found.keywords.values()]),
    (MethodType, lambda found: [found.__self__, found.__func__]),
    (FunctionType, lambda found: [*(found.__closure__ or ()), *(found.__defaults__ or ()), vars(found)]),
    (CellType, lambda found: [found.cell_contents] if _is_filled(found) else []),
)


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _is_plain(found: Any) -> bool:
    """Return whether an object has attributes of its own; those of the frameworks are left alone."""
    if issubclass(type(found), type | ModuleType):
        return False
    if str(type(found).__module__).split(".")[0] in ("jax", "jaxlib", "numpy"):
        return False
    return _has_attributes(found)


def _has_attributes(found: Any) -> bool:
    try:
        return type(object.__getattribute__(found, "__dict__")) is dict
    except AttributeError:
        return False


def _restore_of(found: Any) -> Restore | None:
    for kinds, make in _RESTORES:
        if issubclass(type(found), kinds):
            return make(found)
    return None


def _of_array(found: Any) -> Restore | None:
    return partial(np.copyto, found, found.copy()) if found.flags.writeable and not found.dtype.hasobject else None


def _of_cell(found: Any) -> Restore | None:
    return partial(setattr, found, "cell_contents", found.cell_contents) if _is_filled(found) else None


_RESTORES: tuple[tuple[Any, Callable[[Any], Restore | None]], ...] = (
    (dict, lambda found: partial(_refill, found.clear, found.update, dict(found))),
    (list, lambda found: partial(found.__setitem__, slice(None), list(found))),
    (set, lambda found: partial(_refill, found.clear, found.update, set(found))),
    (np.ndarray, _of_array),
    (np.random.Generator, lambda found: partial(setattr, found.bit_generator, "state", found.bit_generator.state)),
    (random.Random, lambda found: partial(found.setstate, found.getstate())),
    (CellType, _of_cell),
)


def _refill(clear: Callable[[], None], update: Callable[[Any], None], entries: Any) -> None:
    clear()
    update(entries)
