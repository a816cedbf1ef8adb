"""Walking the operations of a JAX function: disturbing each result, and finding what an output depends on.

A bias in front of batch normalisation has a true gradient of 0 and one of 10⁻¹⁷ in correct code, which is the rounding
of terms that cancel. Disturbing the inputs of a step allows it nothing; disturbing the result of every operation, those
of the derivative too, shows how much rounding is left.

`jax.make_jaxpr` writes a function down as equations. They are evaluated again one by one, those of functions inside
(`jit`, custom derivatives, checkpoints) in their place and those of loops in the loop, and the result of each that
rounds is multiplied by 1 ± δ. The signs are cut out of a long row of them, at another place for each equation and each
turn of a loop, so that the walk can be compiled once and run with other signs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verification.frameworks.base import optional

#: The length of the row of signs, at least: twice that of the largest result.
_SIGNS = 2**12
#: What moves or chooses numbers, and rounds none.
_EXACT = frozenset((
    "abs", "and", "argmax", "argmin", "broadcast_in_dim", "ceil", "clamp", "concatenate", "copy", "copy_p",
    "cummax", "cummin", "device_put", "dynamic_slice", "dynamic_update_slice", "eq", "expand_dims", "floor",
    "full", "gather", "ge", "gt", "iota", "is_finite", "le", "lt", "max", "min", "ne", "neg", "not", "or", "pad",
    "real", "reduce_max", "reduce_min", "reduce_precision", "reshape", "rev", "round", "scatter",
    "select_and_gather_add", "select_n", "sign", "slice", "sort", "squeeze", "split", "stop_gradient", "top_k",
    "transpose", "xor",
))  # fmt: skip


@dataclass(eq=False)
class Disturbance:
    """A relative change of ±δ, with signs of its own for every operation."""

    delta: float
    rng: np.random.Generator
    rows: list[Any] = field(default_factory=list)

    def moved(self, array: Any) -> Any:
        """Return an array of NumPy's with each entry changed by a relative ±δ."""
        return array * (1 + self.delta * self.rng.choice([-1.0, 1.0], np.shape(array)))

    def row(self, length: int) -> Any:
        """Return the factors, as many as are needed."""
        if not self.rows or self.rows[0].size < length:
            self.rows[:] = [1 + self.delta * self.rng.choice([-1.0, 1.0], length)]
        return self.rows[0]

    def offset(self) -> Any:
        """Return where a run begins in the row."""
        return np.int32(self.rng.integers(2**30))


@dataclass(frozen=True)
class Walk:
    """The equations of a function of arrays, to be evaluated with another disturbance each time."""

    closed: Any
    length: int

    @classmethod
    def of(cls, function: Callable[..., Any], *examples: Any) -> Walk:
        """Write a function of arrays down."""
        closed = optional("jax", "jax").make_jaxpr(function)(*examples)
        return cls(closed, max(_SIGNS, 2 * _largest(closed.jaxpr)))

    def __call__(self, row: Any, offset: Any, *arguments: Any) -> list[Any]:
        """Return the results with every operation disturbed."""
        return _Evaluation(row).run(self.closed, arguments, offset)


@dataclass
class _Evaluation:
    row: Any
    #: Where in the row the signs of each equation begin; drawn while the walk is compiled.
    starts: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def run(self, closed: Any, arguments: Sequence[Any], offset: Any) -> list[Any]:
        """Evaluate equations on arguments."""
        jaxpr = closed.jaxpr
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *arguments], strict=True))

        def read(variable: Any) -> Any:
            return known[variable] if _is_variable(variable) else variable.val

        for equation in jaxpr.eqns:
            results = self._one(equation, [read(variable) for variable in equation.invars], offset)
            known.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _one(self, equation: Any, arguments: list[Any], offset: Any) -> list[Any]:
        name, inner = equation.primitive.name, _called(equation)
        if inner is not None:
            return self.run(inner, arguments, offset)
        if name == "scan":
            return self._scan(equation.params, arguments, offset)
        if name == "cond":
            index, *operands = arguments
            branches = [
                lambda *given, branch=branch: tuple(self.run(branch, given, offset))
                for branch in equation.params["branches"]
            ]
            return list(optional("jax", "jax").lax.switch(index, branches, *operands))
        found = equation.primitive.bind(*arguments, **equation.params)
        results = list(found) if equation.primitive.multiple_results else [found]
        return results if name in _EXACT else [self._moved(result, offset) for result in results]

    def _scan(self, parameters: dict[str, Any], arguments: list[Any], offset: Any) -> list[Any]:
        jax = optional("jax", "jax")
        fixed, carried = parameters["num_consts"], parameters["num_consts"] + parameters["num_carry"]
        constants, start, rows = arguments[:fixed], arguments[fixed:carried], arguments[carried:]

        def turn(carry: tuple[Any, Any], row: Any) -> tuple[Any, Any]:
            at, values = carry
            results = self.run(parameters["jaxpr"], [*constants, *values, *row], at)
            count = len(values)
            return (at + 7919, tuple(results[:count])), tuple(results[count:])

        (_, last), stacked = jax.lax.scan(
            turn, (offset, tuple(start)), tuple(rows), parameters["length"], reverse=parameters["reverse"]
        )
        return [*last, *stacked]

    def _moved(self, result: Any, offset: Any) -> Any:
        jax = optional("jax", "jax")
        if not jax.numpy.issubdtype(result.dtype, jax.numpy.floating) or not result.size:
            return result
        start = (offset + int(self.starts.integers(2**30))) % (self.row.size - result.size)
        factors = jax.lax.dynamic_slice(self.row, (start,), (result.size,))
        return result * factors.reshape(result.shape).astype(result.dtype)


def _called(equation: Any) -> Any:
    """Return the equations of a function that one equation calls on all its arguments, or None."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(key)
        if inner is None or equation.primitive.name in ("scan", "while"):
            continue
        closed = inner if hasattr(inner, "consts") else _Closed(inner)
        if len(closed.jaxpr.invars) == len(equation.invars):
            return closed
    return None


@dataclass(frozen=True)
class _Closed:
    """Equations without constants, as those that have them come."""

    jaxpr: Any
    consts: tuple[Any, ...] = ()


def _inner(equation: Any) -> list[Any]:
    """Return the equations inside of one, of functions, loops and branches."""
    found = []
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(part, "eqns"):
                found.append(part)
            elif hasattr(part, "jaxpr") and hasattr(part.jaxpr, "eqns"):
                found.append(part.jaxpr)
    return found


def _largest(jaxpr: Any) -> int:
    sizes = [int(np.prod(variable.aval.shape, dtype=int)) for one in jaxpr.eqns for variable in one.outvars]
    return max([1, *sizes, *(_largest(inner) for one in jaxpr.eqns for inner in _inner(one))])


def precisions_in(jaxpr: Any) -> set[str]:
    """Return the precisions that the results of equations come in."""
    found = {
        str(variable.aval.dtype) for one in jaxpr.eqns for variable in one.outvars if hasattr(variable.aval, "dtype")
    }
    return found.union(*(precisions_in(inner) for one in jaxpr.eqns for inner in _inner(one)))


def names_in(jaxpr: Any) -> set[str]:
    """Return the names of the operations of equations."""
    found = {one.primitive.name for one in jaxpr.eqns}
    return found.union(*(names_in(inner) for one in jaxpr.eqns for inner in _inner(one)))


def depends_on(jaxpr: Any, wanted: Sequence[bool]) -> list[bool]:
    """Return which inputs of equations those of their outputs that are wanted depend on."""
    needed = {one for one, is_wanted in zip(jaxpr.outvars, wanted, strict=True) if is_wanted and _is_variable(one)}
    for equation in reversed(jaxpr.eqns):
        of_outputs = [variable in needed for variable in equation.outvars]
        if not any(of_outputs):
            continue
        inner = _called(equation)
        uses = depends_on(inner.jaxpr, of_outputs) if inner is not None else [True] * len(equation.invars)
        needed |= {one for one, is_used in zip(equation.invars, uses, strict=True) if is_used and _is_variable(one)}
    return [variable in needed for variable in jaxpr.invars]


def _is_variable(atom: Any) -> bool:
    """Return whether an input or output of an equation is no literal number."""
    return not hasattr(atom, "val")
