"""`refmaml`'s own steps, the reference and the compiled ones, judged by the oracles alone."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from verification.conventions import Declared
from verification.judge import DTYPES, Progress, Run
from verification.report.model import Part, Report, join
from verification.subjects import Subject

#: The names of the steps, which both modules share, with their orders.
_STEPS: tuple[tuple[str, int | str], ...] = (("fomaml_step", 1), ("maml_step", 2), ("reptile_step", "reptile"))
#: Problems that take long to compile, and show no fault that the others do not.
_LONG = ("one-step", "two-of-three-tasks", "inner-chain", "leaf-rates")
_FEWER = "of fewer problems"
_MISSING = "not installed"


def verify_own(
    *, dtypes: tuple[str, ...] = DTYPES, level: str = "quick", seed: int = 0, progress: Progress | None = None
) -> Report:
    """Judge `refmaml`'s own steps, against the oracles alone: the reference, and the compiled ones where Numba is.

    The report has a part for each of them. A first call of a compiled step compiles, which takes longer than all that
    is asked of the reference. So the quick level asks it fewer problems, each in one precision, the precisions in turn:
    that shows every fault of the catalogue all the same. The full level asks it all that the reference is asked.
    """
    import refmaml

    run = Run(dtypes, Declared(), level, seed)
    reference = _report(run, refmaml, "reference", progress)
    parts = [(Part.of("reference", reference), reference)]
    engine = _engine()
    if engine is None:
        return join("refmaml", [*parts, (Part("compiled", note=_MISSING), None)])
    compiled = _report(_Short(**vars(run)) if level == "quick" else run, engine, "compiled", progress)
    note = _FEWER if len(compiled.cases) < len(reference.cases) else ""
    return join("refmaml", [*parts, (Part.of("compiled", compiled, note), compiled)])


@dataclass(frozen=True)
class _Short(Run):
    """A run with less to compile: without the longest problems, and the others in one precision each, in turn."""

    def names(self, order: int | str) -> list[str]:
        return [name for name in super().names(order) if name not in _LONG]

    def precisions(self, name: str, order: int | str) -> tuple[str, ...]:
        return (self.dtypes[self.names(order).index(name) % len(self.dtypes)],)


def _engine() -> ModuleType | None:
    """Return the module of the compiled steps, or None where Numba is not installed."""
    try:
        import refmaml.compiled
    except ImportError as error:
        if error.name != "numba":
            raise
        return None
    return refmaml.compiled


def _report(run: Run, module: ModuleType, part: str, progress: Progress | None) -> Report:
    """Judge the steps of a module."""

    def show(done: int, total: int, name: str) -> None:
        if progress:
            progress(done, total, f"{part}: {name}")

    steps = [(Subject(getattr(module, name), "step", "autograd", module.__name__), order) for name, order in _STEPS]
    return run.report(steps, show)
