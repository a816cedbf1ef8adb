"""What a function can see besides its arguments, and whether it is still the same.

A recording bakes in whatever a cost function reads through its closure, its globals, its defaults and the objects
that these lead to. A `Guard` notes all of that when the function is traced, and compares it before every later call.
Numbers, text and the like are compared by value, arrays by their bytes, containers and objects member by member,
functions by their code and by what they see in turn. What cannot be looked into makes a guard *open*: such a function
is traced anew for every call.
"""

# ruff: noqa: ARG002 - the visitors of one table have one signature
from __future__ import annotations

import dis
import functools
import random
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from autograd.tracer import Box

_TRUSTED = ("autograd", "numpy", "scipy", "math", "builtins", "functools", "itertools", "operator", "typing",
            "collections", "numba", "refmaml")  # fmt: skip
_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range, slice, np.generic, np.dtype)
_PEEPHOLES = {"eval", "exec", "globals", "locals", "vars", "getattr", "__import__", "open", "input", "compile"}
_LIMIT = 20_000

Check = Callable[[], bool]


class Guard:
    """The surroundings of some functions."""

    def __init__(self, *functions: Any) -> None:
        self.open = False
        self._names: list[tuple[dict[str, Any], str, Any]] = []  # (namespace, name, what it means)
        self._cells: list[tuple[Any, Any]] = []
        self._functions: list[tuple[types.FunctionType, Any, Any, Any]] = []  # (function, code, defaults, of keywords)
        self._checks: list[Check] = []
        self._seen: dict[int, Any] = {}
        for function in functions:
            self._visit(function, frozenset())

    def holds(self) -> bool:
        """Tell whether everything is as it was; an open guard never holds."""
        return not self.open and self.unchanged()

    def unchanged(self) -> bool:
        """Tell whether all that could be looked into is as it was."""
        for space, name, expected in self._names:
            if (now := space.get(name, Guard)) is not expected and not _same_number(now, expected):
                return False
        for cell, expected in self._cells:
            if (now := cell.cell_contents) is not expected and not _same_number(now, expected):
                return False
        for function, code, defaults, of_keywords in self._functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
            if function.__kwdefaults__ is not of_keywords:
                return False
        for check in self._checks:  # noqa: SIM110 - this runs before every call, and `all` takes twice as long
            if not check():
                return False
        return True

    def _visit(self, thing: Any, names: frozenset[str]) -> None:
        """Note an object and what it leads to; `names` are those that the code that reached it mentions."""
        if isinstance(thing, _PLAIN) or id(thing) in self._seen or self.open:
            return
        self._seen[id(thing)] = thing
        if len(self._seen) > _LIMIT:
            self.open = True
            return
        for kinds, visit in self._KINDS:
            if isinstance(thing, kinds):
                visit(self, thing, names)
                return
        self._object(thing, names)

    def _function(self, function: types.FunctionType, names: frozenset[str]) -> None:
        if _is_trusted(function):
            return
        code = function.__code__
        self._functions.append((function, code, function.__defaults__, function.__kwdefaults__))
        self._visit(function.__defaults__, names)
        self._visit(function.__kwdefaults__, names)
        for cell in function.__closure__ or ():
            self._cell(cell, _names_in(code))
        self._globals(function, code)

    def _cell(self, cell: Any, names: frozenset[str]) -> None:
        try:
            content = cell.cell_contents
        except ValueError:
            self.open = True
            return
        self._cells.append((cell, content))
        self._visit(content, names)

    def _globals(self, function: types.FunctionType, code: types.CodeType) -> None:
        names = _names_in(code)
        space = function.__globals__
        builtin = vars(sys.modules["builtins"])
        for name in names:
            if name in space:
                self._names.append((space, name, space[name]))
                self._visit(space[name], names)
            elif name in _PEEPHOLES and name in builtin:
                self.open = True
            elif name in sys.modules and _imports(code):
                self._visit(sys.modules[name], names)

    def _same(self, read: Callable[[], Any], expected: Any) -> None:
        """Check that a name still means the same: plain values by value, others by identity."""
        self._checks.append(lambda: (now := read()) is expected or _same_number(now, expected))

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        if module.__name__.partition(".")[0] in _TRUSTED:
            return
        for name in names & set(vars(module)):
            self._names.append((vars(module), name, vars(module)[name]))
            self._visit(vars(module)[name], names)

    def _array(self, array: np.ndarray[Any, Any], names: frozenset[str]) -> None:
        if array.dtype == object:
            self.open = True
            return
        shape, dtype, content = array.shape, array.dtype, array.tobytes()
        self._checks.append(lambda: array.shape == shape and array.dtype == dtype and array.tobytes() == content)

    def _mapping(self, mapping: Mapping[Any, Any], names: frozenset[str]) -> None:
        keys = list(mapping)
        self._checks.append(lambda: len(mapping) == len(keys) and list(mapping) == keys)
        for key in keys:
            if isinstance(mapping, dict):
                self._names.append((mapping, key, mapping[key]))
            else:
                self._same(functools.partial(mapping.get, key, Guard), mapping[key])
            self._visit(mapping[key], names)

    def _sequence(self, sequence: Any, names: frozenset[str]) -> None:
        length = len(sequence)
        self._checks.append(lambda: len(sequence) == length)
        for index in range(length):
            self._same(functools.partial(sequence.__getitem__, index), sequence[index])
            self._visit(sequence[index], names)

    def _set(self, members: Any, names: frozenset[str]) -> None:
        copy = frozenset(members)
        self._checks.append(lambda: members == copy)

    def _partial(self, partial: functools.partial[Any], names: frozenset[str]) -> None:
        self._visit(partial.func, names)
        self._visit(partial.args, names)
        self._visit(partial.keywords, names)

    def _method(self, method: types.MethodType, names: frozenset[str]) -> None:
        self._visit(method.__func__, names)
        self._visit(method.__self__, names)

    def _class(self, kind: type, names: frozenset[str]) -> None:
        if kind.__module__.partition(".")[0] in _TRUSTED:
            return
        for name, member in list(vars(kind).items()):
            if name.startswith("__") and name not in ("__call__", "__getattr__", "__getattribute__"):
                continue
            self._same(functools.partial(vars(kind).get, name, Guard), member)
            for function in _functions_of(member):
                self._visit(function, names)
        for base in kind.__mro__[1:]:
            self._visit(base, names)

    def _generator(self, generator: np.random.Generator | np.random.RandomState, names: frozenset[str]) -> None:
        """Note a random state: drawing from it changes it, which shows after the trace."""
        read = _random_state(generator)
        state = read()
        self._checks.append(lambda: read() == state)

    def _builtin(self, function: Any, names: frozenset[str]) -> None:
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType):
            self._visit(owner, names)

    def _object(self, thing: Any, names: frozenset[str]) -> None:
        """Note an object of the user's: its class, its attributes; what has neither cannot be looked into."""
        kind = type(thing)
        if kind in Box.types or (kind.__module__.partition(".")[0] in _TRUSTED and not hasattr(thing, "__dict__")):
            return
        slots = [name for base in kind.__mro__ for name in _slots(base)]
        if not hasattr(thing, "__dict__") and not slots:
            self.open = True
            return
        self._visit(kind, names)
        self._visit(getattr(thing, "__dict__", {}), names)
        for name in slots:
            value = getattr(thing, name, Guard)
            self._same(functools.partial(getattr, thing, name, Guard), value)
            self._visit(value, names)

    _KINDS: tuple[tuple[Any, Callable[..., None]], ...] = (
        (types.FunctionType, _function), (types.ModuleType, _module), (np.ndarray, _array), (Mapping, _mapping),
        ((list, tuple), _sequence), ((set, frozenset), _set), (functools.partial, _partial),
        (types.MethodType, _method), (type, _class),
        ((np.random.Generator, np.random.RandomState, random.Random), _generator),
        ((types.BuiltinFunctionType, np.ufunc), _builtin),
    )  # fmt: skip


def _same_number(now: Any, expected: Any) -> bool:
    """Tell whether plain values are the same to the last bit; NaN is the same as NaN, and 0.0 is not −0.0."""
    return isinstance(expected, _PLAIN) and type(now) is type(expected) and repr(now) == repr(expected)


def _is_trusted(function: types.FunctionType) -> bool:
    return function.__module__ is not None and function.__module__.partition(".")[0] in _TRUSTED


def _names_in(code: types.CodeType) -> frozenset[str]:
    """Return the names that code mentions, with the code inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_in(constant)
    return frozenset(names)


def _imports(code: types.CodeType) -> bool:
    return any(instruction.opname == "IMPORT_NAME" for instruction in dis.get_instructions(code))


def _functions_of(member: Any) -> Iterator[Any]:
    if isinstance(member, property):
        yield from (each for each in (member.fget, member.fset) if each is not None)
    elif isinstance(member, staticmethod | classmethod):
        yield member.__func__
    else:
        yield member


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(name for name in slots if name != "__weakref__")


def _random_state(generator: Any) -> Callable[[], str]:
    if isinstance(generator, random.Random):
        return lambda: repr(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return lambda: repr(generator.get_state())
    return lambda: repr(generator.bit_generator.state)


def global_random_states() -> tuple[str, str]:
    """Return the states of the two global random generators."""
    return repr(random.getstate()), repr([part.tolist() if hasattr(part, "tolist") else part
                                          for part in np.random.get_state(legacy=True)])  # fmt: skip
