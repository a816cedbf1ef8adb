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


def random_numbers_now() -> dict[str, str]:
    """Return the states of the random numbers of Python and NumPy, by name."""
    return {"random": repr(random.getstate()), "numpy.random": repr(np.random.get_state())}


def moved_since(before: dict[str, str]) -> list[str]:
    """Return the names of random numbers that were drawn since."""
    return [name for name, state in random_numbers_now().items() if before[name] != state]


def seed(number: int) -> None:
    """Begin the random numbers of Python and NumPy anew."""
    random.seed(number)
    np.random.seed(number)


def held_by(*roots: Any) -> list[Restore]:
    """Return what puts everything back that some objects hold."""
    return [restore for found in _reached(roots) if (restore := _restore_of(found)) is not None]


def generators_in(*roots: Any) -> list[Any]:
    """Return the sources of random numbers that some objects hold."""
    return [found for found in _reached(roots) if isinstance(found, np.random.Generator | random.Random)]


def _reached(roots: tuple[Any, ...]) -> Iterator[Any]:
    seen: dict[int, Any] = {}
    waiting = [(root, 0) for root in roots]
    while waiting:
        found, depth = waiting.pop()
        if id(found) in seen:
            continue
        seen[id(found)] = found
        yield found
        if depth < _DEPTH:
            waiting += [(part, depth + 1) for part in _parts_of(found)]


def _parts_of(found: Any) -> list[Any]:
    for kinds, parts in _PARTS:
        if isinstance(found, kinds):
            return parts(found)
    return [vars(found)] if _is_plain(found) else []


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
    if isinstance(found, type | ModuleType) or type(found).__module__.split(".")[0] in ("jax", "jaxlib", "numpy"):
        return False
    return isinstance(getattr(found, "__dict__", None), dict)


def _restore_of(found: Any) -> Restore | None:
    for kinds, make in _RESTORES:
        if isinstance(found, kinds):
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
