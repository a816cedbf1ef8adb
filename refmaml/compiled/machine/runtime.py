"""From emitted source to a function that runs: compiling, loading, and calling it from several threads.

The only module with jit options. Numba compiles the driver, LLVM links it with the instructions of the bodies and
optimises both as one, and the object file is loaded from memory; it is also what the disk cache keeps. So a process
that finds it there does not load Numba. With ``NUMBA_DISABLE_JIT=1`` the source runs as plain Python, and with
``NUMBA_BOUNDSCHECK=1`` the instructions check every access, and every kernel's reach before it runs.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from refmaml.compiled.code.places import Header
from refmaml.compiled.code.source import Emitted
from refmaml.compiled.machine import cache
from refmaml.compiled.machine.factors import routines
from refmaml.compiled.machine.factors import symbol_of as lapack_symbol
from refmaml.compiled.machine.registers import registers
from refmaml.compiled.machine.vectormath import symbol_of
from refmaml.compiled.program.kernels import Factors
from refmaml.compiled.program.program import DType
from refmaml.compiled.program.scalars import SPECIAL, plain

_log = logging.getLogger("refmaml.compiled")
Numbers = np.ndarray[Any, Any]
Run = Callable[[Sequence[Numbers]], None]

#: What this process has loaded, by its name in the disk cache; it is unloaded with the last plan that runs it.
_loaded: WeakValueDictionary[str, Native] = WeakValueDictionary()

#: NumPy's division: NaN or infinity, never an exception.
_ERROR_MODEL = "numpy"
#: a·b + c with one rounding instead of two: within half a unit of either, and never another NaN or infinity, except
#: where the product alone would overflow. Nothing else: sums keep their order, and NaN and infinity their meaning.
_CONTRACT = True


def _setting(name: str) -> bool:
    """Return one of Numba's settings, without loading Numba where nothing has loaded it yet."""
    config = sys.modules.get("numba.core.config")
    if config is not None:
        return bool(getattr(config, name))
    return os.environ.get(f"NUMBA_{name}", "0") not in ("", "0")


@dataclass(frozen=True)
class Native:
    """Machine code: `call`, which lets other threads run, and the same function's address; both get an array's address.

    That array holds the addresses of the arguments.
    """

    call: Callable[[int], Any]
    address: int
    keeps: Any


def lanes_of(dtype: DType) -> int:
    """Return how many tasks the machine code can compute at once: as many as a vector register has numbers."""
    if _setting("DISABLE_JIT") or _setting("BOUNDSCHECK"):
        return 1
    return registers().size // dtype.itemsize


def unload() -> None:
    """Forget what has been loaded; the disk cache stays."""
    _loaded.clear()


def executable(step: Emitted) -> Run | Native:
    """Return what runs a step: a function of arrays, or machine code."""
    if _setting("DISABLE_JIT"):
        return _interpreted(step)
    if _setting("BOUNDSCHECK"):
        return _checked(step)
    kinds = [f"{name} {dtype.str}" for name, dtype in step.parameters.items()]
    key = cache.key(step.source, repr((step.driver.__name__, step.lanes, sorted(step.header.kernels.items()))), kinds)
    native = _loaded.get(key)
    if native is None:
        found = cache.load(key)
        if found is None:
            found = _compiled(step)
            cache.store(key, found)
        _loaded[key] = native = _native(found, step.header)
    return native


def _bodies_of(step: Emitted) -> Sequence[str]:
    """Return the names of the bodies that the driver calls."""
    return list(signature(step.driver).parameters)


def _interpreted(step: Emitted) -> Run:
    names: dict[str, Any] = {"f4": np.float32, "f8": np.float64, "i8": np.int64}
    names |= {"infinity": np.inf, "not_a_number": np.nan, "next_below": _next_below, "finished": _finished}
    names |= {name: kernel.plain for name, kernel in step.header.kernels.items()}
    names |= {name: plain(name) for name in step.header.functions}
    exec(compile(step.source, "<refmaml.compiled>", "exec"), names)
    function = step.driver(**{name: names[name] for name in _bodies_of(step)})
    memory = namedtuple("memory", step.parameters)  # type: ignore[misc]

    def run(arrays: Sequence[Numbers]) -> None:
        with np.errstate(all="ignore"):
            function(memory(*arrays))

    return run


def _checked(step: Emitted) -> Run:
    native = _native(_compiled(step, checked=True), step.header)

    def run(arrays: Sequence[Numbers]) -> None:
        block = np.array([*(array.ctypes.data for array in arrays), *(array.size for array in arrays), 0])
        native.call(block.ctypes.data)
        if block[-1]:
            raise IndexError("a step reaches beyond one of its arrays")

    return run


def _next_below(counter: Numbers, limit: int) -> int:
    """Take the next number below `limit`, or −1; no two callers get the same."""
    counter[0] += 1
    return int(counter[0] - 1) if counter[0] <= limit else -1


def _finished(counter: Numbers, chunk: int) -> None:
    """Note that a chunk is finished."""
    counter[1 + chunk] = 1


def _compiled(step: Emitted, *, checked: bool = False) -> cache.Machine:
    """Compile to machine code."""
    began = time.perf_counter()
    _log.info("compiling a step of %d lines", step.source.count("\n"))
    symbol, *modules = assembly_of(step, checked=checked)
    _log.info("written in LLVM's instructions after %.2f s", time.perf_counter() - began)
    code = cache.machine_code(symbol, modules)
    _log.info("compiled in %.2f s, %d bytes", time.perf_counter() - began, len(code))
    return cache.Machine(symbol, code)


def assembly_of(step: Emitted, *, checked: bool = False) -> tuple[str, str, str]:
    """Return the name of Numba's function, its LLVM instructions, and those of the bodies, which are linked with it."""
    from refmaml.compiled.machine.instructions import instructions
    from refmaml.compiled.machine.numba_target import compiled

    bodies, numbers = instructions(
        step.source, step.header.kernels, step.parameters, step.lanes, contract=_CONTRACT, checked=checked
    )
    function = compiled(step.driver, tuple((name, numbers[name]) for name in _bodies_of(step)), _ERROR_MODEL)
    return function.native_name, function.inspect_llvm(), bodies


def _native(machine: cache.Machine, header: Header) -> Native:
    """Load machine code."""
    _link(header)
    engine, address = cache.linked(machine)
    return Native(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), address, engine)


def _link(header: Header) -> None:
    for name in sorted(header.functions & set(SPECIAL)):
        cache.add_symbol(symbol_of(SPECIAL[name]), _special_address(SPECIAL[name]))
    for routine in sorted({name for kernel in header.kernels.values() if isinstance(kernel, Factors)
                           for name in routines(kernel)}):  # fmt: skip
        cache.add_symbol(lapack_symbol(routine), _lapack_address(routine))


def _lapack_address(name: str) -> int:
    """Return the address of a routine of LAPACK, of which SciPy says what its arguments are."""
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__[name]
    signature = _capsule_name(capsule)
    if b"int *" not in signature:
        raise ImportError(
            f"scipy.linalg.cython_lapack: expected a {name} with integers of 32 bits, but got {signature!r}."
        )
    return _capsule_pointer(capsule, signature)


def _capsule_name(capsule: Any) -> bytes:
    get = ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return bytes(get(capsule) or b"")


def _capsule_pointer(capsule: Any, name: bytes) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(capsule, name))


def _special_address(name: str) -> int:
    """Return the address of the variant of a SciPy function that takes and gives float64."""
    from scipy.special import cython_special

    capsules = cython_special.__pyx_capi__
    for candidate in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}", f"__pyx_fuse_2{name}"):
        signature = _capsule_name(capsules[candidate]) if candidate in capsules else b""
        kinds = signature.decode().replace("long,", "double,").partition("(")[2].split(",")
        if signature.startswith(b"double (") and all(kind.strip() == "double" for kind in kinds[:-1]):
            if name == "yn" and b"long" not in signature:
                continue
            return _capsule_pointer(capsules[candidate], signature)
    raise ImportError(f"scipy.special.cython_special has no {name} of float64; refmaml.compiled needs SciPy 1.10 on.")
