"""From emitted source to LLVM's instructions.

Emitted source is Numba source, and `numba_target` compiles it with Numba where bounds are checked. But
it uses so little of Python (numbers, elements of arrays, counted loops, calls by name), and its types are so plain,
that its instructions can be written down in one walk over it, in a fiftieth of the time that Numba's inference takes.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.walk import INTEGER, KINDS, Walk
from refmaml.compiled.program.kernels import Kernel, MatMul
from refmaml.compiled.program.program import DType

#: Multiplications, and calls, from which a kernel becomes a function of its own: a second-order step calls the same one
#: for the inner, the outer and the adjoint program, and LLVM's passes take longer than in proportion to a function.
_LARGE, _OFTEN = 1000, 3


def instructions(
    entry: str, source: str, kernels: Mapping[str, Kernel], dtypes: Sequence[DType], contract: bool
) -> str:
    """Return the LLVM instructions of emitted source whose parameters are arrays of `dtypes`, unoptimised.

    `entry` names the function that comes out: of one array that holds the addresses of the arrays. `contract`: a·b + c
    may be rounded once.
    """
    (definition,) = ast.parse(source).body
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError("expected the source of one function.")
    module = ir.Module("refmaml")
    kind = ir.FunctionType(ir.VoidType(), [KINDS[dtype].as_pointer() for dtype in dtypes])
    function = ir.Function(module, kind, "step")
    function.linkage = "internal"
    function.attributes.add("nounwind")
    memory = dict(zip([arg.arg for arg in definition.args.args], function.args, strict=True))
    for name, argument in memory.items():
        if name != "counter":  # which other threads change; no two of the others overlap where one is written
            argument.add_attribute("noalias")
    calls = Counter(node.id for node in ast.walk(definition) if isinstance(node, ast.Name))
    apart = {name for name, kernel in kernels.items() if _is_large(kernel) and calls[name] >= _OFTEN}
    Walk(function, memory, kernels, apart).whole(definition.body)
    for written in module.functions if contract else []:
        _contract(written)
    _enter(module, entry, function)
    return str(module)


def _enter(module: Any, name: str, function: Any) -> None:
    """Write the function that takes the addresses out of one array and calls another with them."""
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [INTEGER.as_pointer()]), name)
    builder = ir.IRBuilder(entry.append_basic_block())
    places = [builder.gep(entry.args[0], [INTEGER(index)]) for index in range(len(function.args))]
    builder.call(function, [
        builder.inttoptr(builder.load(place), argument.type)
        for place, argument in zip(places, function.args, strict=True)
    ])  # fmt: skip
    builder.ret_void()


def _is_large(kernel: Kernel) -> bool:
    return isinstance(kernel, MatMul) and kernel.rows * kernel.columns * kernel.summed >= _LARGE


def _contract(function: Any) -> None:
    for block in function.blocks:
        for instruction in block.instructions:
            if instruction.opname in ("fadd", "fsub", "fmul") and not instruction.flags:
                instruction.flags.append("contract")
