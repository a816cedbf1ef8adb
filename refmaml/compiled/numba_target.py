"""Numba's compiler as far as LLVM's instructions, unoptimised: `refmaml.compiled.cache` optimises them once.

Numba itself runs LLVM's passes function by function, then over the module twice, and makes machine code for its own
process. That is most of a compile; the steps here need one run of the passes and one object file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from numba.core import codegen, compiler, registry, types


class _Unoptimised(codegen.AOTCodeLibrary):
    """A library that leaves the instructions as they are."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Leave each function."""

    def _optimize_final_module(self) -> None:
        """Leave the module."""


class _Codegen(codegen.AOTCPUCodegen):
    _library_class = _Unoptimised


@lru_cache(maxsize=1)
def _context() -> Any:
    """Return a target like Numba's own, with the code generator above."""
    own = registry.cpu_target.target_context
    own.refresh()
    generator: Any = _Codegen
    context = own.subtarget(_internal_codegen=generator("refmaml", "host"))
    context.get_executable = lambda *_: None  # it is loaded by `refmaml.compiled.cache`
    return context


def instructions(
    function: Callable[..., Any], signature: Sequence[Any], error_model: str, fast_math: set[str]
) -> tuple[str, str]:
    """Return (symbol, LLVM instructions) of a function of pointers."""
    numba: Any = compiler  # its flags and functions have no types
    flags = numba.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True  # ctypes calls the function itself
    flags.error_model = error_model
    flags.fastmath = fast_math
    flags.nrt = False  # nothing is allocated
    typing = registry.cpu_target.typing_context
    typing.refresh()
    result = numba.compile_extra(typing, _context(), function, tuple(signature), types.void, flags, {})
    return result.fndesc.llvm_func_name, result.library.get_llvm_str()
