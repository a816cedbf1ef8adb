"""The lineup: who is put before the judge when the judge is judged, and on which problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from verification.faults import CATALOGUE, Fault
from verification.problems.problem import Problem
from verification.selftest.correct import Variant, variants


@dataclass(frozen=True)
class Lineup:
    """The faults by their ids, what makes the correct variants, and the problems to ask in place of a level's.

    What is not picklable, such as the catalogue's own faults, can be tried in the calling process alone.
    """

    faults: Mapping[str, Fault] = field(default_factory=lambda: CATALOGUE)
    correct: Callable[[], list[Variant]] = variants
    problems: tuple[str | Problem, ...] | None = None
