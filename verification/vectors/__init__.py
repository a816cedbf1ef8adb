"""Golden vectors: frozen problems with certified answers. docs/vectors.md describes them for readers in any language.

`load` returns them, each a `Vector` with the problem, the expected answer, the bounds to use and the answers of named
faults; `check` runs one through a step with the interface of `refmaml.fomaml_step`. Reading needs NumPy alone.
"""

from verification.vectors.layout import from_problem, to_problem
from verification.vectors.matrix import KillMatrix, kill_matrix
from verification.vectors.reader import DATA, SCHEMAS, VectorsError, VectorSet, golden, load
from verification.vectors.vector import Expected, Vector, check

__all__ = [
    "DATA",
    "SCHEMAS",
    "Expected",
    "KillMatrix",
    "Vector",
    "VectorSet",
    "VectorsError",
    "check",
    "from_problem",
    "golden",
    "kill_matrix",
    "load",
    "to_problem",
]
