"""What a guard need not look into, and what it cannot look into."""

from __future__ import annotations

import operator
import os
import re
import sys
import types
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

#: Libraries whose functions give the same for the same arguments.
_TRUSTED = ("autograd", "numpy", "scipy", "numba", "refmaml", "builtins", "math", "cmath", "functools", "itertools",
            "operator", "typing", "types", "collections", "dataclasses", "enum", "abc", "contextlib", "copy", "numbers",
            "fractions", "decimal", "statistics", "string", "re", "reprlib", "bisect", "heapq", "warnings",
            "jax", "jaxlib", "torch")  # fmt: skip
#: The rest of Python's own: what it does depends on files, the time or the state of the interpreter.
_STANDARD = os.path.dirname(os.__file__)
#: Objects of Python's own that never change.
FIXED = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType, types.CodeType,
         types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType, types.GenericAlias,
         types.UnionType, type(vars(namedtuple("_", "field"))["field"]), re.Pattern, Decimal, Fraction)  # fmt: skip
PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), range, slice,
         np.generic, np.dtype)  # fmt: skip
#: Ways to reach what the code does not name.
_PEEPHOLES = (eval, exec, globals, locals, vars, getattr, __import__, open, input, compile, operator.attrgetter)
#: Functions of trusted libraries that read files.
_READERS = (np.load, np.loadtxt, np.genfromtxt, np.fromfile, np.fromregex, np.memmap)
#: Where a ufunc that needs no looking into has its name.
_WITH_UFUNCS = ("numpy", "numpy.strings", "numpy.core.umath", "numpy._core.umath", "scipy.special")
HIDDEN_NAMES = {function.__name__ for function in (*_PEEPHOLES, *_READERS)} | {
    "__dict__", "__getattribute__", "__globals__", "open_memmap", "DataSource", "load_npz", "loadmat",
}  # fmt: skip
_HIDDEN = {id(function) for function in (*_PEEPHOLES, *_READERS)}


def trusted(module: object) -> bool:
    """Tell whether a module's functions and classes need not be looked into."""
    return str(module).partition(".")[0] in _TRUSTED  # the types of Cython have a descriptor there


def standard(module: object) -> bool:
    """Tell whether a module is Python's own and none of the trusted ones."""
    return str(module).partition(".")[0] in sys.stdlib_module_names and not trusted(module)


def standard_code(code: types.CodeType) -> bool:
    """Tell whether code is of Python's own library."""
    return code.co_filename.startswith((_STANDARD, "<frozen ")) and "-packages" not in code.co_filename


def of_library(ufunc: np.ufunc) -> bool:
    """Tell whether a ufunc is one of NumPy's or SciPy's own."""
    return any(getattr(sys.modules.get(name), ufunc.__name__, None) is ufunc for name in _WITH_UFUNCS)


def hides(thing: Any) -> bool:
    """Tell whether a function reaches what the code that calls it does not name."""
    return id(thing) in _HIDDEN or type(thing) is operator.attrgetter


def plain(thing: Any) -> bool:
    """Tell whether a thing is its value and nothing else; an instance of a user's class can have attributes."""
    return isinstance(thing, PLAIN) and trusted(type(thing).__module__)


def same_number(now: Any, expected: Any) -> bool:
    """Tell whether plain values are the same to the last bit; NaN is the same as NaN, and 0.0 is not −0.0."""
    return plain(expected) and type(now) is type(expected) and repr(now) == repr(expected)
