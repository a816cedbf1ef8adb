"""From emitted source to a function that runs: compiling, loading, and calling it from several threads.

The only module with jit options. `Numba` compiles the source to LLVM's instructions, LLVM those to machine code, and
the machine code is loaded from memory; it is also what the disk cache keeps, so that a new process needs neither
Numba nor its compiler. With ``NUMBA_DISABLE_JIT=1`` the source runs as plain Python, and with ``NUMBA_BOUNDSCHECK=1``
Numba checks every access.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refmaml.compiled import cache
from refmaml.compiled.emit import Header
from refmaml.compiled.kernels import Kernel
from refmaml.compiled.program import BOOL, FLOAT32, FLOAT64, INT64, DType
from refmaml.compiled.scalars import PLAIN, SPECIAL

_log = logging.getLogger("refmaml.compiled")
Run = Callable[[Sequence[np.ndarray[Any, Any]]], None]

#: What this process has loaded, by its name in the disk cache.
_loaded: dict[str, Run] = {}

#: NumPy's division: NaN or infinity, never an exception.
_ERROR_MODEL = "numpy"
#: a·b + c with one rounding instead of two: within half a unit of either, and never another NaN or infinity, except
#: where the product alone would overflow. Nothing else: sums keep their order, and NaN and infinity their meaning.
_FAST_MATH = {"contract"}


def _setting(name: str) -> bool:
    """Return one of Numba's settings, without loading Numba where nothing has loaded it yet."""
    config = sys.modules.get("numba.core.config")
    if config is not None:
        return bool(getattr(config, name))
    return os.environ.get(f"NUMBA_{name}", "0") not in ("", "0")


def executable(source: str, header: Header, dtypes: Sequence[DType]) -> Run:
    """Return a function that runs emitted source on arrays of `dtypes`."""
    if _setting("DISABLE_JIT"):
        return _interpreted(source, header)
    if _setting("BOUNDSCHECK"):
        return _checked(source, header)
    key = cache.key(source, repr(sorted(header.kernels.items())), [dtype.str for dtype in dtypes])
    if key not in _loaded:
        found = cache.load(key)
        if found is None:
            found = _compiled(source, header, dtypes)
            cache.store(key, found)
        _loaded[key] = _native(found, sorted(header.functions & set(SPECIAL)), len(dtypes))
    return _loaded[key]


def _namespace(header: Header, jit: bool) -> dict[str, Any]:
    names: dict[str, Any] = {"f4": np.float32, "f8": np.float64, "i8": np.int64, "infinity": np.inf}
    names["not_a_number"] = np.nan
    names |= {name: _kernel(kernel, jit) for name, kernel in header.kernels.items()}
    names["claim"] = _claim_intrinsic() if jit else _claim
    return names | {name: _scalar(name) if jit else PLAIN[name] for name in header.functions}


def _kernel(kernel: Kernel, jit: bool) -> Callable[..., Any]:
    """Return what emitted source calls: vector code inside compiled source, the plain function outside."""
    if not jit:
        return kernel.plain
    from refmaml.compiled.microkernels import intrinsic_of

    return intrinsic_of(kernel)


def _scalar(name: str) -> Any:
    from refmaml.compiled.vectormath import intrinsic_of

    return intrinsic_of(name)


def _defined(source: str, names: dict[str, Any]) -> Callable[..., Any]:
    exec(compile(source, "<refmaml.compiled>", "exec"), names)
    run: Callable[..., Any] = names["run"]
    return run


def _interpreted(source: str, header: Header) -> Run:
    function = _defined(source, _namespace(header, jit=False))

    def run(arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        with np.errstate(all="ignore"):
            function(*arrays)

    return run


def _checked(source: str, header: Header) -> Run:
    from numba import njit

    options: dict[str, Any] = {"error_model": _ERROR_MODEL, "fastmath": _FAST_MATH}
    function = njit(nogil=True, boundscheck=True, **options)(_defined(source, _namespace(header, jit=True)))
    return lambda arrays: function(*arrays)


def _claim(counter: np.ndarray[Any, Any], limit: int) -> int:
    """Take the next number below `limit`, or −1; no two callers get the same."""
    counter[0] += 1
    return int(counter[0] - 1) if counter[0] <= limit else -1


def _claim_intrinsic() -> Any:
    from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
    from numba import extending, types

    from refmaml.compiled.microkernels import extending_array_data

    @extending.intrinsic
    def claim(_, counter, limit):  # type: ignore[no-untyped-def]  # noqa: ARG001  # Numba reads this signature
        def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
            memory = args[0]
            if isinstance(signature.args[0], types.Array):
                memory = extending_array_data(context, builder, signature.args[0], memory)
            before = builder.atomic_rmw("add", memory, ir.IntType(64)(1), "monotonic")
            inside = builder.icmp_signed("<", before, args[1])
            return builder.select(inside, before, ir.IntType(64)(-1))

        return types.int64(counter, types.int64), write

    return claim


def _compiled(source: str, header: Header, dtypes: Sequence[DType]) -> cache.Machine:
    """Compile to machine code."""
    try:
        from numba.core import types
    except ImportError as error:
        raise ImportError("refmaml.compiled needs Numba: pip install 'refmaml[compiled]'.") from error

    from refmaml.compiled.numba_target import instructions

    began = time.perf_counter()
    _log.info("compiling a step of %d lines", source.count("\n"))
    kinds = {FLOAT32: types.float32, FLOAT64: types.float64, INT64: types.int64, BOOL: types.uint8}
    function = _defined(source, _namespace(header, jit=True))
    pointer: Any = types.CPointer
    signature = [pointer(kinds[dtype]) for dtype in dtypes]
    symbol, assembly = instructions(function, signature, _ERROR_MODEL, _FAST_MATH)
    _log.info("typed by Numba after %.2f s", time.perf_counter() - began)
    code = cache.machine_code(assembly)
    _log.info("compiled in %.2f s, %d bytes", time.perf_counter() - began, len(code))
    return cache.Machine(symbol, code)


def _native(machine: cache.Machine, special: Sequence[str], arguments: int) -> Run:
    """Load machine code and return a caller that passes addresses and lets other threads run."""
    engine, address = cache.linked(machine, {SPECIAL[name]: _special_address(SPECIAL[name]) for name in special})
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * (2 + arguments))
    function = prototype(address)
    nothing = (ctypes.c_void_p * 4)()
    unused = ctypes.addressof(nothing)

    def run(arrays: Sequence[Any]) -> None:
        function(unused, unused, *arrays)

    run.takes_addresses = True  # type: ignore[attr-defined]
    run.keeps = (engine, nothing)  # type: ignore[attr-defined]
    return run


def _special_address(name: str) -> int:
    """Return the address of the variant of a SciPy function that takes and gives float64."""
    from scipy.special import cython_special

    capsules = cython_special.__pyx_capi__
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    for candidate in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}", f"__pyx_fuse_2{name}"):
        signature = get_name(capsules[candidate]) if candidate in capsules else b""
        kinds = signature.decode().replace("long,", "double,").partition("(")[2].split(",")
        if signature.startswith(b"double (") and all(kind.strip() == "double" for kind in kinds[:-1]):
            if name == "yn" and b"long" not in signature:
                continue
            return int(get_pointer(capsules[candidate], signature))
    raise ImportError(f"scipy.special.cython_special has no {name} of float64; refmaml.compiled needs SciPy 1.10 on.")
