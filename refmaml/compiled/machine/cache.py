"""Machine code: made by LLVM, loaded into this process, kept on disk for the next one.

An entry is named by a hash of everything that it depends on: the emitted source, the kernels, the types, the versions
of this package, Numba, llvmlite and SciPy, and the processor. It holds a header, a checksum and an object file; an
entry that is damaged, cut short or of another kind is ignored and written anew. Nothing is unpickled. Loading machine
code is running it, so an entry is read only from a directory, and a file, that belong to this user and that nobody
else can write to; where there is no such directory, nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]  # it has no types
import llvmlite.binding as llvm  # type: ignore[import-untyped]  # it has no types
import numpy as np

_log = logging.getLogger("refmaml.compiled")
_MAGIC = b"refmaml machine code 1\n"
#: The directory of the cache; an empty value turns it off.
VARIABLE = "REFMAML_CACHE_DIR"


@dataclass(frozen=True)
class Machine:
    """An object file and the name of its function."""

    symbol: str
    code: bytes


def directory() -> Path | None:
    """Return where entries are kept, or None where nothing is kept."""
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "refmaml"


@lru_cache(maxsize=1)
def _surroundings() -> tuple[str, ...]:
    """Return the versions and the processor that machine code depends on."""
    _initialise()
    loaded = [f"{library.__name__} {library.__version__}" for library in (llvmlite, np)]
    found = [*loaded, *(_version(name) for name in ("refmaml", "numba", "scipy"))]  # those two may not be loaded
    cpu = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), platform.system(), platform.machine())
    return (*found, *cpu, str(llvm.llvm_version_info), _own_code())


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} of no known version"


def _own_code() -> str:
    """Return a hash of this package's modules: the emitted source only names the vector code that they write."""
    *parents, _ = __name__.split(".")
    package = sys.modules[".".join(parents[:2])]  # the engine, wherever in it this module is
    folder = Path(package.__file__ or "").parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def key(source: str, kernels: str, types: Sequence[str]) -> str:
    """Return the name of an entry."""
    digest = hashlib.sha256()
    for part in (source, kernels, *types, *_surroundings()):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def load(name: str) -> Machine | None:
    """Return an entry, or None where there is none that can be trusted."""
    folder = directory()
    if folder is None or not _is_ours(folder, stat.S_ISDIR):
        return None
    path = folder / name
    if not _is_ours(path, stat.S_ISREG):
        return None
    try:
        return _decoded(path.read_bytes(), name)
    except (OSError, ValueError) as error:
        _log.info("ignoring a damaged cache entry (%s)", error)
        return None


def _is_ours(path: Path, kind: Any) -> bool:
    """Tell whether a path is of its kind, belongs to this user, and can be written to by nobody else."""
    try:
        status = path.lstat()
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if kind(status.st_mode) and mine and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    _log.warning("not using %s: it is not this user's alone", path)
    return False


def _decoded(content: bytes, name: str) -> Machine:
    magic, checksum, rest = content[: len(_MAGIC)], content[len(_MAGIC) :][:32], content[len(_MAGIC) + 32 :]
    if magic != _MAGIC or hashlib.sha256(name.encode() + rest).digest() != checksum:
        raise ValueError("its checksum differs")
    symbol, _, code = rest.partition(b"\0")
    return Machine(symbol.decode(), code)


def store(name: str, machine: Machine) -> None:
    """Keep an entry: written beside its place and then renamed, so that readers see all of it or nothing."""
    folder = directory()
    if folder is None:
        return
    rest = machine.symbol.encode() + b"\0" + machine.code
    content = _MAGIC + hashlib.sha256(name.encode() + rest).digest() + rest
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(folder, stat.S_ISDIR):
            return
        descriptor, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, folder / name)
    except OSError as error:
        _log.info("not keeping compiled code in %s: %s", folder, error)


@lru_cache(maxsize=1)
def _initialise() -> None:
    with contextlib.suppress(RuntimeError):  # newer LLVM bindings need it no more, and say so
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def has_long_registers() -> bool:
    """Tell whether this processor has 32 vector registers of 64 bytes (AVX-512)."""
    _initialise()
    features = llvm.get_host_cpu_features()
    return all(features.get(name, False) for name in ("avx512f", "avx512vl"))


def _target_machine() -> Any:
    _initialise()
    # LLVM uses half of each on most of these processors, since the first of them lowered their frequency for more.
    longer = ",-prefer-256-bit" if has_long_registers() else ""
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten() + longer, opt=3,
        reloc="pic", codemodel="jitdefault",
    )  # fmt: skip


def machine_code(symbol: str, assemblies: Sequence[str]) -> bytes:
    """Link modules of LLVM instructions, optimise them around one function, and return their object file."""
    module, *others = map(llvm.parse_assembly, assemblies)
    for other in others:
        other.triple, other.data_layout = module.triple, module.data_layout
        module.link_in(other)
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    target = _target_machine()
    # Unrolling and interleaving make the code of short rows three times as long, slower to compile and to run;
    # the kernels are vectors already, and SLP finds nothing else here.
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    options.slp_vectorization = options.loop_interleaving = options.loop_unrolling = False
    passes = llvm.create_pass_builder(target, options)
    passes.getModulePassManager().run(module, passes)
    code: bytes = target.emit_object(module)
    return code


def add_symbol(name: str, address: int) -> None:
    """Tell the linker where a function of SciPy's is."""
    llvm.add_symbol(name, address)


def built(assembly: str) -> Any:
    """Compile LLVM's instructions for this processor; return what keeps them loaded and knows their addresses."""
    _initialise()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(assembly), _target_machine())
    engine.finalize_object()
    return engine


def linked(machine: Machine) -> tuple[Any, int]:
    """Load an object file; return what keeps it loaded, and the address of its function."""
    engine = built("")
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine.code))
    engine.finalize_object()
    return engine, engine.get_function_address(machine.symbol)
