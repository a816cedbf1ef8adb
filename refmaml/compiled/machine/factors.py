"""Calls of LAPACK, written in LLVM's instructions: the routines are those that SciPy has for Cython.

Every argument of a Fortran routine is an address. Its numbers and letters lie in the place of the result, beside what
the routine works with, so that threads share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.lanes import Lanes
from refmaml.compiled.program.kernels import Factors

_I64, _I32, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_INFO = 7  # which argument of ours the routines write their result to
_ROUTINES = {
    "solve": ("gesv",), "lu": ("getrf",), "cholesky": ("potrf",), "eigh": ("syevd",), "svd": ("gesdd",),
}  # fmt: skip


def routines(kernel: Factors) -> list[str]:
    """Return the names of the routines that a kernel calls."""
    return [("s" if kernel.itemsize == 4 else "d") + name for name in _ROUTINES[kernel.routine]]


def symbol_of(routine: str) -> str:
    """Return the name under which the linker finds a routine."""
    return f"refmaml_lapack_{routine}"


class FactorsWriter(Lanes):
    """Writes one call."""

    def __init__(self, kernel: Factors, builder: Any, memory: Any, c: Any, a: Any, b: Any) -> None:
        super().__init__(builder, memory, kernel.itemsize)
        self.kernel, self.c, self.a, self.b = kernel, c, a, b
        self._integers = 0

    def write(self) -> Any:
        """Copy the operands into Fortran's order and call the routine; return what it says, 0 if all went well."""
        k = self.kernel
        self._copied("a", self.a, k.a, k.rows, k.columns)
        rows, columns, lead = (self._integer(n) for n in (k.rows, k.columns, max(k.rows, 1)))
        if k.routine == "solve":
            self._copied("x", self.b, k.b, k.rows, k.right)
            right = self._integer(k.right)
            self._call([rows, right, self._part("a"), lead, self._part("pivots", _I32), self._part("x"), lead])
        elif k.routine == "lu":
            self._call([rows, columns, self._part("a"), lead, self._part("pivots", _I32)])
            self._sign()
        elif k.routine == "cholesky":
            self._call([self._letter("L"), rows, self._part("a"), lead])
        elif k.routine == "eigh":
            sizes = [self._integer(k.parts[name][1]) for name in ("work", "integers")]
            work, integers = self._part("work"), self._part("integers", _I32)
            letters = [self._letter("V", 0), self._letter("L", 1)]
            self._call(
                [*letters, rows, self._part("a"), lead, self._part("values"), work, sizes[0], integers, sizes[1]]
            )
        else:
            few, size = self._integer(min(k.rows, k.columns)), self._integer(k.parts["work"][1])
            outputs = [self._part("s"), self._part("u"), lead, self._part("vt"), few]
            after = [self._part("work"), size, self._part("integers", _I32)]
            self._call([self._letter("S"), rows, columns, self._part("a"), lead, *outputs, *after])
        return self.builder.zext(self.builder.load(self._argument(_INFO)), _I64)

    def _at(self, name: str, index: Any = 0) -> Any:
        offset = self.builder.add(self.c, _I64(self.kernel.parts[name][0]))
        return self.builder.gep(self.memory, [self.builder.add(offset, index) if index else offset])

    def _part(self, name: str, kind: Any = None) -> Any:
        """Return the address of a part of the place."""
        address = self._at(name)
        return self.builder.bitcast(address, kind.as_pointer()) if kind else address

    def _copied(self, name: str, start: Any, strides: tuple[int, int], rows: int, columns: int) -> None:
        target = self.builder.add(self.c, _I64(self.kernel.parts[name][0]))

        def column(j: Any) -> list[Any]:
            def row(i: Any) -> list[Any]:
                step = self.builder.add(self.times(i, strides[0]), self.times(j, strides[1]))
                value = self.load(self.builder.add(start, step), 1)
                self.store(value, self.builder.add(target, self.builder.add(self.times(j, rows), i)), 1)
                return []

            self.loop(0, rows, 1, [], row)
            return []

        self.loop(0, columns, 1, [], column)

    def _argument(self, index: int) -> Any:
        return self.builder.gep(self._part("arguments", _I32), [_I64(index)])

    def _integer(self, number: int) -> Any:
        """Store an integer of 32 bits among the arguments and return its address."""
        place = self._argument(self._integers)
        self._integers += 1
        self.builder.store(_I32(number), place)
        return place

    def _letter(self, letter: str, index: int = 0) -> Any:
        place = self.builder.gep(self.builder.bitcast(self._argument(6), _BYTE.as_pointer()), [_I64(index)])
        self.builder.store(_BYTE(ord(letter)), place)
        return place

    def _call(self, arguments: Sequence[Any]) -> None:
        info, module = self._argument(_INFO), self.builder.module
        addresses = [*arguments, info]
        symbol = symbol_of(routines(self.kernel)[0])
        known = module.globals.get(symbol)
        if known is None:
            kind = ir.FunctionType(ir.VoidType(), [address.type for address in addresses])
            known = ir.Function(module, kind, symbol)
        self.builder.call(known, addresses)

    def _sign(self) -> None:
        """Write the sign of the permutation: every row that changed its place with another one turns it."""
        pivots = self._part("pivots", _I32)

        def step(i: Any, sign: Any) -> list[Any]:
            pivot = self.builder.zext(self.builder.load(self.builder.gep(pivots, [i])), _I64)
            stays = self.builder.icmp_signed("==", pivot, self.plus(i, 1))
            return [self.builder.select(stays, sign, self.builder.fneg(sign))]

        (sign,) = self.loop(0, self.kernel.rows, 1, [ir.Constant(self.scalar, 1.0)], step)
        self.builder.store(sign, self._at("sign"))
