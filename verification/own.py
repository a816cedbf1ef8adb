"""`refmaml`'s own steps, the reference and the compiled ones, judged by the oracles alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from verification.judge import run_of
from verification.judging.standard import Standard, Standards
from verification.orders import DTYPES, SPELLINGS, Order
from verification.problems.problem import Problem
from verification.report import Part, Report, join
from verification.runs.run import Progress, Run
from verification.subjects import Subject

#: Problems that take long to compile, and show no fault that the others do not.
_LONG = ("one-step", "two-of-three-tasks", "inner-chain", "leaf-rates")
_FEWER = "of fewer problems"
_MISSING = "not installed"


def installed() -> Any | None:
    """Return the module of the compiled steps, or None where Numba is not installed."""
    try:
        import refmaml.compiled
    except ImportError as error:
        if error.name != "numba":
            raise
        return None
    return refmaml.compiled


def verify_own(
    *,
    dtypes: tuple[str, ...] = DTYPES,
    level: str = "quick",
    seed: int = 0,
    problems: Iterable[str | Problem] | None = None,
    progress: Progress | None = None,
    standards: Standards | None = None,
    engine: Callable[[], Any | None] = installed,
) -> Report:
    """Judge `refmaml`'s own steps, against the oracles alone: the reference, and the compiled ones where Numba is.

    The report has a part for each of them. A first call of a compiled step compiles, which takes longer than all tests
    of the reference. So the quick level tests it on fewer problems, each in one precision, the precisions in turn: that
    shows every fault of the catalogue all the same. The full level tests it on what the reference is tested on.

    Args:
        dtypes: as for `verify`, like all but the last.
        level: see `verify`.
        seed: see `verify`.
        problems: see `verify`.
        progress: see `verify`.
        standards: see `verify`.
        engine: returns what has the compiled steps, or None where there are none.
    """
    import refmaml

    run = run_of(dtypes, (), level, seed, problems, standards)
    reference = _report(run, refmaml, "reference", progress)
    parts: list[tuple[Part, Report | None]] = [(Part.of("reference", reference), reference)]
    compiled = engine()
    if compiled is None:
        return join("refmaml", [*parts, (Part("compiled", note=_MISSING), None)])
    shorter = ShortRun(**vars(run)) if level == "quick" and run.problems is None else run
    report = _report(shorter, compiled, "compiled", progress)
    note = _FEWER if len(report.cases) < len(reference.cases) else ""
    return join("refmaml", [*parts, (Part.of("compiled", report, note), report)])


@dataclass(frozen=True, kw_only=True)
class ShortRun(Run):
    """A run with less to compile: without the longest problems, and the others in one precision each, in turn."""

    def standards_of(self, order: Order) -> list[Standard]:
        """Return the problems that compile fast."""
        return [standard for standard in super().standards_of(order) if standard.problem.name not in _LONG]

    def precisions(self, standard: Standard) -> tuple[str, ...]:
        """Return one precision, in turn from problem to problem."""
        names = [other.problem.name for other in self.standards_of(standard.problem.order)]
        return (self.dtypes[names.index(standard.problem.name) % len(self.dtypes)],)


def _report(run: Run, module: Any, part: str, progress: Progress | None) -> Report:
    """Judge the steps of a module."""

    def show(done: int, total: int, name: str) -> None:
        if progress:
            progress(done, total, f"{part}: {name}")

    subjects: list[tuple[Subject, Order]] = [
        (Subject(getattr(module, spelling.function), "step", "autograd", module.__name__), order)
        for order, spelling in SPELLINGS.items()
    ]
    return run.report(subjects, show)
