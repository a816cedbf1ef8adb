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

from refmaml.compiled.machine.walk import INTEGER, KINDS, Walk
from refmaml.compiled.program.kernels import Kernel, MatMul
from refmaml.compiled.program.program import DType

#: Multiplications, and calls, from which a kernel becomes a function of its own: a second-order step calls the same one
#: for the inner, the outer and the adjoint program, and LLVM's passes take longer than in proportion to a function.
_LARGE, _OFTEN = 1000, 3
_ADDRESSES = INTEGER.as_pointer()


class Instructions:
    """Writes the functions of emitted source into LLVM modules, each where it is first called.

    Their argument `memory` is the address of the addresses of `parameters`. `contract`: a·b + c may be rounded once.
    """

    def __init__(
        self, source: str, kernels: Mapping[str, Kernel], parameters: Mapping[str, DType], contract: bool
    ) -> None:
        tree = ast.parse(source)
        self._definitions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        calls = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        self._apart = {name for name, kernel in kernels.items() if _is_large(kernel) and calls[name] >= _OFTEN}
        self._kernels, self._contract = kernels, contract
        self._places = {name: (index, KINDS[dtype].as_pointer()) for index, (name, dtype) in
                        enumerate(parameters.items())}  # fmt: skip

    def numbers_of(self, name: str) -> int:
        """Return how many numbers a function takes beside `memory`."""
        return len(self._definitions[name].args.args) - 1

    def returns(self, name: str) -> bool:
        """Tell whether a function returns a number."""
        return isinstance(self._definitions[name].body[-1], ast.Return)

    def call(self, builder: Any, name: str, memory: Any, numbers: Sequence[Any]) -> Any:
        """Write a call of a function."""
        function = builder.module.globals.get(name) or self._written(builder.module, name)
        return builder.call(function, [memory, *numbers])

    def _written(self, module: Any, name: str) -> Any:
        """Write a function that takes the addresses of arrays out of memory, and calls what works on these arrays."""
        definition = self._definitions[name]
        arrays = [node.value.attr for node in definition.body if isinstance(node, ast.Assign)
                  and isinstance(node.value, ast.Attribute)]  # fmt: skip
        given = [_ADDRESSES, *[INTEGER] * self.numbers_of(name)]
        function = self._function(module, name, given)
        work = self._function(module, f"{name}.work", [*given, *(self._places[array][1] for array in arrays)])
        builder = ir.IRBuilder(function.append_basic_block())
        pointers = [self._pointer(builder, function.args[0], array) for array in arrays]
        result = builder.call(work, [*function.args, *pointers])
        builder.ret(result) if self.returns(name) else builder.ret_void()
        self._write(work, definition, arrays)
        return function

    def _function(self, module: Any, name: str, kinds: Sequence[Any]) -> Any:
        returned = INTEGER if self.returns(name.partition(".")[0]) else ir.VoidType()
        function = ir.Function(module, ir.FunctionType(returned, kinds), name)
        function.linkage = "internal"
        function.attributes.add("nounwind")
        return function

    def _pointer(self, builder: Any, memory: Any, array: str) -> Any:
        index, kind = self._places[array]
        return builder.inttoptr(builder.load(builder.gep(memory, [INTEGER(index)])), kind)

    def _write(self, work: Any, definition: ast.FunctionDef, arrays: Sequence[str]) -> None:
        memory, *rest = work.args
        names = [arg.arg for arg in definition.args.args[1:]]
        pointers = dict(zip(arrays, rest[len(names) :], strict=True))
        for array, argument in pointers.items():
            if array != "counter":  # which other threads change; no two of the others overlap where one is written
                argument.add_attribute("noalias")
        numbers = dict(zip(names, rest, strict=False))
        walk = Walk(
            work, pointers, numbers, self._kernels, self._apart,
            lambda name, values: self.call(walk.builder, name, memory, values),
        )  # fmt: skip
        walk.whole(definition.body[len(arrays) :])
        kernels = [work.module.globals[name] for name in self._apart if name in work.module.globals]
        for written in (work, *kernels) if self._contract else ():
            _contract(written)


def _is_large(kernel: Kernel) -> bool:
    return isinstance(kernel, MatMul) and kernel.rows * kernel.columns * kernel.summed >= _LARGE


def _contract(function: Any) -> None:
    for block in function.blocks:
        for instruction in block.instructions:
            if instruction.opname in ("fadd", "fsub", "fmul") and not instruction.flags:
                instruction.flags.append("contract")
