"""What a function can see besides its arguments, and whether it is still the same.

A recording bakes in whatever a cost function reads through its closure, its globals, its defaults and the objects
that these lead to. A `Guard` notes all of that when the function is traced, and compares it before every later call.
Numbers, text and the like are compared by value, arrays by their bytes, containers and objects member by member,
functions by their code and by what they see in turn, and of modules the members that any of the code mentions. What is
not there can come later: absent globals are noted too, and how many members a class or a module has. What cannot be
looked into makes a guard *open*: such a function is traced anew for every call.
"""

from __future__ import annotations

import abc
import decimal
import functools
import gc
import operator
import random
import sys
import types
from _abc import _get_dump  # type: ignore[import-not-found]  # what `ABCMeta._dump_registry` prints
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from autograd.core import primitive_vjps
from autograd.tracer import Box

from refmaml.compiled.guarding import trust
from refmaml.compiled.guarding.mentions import globals_in, imported_in, names_in
from refmaml.compiled.guarding.trust import plain, same_number, standard, trusted

_CODE = (types.FunctionType, property, staticmethod, classmethod)
_LIMIT = 20_000

Check = Callable[[], bool]


class Guard:
    """The surroundings of some functions."""

    def __init__(self, *functions: Any) -> None:
        self.open = False
        self.leaked = False  # whether an array that an evaluation was given is kept
        self._names: list[tuple[Mapping[Any, Any], Any, Any]] = []  # (namespace, name, what it means)
        self._cells: list[tuple[Any, Any]] = []
        self._functions: list[tuple[Any, Any, Any, Any, bool]] = []  # with code, defaults, no attributes of its own
        self._kinds: list[tuple[Any, type]] = []
        self._classes: list[tuple[type, tuple[type, ...], Mapping[str, Any], int]] = []  # with bases and members
        self._checks: list[Check] = []
        self._seen: dict[int, Any] = {}
        self._looked_up: set[tuple[int, str]] = set()  # (namespace of globals, name)
        self._mentioned: set[str] = set()  # names in any of the code
        self._modules: list[types.ModuleType] = []
        self._absent: list[str] = []  # modules that an import inside of a function has not loaded yet
        for function in functions:
            self._visit(function)
        self._members_of_modules()

    def holds(self) -> bool:
        """Tell whether everything is as it was; an open guard never holds."""
        if self.open or not self.unchanged():
            return False
        return not self._absent or not any(name in sys.modules for name in self._absent)

    def unchanged(self) -> bool:  # noqa: PLR0911, PLR0912 - calls would cost as much as the comparing
        """Tell whether all that could be looked into is as it was."""
        for space, name, expected in self._names:
            if (now := space.get(name, Guard)) is not expected and not same_number(now, expected):
                return False
        for function, code, defaults, keywords, bare in self._functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
            if function.__kwdefaults__ is not keywords or (bare and function.__dict__):
                return False
        for cell, expected in self._cells:
            if (now := cell.cell_contents) is not expected and not same_number(now, expected):
                return False
        for thing, kind in self._kinds:
            if type(thing) is not kind:
                return False
        for kind, bases, members, size in self._classes:
            if kind.__mro__ is not bases or len(members) != size:
                return False
        for check in self._checks:  # noqa: SIM110 - this runs before every call, and `all` takes twice as long
            if not check():
                return False
        return True

    def _visit(self, thing: Any) -> None:
        """Note an object and what it leads to."""
        if type(thing) in Box.types:  # first, since a box answers isinstance() for what it holds
            self.leaked = True
            return
        if plain(thing) or id(thing) in self._seen:
            return
        if len(self._seen) > _LIMIT or trust.hides(thing):
            self.open = True
            return
        self._seen[id(thing)] = thing
        for kinds, visit in self._KINDS:
            if isinstance(thing, kinds):
                visit(self, thing)
                return
        for kinds, visit in self._CONTENTS:
            if isinstance(thing, kinds):
                visit(self, thing)
                if not standard(type(thing).__module__):
                    self._attributes(thing)
                return
        self._object(thing)

    def _function(self, function: types.FunctionType) -> None:
        for cell in function.__closure__ or ():  # a decorator of a library's may hold a function of the user's
            self._cell(cell)
        if trusted(str(function.__globals__.get("__name__"))):
            self._derivatives(function)
            return
        code = function.__code__
        if trust.standard_code(code):
            self.open = True
            return
        defaults, keywords = function.__defaults__, function.__kwdefaults__
        self._functions.append((function, code, defaults, keywords, not function.__dict__))
        for value in (defaults, keywords, function.__dict__ or None):
            self._visit(value)
        self._globals(function, code)

    def _derivatives(self, function: types.FunctionType) -> None:
        """Note the derivatives of a user's own primitive: autograd keeps them in a table."""
        raw = getattr(function, "fun", None)
        if raw is not None and not trusted(str(getattr(raw, "__module__", None))):
            vjps = primitive_vjps.get(function, Guard)
            self._names.append((primitive_vjps, function, vjps))
            self._visit(vjps)

    def _cell(self, cell: Any) -> None:
        try:
            content = cell.cell_contents
        except ValueError:
            self.open = True
            return
        self._cells.append((cell, content))
        self._visit(content)

    def _globals(self, function: types.FunctionType, code: types.CodeType) -> None:
        names, read = sorted(names_in(code)), globals_in(code)
        self._mentioned.update(names)
        space = function.__globals__
        for name in names:
            if (id(space), name) in self._looked_up:
                continue
            if name in space:
                self._looked_up.add((id(space), name))
                self._names.append((space, name, space[name]))
                self._visit(space[name])
                continue
            if name in read:  # a builtin, or nothing yet
                self._looked_up.add((id(space), name))
                self._names.append((space, name, Guard))
                builtins: Mapping[str, Any] = getattr(function, "__builtins__")  # noqa: B009 - mypy does not know it
                builtin = builtins.get(name, Guard)
                self._names.append((builtins, name, builtin))
                self._visit(builtin)
            if name in trust.HIDDEN_NAMES:
                self.open = True
        for name in imported_in(code, space.get("__package__") or ""):
            if name in sys.modules:
                self._visit(sys.modules[name])
            elif not trusted(name):
                self._absent.append(name)

    def _module(self, module: types.ModuleType) -> None:
        if module is decimal:
            self._context()
        elif not trusted(module.__name__):
            self._modules.append(module)
            members, size = vars(module), len(vars(module))
            self._checks.append(lambda: len(members) == size)

    def _members_of_modules(self) -> None:
        """Note the members of modules that the code mentions: which code reaches which module cannot be told."""
        noted: set[tuple[int, str]] = set()
        while True:
            found = [
                (vars(module), name)
                for module in self._modules
                for name in sorted(self._mentioned & vars(module).keys())
                if (id(module), name) not in noted
            ]
            if not found:
                return
            noted |= {(id(module), name) for module in self._modules for name in self._mentioned & vars(module).keys()}
            for space, name in found:
                self._names.append((space, name, space[name]))
                self._visit(space[name])

    def _same(self, read: Callable[[], Any], expected: Any) -> None:
        """Check that a name still means the same: plain values by value, others by identity."""
        self._checks.append(lambda: (now := read()) is expected or same_number(now, expected))

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        if array.dtype == object:
            self.open = True
            return
        shape, dtype, flags, content = array.shape, array.dtype, array.flags.num, array.tobytes()
        self._checks.append(
            lambda: (array.shape, array.dtype, array.flags.num) == (shape, dtype, flags) and array.tobytes() == content
        )

    def _mapping(self, mapping: Mapping[Any, Any]) -> None:
        if mapping is sys.modules:
            self.open = True
            return
        keys = list(mapping)
        self._checks.append(lambda: len(mapping) == len(keys) and _alike(list(mapping), keys))
        for key in keys:
            if isinstance(mapping, dict):
                self._names.append((mapping, key, mapping[key]))
            else:
                self._same(functools.partial(mapping.get, key, Guard), mapping[key])
            self._visit(key)
            self._visit(mapping[key])

    def _tuple(self, members: tuple[Any, ...]) -> None:
        for member in members:
            self._visit(member)

    def _sequence(self, sequence: Any) -> None:
        length = len(sequence)
        self._checks.append(lambda: len(sequence) == length)
        for index in range(length):
            self._same(functools.partial(sequence.__getitem__, index), sequence[index])
            self._visit(sequence[index])

    def _set(self, members: Any) -> None:
        copy = list(members)  # in this order: it is not the same for all sets that are equal
        self._checks.append(lambda: len(members) == len(copy) and _alike(list(members), copy))
        for member in copy:
            self._visit(member)

    def _partial(self, partial: functools.partial[Any]) -> None:
        self._visit(partial.func)
        self._visit(partial.args)
        self._visit(partial.keywords)

    def _method(self, method: types.MethodType) -> None:
        self._visit(method.__func__)
        self._visit(method.__self__)

    def _class(self, kind: type) -> None:
        if kind is decimal.Decimal:
            self._context()
        if trusted(kind.__module__):
            return
        if standard(kind.__module__):
            self.open = True
            return
        self._classes.append((kind, kind.__mro__, vars(kind), len(vars(kind))))
        if isinstance(kind, abc.ABCMeta):
            self._registry(kind)
        for name, member in list(vars(kind).items()):
            if name.startswith("__") and not isinstance(member, _CODE):  # what Python keeps about a class
                continue
            self._names.append((vars(kind), name, member))
            for function in _functions_of(member):
                self._visit(function)
        for base in (*kind.__mro__[1:], type(kind)):
            self._visit(base)

    def _generator(self, generator: np.random.Generator | np.random.RandomState) -> None:
        """Note a random state: drawing from it changes it, which shows after the trace."""
        read = _random_state(generator)
        state = read()
        self._checks.append(lambda: read() == state)

    def _builtin(self, function: Any) -> None:
        if function is decimal.getcontext:
            self._context()
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType):
            self._visit(owner)
        elif isinstance(function, types.BuiltinFunctionType):
            module = owner.__name__ if owner is not None else str(function.__module__)
            self.open = self.open or not trusted(module.lstrip("_"))  # those of `operator` are in `_operator`

    def _ufunc(self, ufunc: np.ufunc) -> None:
        """Note a ufunc of NumPy or SciPy, or the function that `np.frompyfunc` made one of."""
        parts = gc.get_referents(ufunc)
        self.open = self.open or not (any(map(callable, parts)) or trust.of_library(ufunc))
        for part in parts:
            self._visit(part)

    def _cached(self, function: Any) -> None:
        """Note a function of `functools.lru_cache`: what it calls, and the results that it keeps, in their order."""
        parts = gc.get_referents(function)
        self._checks.append(lambda: _identical(gc.get_referents(function), parts))
        for part in parts:
            # The results themselves are among the parts, and the links between them cannot be looked into.
            linked = type(part) is dict and any(
                type(accessor).__name__ == "_lru_list_elem" for accessor in part.values()
            )
            if not linked:
                self._visit(part)

    def _getter(self, getter: Any) -> None:
        """Note an itemgetter or a methodcaller: what it was made of."""
        made = getter.__reduce__()
        self._visit(made)
        if isinstance(getter, operator.methodcaller):
            name = (*getattr(made[0], "args", ()), *made[1])[0]
            self._mentioned.add(name)
            self.open = self.open or name in trust.HIDDEN_NAMES

    def _registry(self, kind: abc.ABCMeta) -> None:
        """Note which classes an abstract class takes for its own; others register theirs, as most imports do."""
        known, taken = abc.get_cache_token(), _registered(kind)  # the token counts what is registered anywhere

        def same() -> bool:
            nonlocal known
            now = abc.get_cache_token()
            if now != known and _registered(kind) == taken:
                known = now
            return now == known

        self._checks.append(same)

    def _value(self, value: Any) -> None:
        """Note nothing of a value that never changes, except that decimals are rounded as their context says."""
        if isinstance(value, decimal.Decimal):
            self._context()

    def _context(self) -> None:
        self._same(_decimal_context, _decimal_context())

    def _object(self, thing: Any) -> None:
        """Note an object of the user's: its class, its attributes; what has neither cannot be looked into."""
        kind = type(thing)
        if kind is object or kind.__module__ == "typing":
            return
        if str(kind.__module__).partition(".")[0] == "torch":  # a tensor's numbers can change; JAX's arrays cannot
            self.open = True
            return
        if not hasattr(thing, "__dict__") and not any(map(_slots, kind.__mro__)):
            self.open = True
            return
        self._attributes(thing)

    def _attributes(self, thing: Any) -> None:
        """Note what an object has beside its contents: its class and its attributes."""
        kind = type(thing)
        if not trusted(kind.__module__):
            self._kinds.append((thing, kind))
            self._visit(kind)
        self._visit(getattr(thing, "__dict__", None))
        for name in (name for base in kind.__mro__ for name in _slots(base)):
            value = getattr(thing, name, Guard)
            self._same(functools.partial(getattr, thing, name, Guard), value)
            self._visit(value)

    _KINDS: tuple[tuple[Any, Callable[..., None]], ...] = (
        (types.FunctionType, _function), (types.ModuleType, _module), (types.MethodType, _method), (type, _class),
        (types.BuiltinFunctionType, _builtin), (np.ufunc, _ufunc), (functools._lru_cache_wrapper, _cached),
        (type(np.dot), _value), (type(vars(Mapping)["_abc_impl"]), _value),
    )  # fmt: skip
    #: Of these a user's class can add attributes and methods.
    _CONTENTS: tuple[tuple[Any, Callable[..., None]], ...] = (
        (np.ndarray, _array), (Mapping, _mapping), (tuple, _tuple), ((list, deque), _sequence),
        ((set, frozenset), _set), (functools.partial, _partial),
        ((np.random.Generator, np.random.RandomState, random.Random), _generator),
        ((operator.itemgetter, operator.methodcaller), _getter), ((*trust.PLAIN, *trust.FIXED), _value),
    )  # fmt: skip


def _identical(now: list[Any], expected: list[Any]) -> bool:
    return len(now) == len(expected) and all(map(operator.is_, now, expected))


def _alike(now: list[Any], expected: list[Any]) -> bool:
    """Tell whether keys are the same in the same order: 1, 1.0 and True are three keys, equal as they are."""
    return _identical(now, expected) or all(
        a is b or (same_number(a, b) if plain(b) else type(a) is type(b) and a == b)
        for a, b in zip(now, expected, strict=False)
    )


def _functions_of(member: Any) -> Iterator[Any]:
    if isinstance(member, property):
        yield from (accessor for accessor in (member.fget, member.fset) if accessor is not None)
    elif isinstance(member, staticmethod | classmethod):
        yield member.__func__
    else:
        yield member


def _registered(kind: abc.ABCMeta) -> set[Any]:
    """Return weak references to all classes that an abstract class has registered, or one that it takes for its own."""
    found: set[Any] = set()
    waiting: list[Any] = [kind]
    while waiting:
        abstract = waiting.pop()
        registry = _get_dump(abstract)[0] - found
        found |= registry
        waiting += [own for own in (*abstract.__subclasses__(), *(entry() for entry in registry))
                    if isinstance(own, abc.ABCMeta)]  # fmt: skip
    return found


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(name for name in slots if name != "__weakref__")


def _random_state(generator: Any) -> Callable[[], str]:
    if isinstance(generator, random.Random):
        return lambda: repr(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return lambda: repr(generator.get_state())
    return lambda: repr(generator.bit_generator.state)


def _decimal_context() -> str:
    context = decimal.getcontext().copy()
    context.clear_flags()
    return repr(context)


def global_random_states() -> tuple[str, str]:
    """Return the states of the two global random generators."""
    return repr(random.getstate()), repr([part.tolist() if hasattr(part, "tolist") else part
                                          for part in np.random.get_state(legacy=True)])  # fmt: skip
