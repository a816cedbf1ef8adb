"""From emitted source to LLVM's instructions.

Emitted source is Numba source, and Numba compiles it as such where bounds are checked. But it uses so little of Python
(numbers, elements of arrays, counted loops, calls by name), and its types are so plain, that its instructions can be
written down in one walk over it, in a fiftieth of the time that Numba's inference takes.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.casts import INTEGER
from refmaml.compiled.machine.repeats import Repeat, repeats
from refmaml.compiled.machine.walk import KINDS, Walk
from refmaml.compiled.program.kernels import Kernel, MatMul, Turn
from refmaml.compiled.program.program import DType

#: Multiplications or elements, and calls, from which a kernel becomes a function of its own: a second-order step calls
#: the same one for the inner, the outer and the adjoint program, and LLVM's passes take the more the longer a function.
_LARGE, _OFTEN = 300, 2
#: Lines of source from which transpositions and loops become functions too. In shorter sources they would save little.
_LONG = 500
_WORKSPACES = ("w4", "w8", "wb")


def instructions(
    source: str,
    kernels: Mapping[str, Kernel],
    parameters: Mapping[str, DType],
    lanes: int = 1,
    *,
    contract: bool,
    checked: bool,
) -> tuple[str, dict[str, int]]:
    """Return the LLVM instructions of emitted source, unoptimised, and how many numbers each of its functions takes.

    Beside these numbers a function takes `memory`: the address of the addresses of `parameters`. It returns an integer.
    `lanes`: so many tasks are computed at once, and each element of a workspace is a vector of a number for each.
    `contract`: a·b + c may be rounded once. `checked`: the sizes of the arrays follow on their addresses, and then what
    is 1 as soon as a function would have reached beyond an array; it has then returned.
    """
    tree = ast.parse(source)
    calls = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    is_long = source.count("\n") >= _LONG
    apart = {
        name
        for name, kernel in kernels.items()
        if (is_long or isinstance(kernel, MatMul)) and _work(kernel) >= _LARGE and calls[name] >= _OFTEN
    }
    module = ir.Module("bodies")
    numbers = {}
    definitions = [definition for definition in tree.body if isinstance(definition, ast.FunctionDef)]
    if len(definitions) < len(tree.body):
        raise TypeError("expected the source of functions alone.")
    repeated = repeats(source, definitions) if is_long and not checked else {}
    for definition in definitions:
        _memory, *given = [arg.arg for arg in definition.args.args]
        numbers[definition.name] = len(given)
        _write(module, definition, given, kernels, parameters, apart, repeated, lanes, checked)
    for written in module.functions if contract else []:
        _contract(written)
    return str(module), numbers


def _write(
    module: Any, definition: ast.FunctionDef, numbers: Sequence[str], kernels: Mapping[str, Kernel],
    parameters: Mapping[str, DType], apart: set[str], repeated: Mapping[ast.stmt, Repeat], lanes: int, checked: bool,
) -> None:  # fmt: skip
    """Write a function that takes the addresses of its arrays out of memory, and calls what works on these arrays."""
    arrays = [node.value.attr for node in definition.body if isinstance(node, ast.Assign)
              and isinstance(node.value, ast.Attribute)]  # fmt: skip
    places = {name: index for index, name in enumerate(parameters)}
    elements = {array: KINDS[parameters[array]] for array in arrays}
    if lanes > 1:
        elements |= {array: ir.VectorType(kind, lanes) for array, kind in elements.items() if array in _WORKSPACES}
    pointers = [kind.as_pointer() for kind in elements.values()]
    given = [INTEGER.as_pointer(), *[INTEGER] * len(numbers)]
    function = ir.Function(module, ir.FunctionType(INTEGER, given), definition.name)
    work = ir.Function(module, ir.FunctionType(INTEGER, [*given, *pointers]), f"{definition.name}.work")
    for made in (function, work):
        made.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    addresses = [builder.load(builder.gep(function.args[0], [INTEGER(places[array])])) for array in arrays]
    found = [builder.inttoptr(address, kind) for address, kind in zip(addresses, pointers, strict=True)]
    builder.ret(builder.call(work, [*function.args, *found]))
    _memory, *rest = work.args
    memory = dict(zip(arrays, rest[len(numbers) :], strict=True))
    for name, argument in memory.items():
        if name != "counter":  # which other threads change; no two of the others overlap where one is written
            argument.add_attribute("noalias")
    walk = Walk(work, memory, dict(zip(numbers, rest, strict=False)), kernels, apart, repeated)
    if checked:
        sizes = {array: len(parameters) + places[array] for array in arrays}
        walk.check(sizes, 2 * len(parameters))
    walk.whole(definition.body[len(arrays) :])


def _work(kernel: Kernel) -> int:
    if isinstance(kernel, MatMul):
        return kernel.rows * kernel.columns * kernel.summed
    return kernel.rows * kernel.columns if isinstance(kernel, Turn) else 0


def _contract(function: Any) -> None:
    for block in function.blocks:
        for instruction in block.instructions:
            if instruction.opname in ("fadd", "fsub", "fmul") and not instruction.flags:
                instruction.flags.append("contract")
