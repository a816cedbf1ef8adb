"""The judge: whether an implementation of a meta-learning step computes what it claims.

`verify` judges a function in any framework; `check` a training step on a model of one's own (PyTorch, JAX, NumPy);
`check_relations` holds a step against itself on one's own costs; `problem` returns one of the built-in problems, `load`
a subject by name. The command line is ``refmaml verify`` and ``refmaml check``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verification.frameworks import MissingFrameworkError
    from verification.judge import verify
    from verification.models import check, observe, problem_of
    from verification.own import verify_own
    from verification.problems.suite import problem
    from verification.relations import check_relations
    from verification.report import Report
    from verification.subjects import SubjectError, load

#: Where each name is. They are imported when they are first used: the process of a subject needs few of them.
_PLACES = {
    "MissingFrameworkError": "frameworks",
    "Report": "report",
    "SubjectError": "subjects",
    "check": "models",
    "check_relations": "relations",
    "load": "subjects",
    "observe": "models",
    "problem": "problems.suite",
    "problem_of": "models",
    "verify": "judge",
    "verify_own": "own",
}

__all__ = [
    "MissingFrameworkError",
    "Report",
    "SubjectError",
    "check",
    "check_relations",
    "load",
    "observe",
    "problem",
    "problem_of",
    "verify",
    "verify_own",
]


def __getattr__(name: str) -> Any:
    """Return a public name, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
