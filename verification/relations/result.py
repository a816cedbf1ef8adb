"""What a relation found, and what all of them found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from verification.verdicts import Verdict, worst

#: In place of a relation's name where there was no answer to ask any of them.
EVERY = "every"


@dataclass(frozen=True)
class Result:
    """One relation's verdict with one sentence; `error` and `bound` are in units of rounding, u ‖expected‖."""

    name: str
    verdict: Verdict
    error: float
    bound: float
    sentence: str


@dataclass(frozen=True)
class RelationsReport:
    """The results of the relations that were asked, and the reasons why others were not."""

    results: list[Result]
    not_tested: dict[str, str]

    @property
    def verdict(self) -> Verdict:
        """Return "fail" where a relation broke, "pass" where each that was asked held, otherwise "inconclusive"."""
        return worst(result.verdict for result in self.results) if self.results else "inconclusive"

    @property
    def broken(self) -> list[str]:
        """The names of the relations that broke, in the order asked."""
        return [result.name for result in self.results if result.verdict == "fail"]

    def __getitem__(self, name: str) -> Result:
        """Return the result of one relation; a KeyError says why there is none."""
        for result in self.results:
            if result.name == name:
                return result
        reason = self.not_tested.get(name, f"there is no such relation; this report has {', '.join(self._names)}")
        raise KeyError(f"{name}: {reason}.")

    @property
    def _names(self) -> list[str]:
        return [result.name for result in self.results]

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON, with None where an error or a bound is not a finite number."""
        return {
            "verdict": self.verdict,
            "relations": [
                {**vars(result), "error": _finite(result.error), "bound": _finite(result.bound)}
                for result in self.results
            ],
            "not_tested": dict(self.not_tested),
        }

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {len(self.results)} relations tested, {len(self.broken)} broken"]
        lines += [f"  {result.verdict:<12} {result.name:<24} {result.sentence}" for result in self.results]
        lines += [f"  {'not tested':<12} {name:<24} {reason}." for name, reason in self.not_tested.items()]
        return "\n".join(lines)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
