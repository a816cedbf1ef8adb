"""The three verdicts, and how several become one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
#: Exit codes of the shell; 2 is wrong usage, of which there is no verdict.
EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


#: From the best to the worst.
GRAVITY: tuple[Verdict, ...] = ("pass", "inconclusive", "fail")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return "fail" where there is one, else "inconclusive" where there is one, else "pass"."""
    return max(verdicts, key=GRAVITY.index, default="pass")
