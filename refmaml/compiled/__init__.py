"""The steps of `refmaml`, compiled: any cost function written in `autograd.numpy`, traced and turned into machine code.

`fomaml_step`, `maml_step` and `reptile_step` have the names, arguments and answers of `refmaml`'s, so that choosing
the engine is an import. `docs/engine.md` follows a cost function through it.
"""

from refmaml.compiled.errors import CompilationFallback, CompilationRefused, UnsupportedPrimitive, ValueDependence
from refmaml.updates import gradient_descent_update

try:
    from refmaml.compiled.calls.plans import emitted_sources
    from refmaml.compiled.steps import fomaml_step, jitted_step, maml_step, reptile_step
except ModuleNotFoundError as missing:
    if str(missing.name).split(".", maxsplit=1)[0] not in ("numba", "llvmlite"):
        raise
    _HINT = (
        "refmaml.compiled needs Numba, which is not installed: pip install numba. Where there is no Numba for this "
        "Python, the steps of refmaml have the same arguments and answers."
    )
    raise ImportError(_HINT, name="numba") from missing

__all__ = [
    "CompilationFallback",
    "CompilationRefused",
    "UnsupportedPrimitive",
    "ValueDependence",
    "emitted_sources",
    "fomaml_step",
    "gradient_descent_update",
    "jitted_step",
    "maml_step",
    "reptile_step",
]
