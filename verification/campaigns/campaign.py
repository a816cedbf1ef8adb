"""What a campaign is, and what becomes of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

import numpy as np

from verification.orders import DTYPES, ORDERS, Order

#: In the place of a subject where the judge is judged: by faults and correct code, or by correct code alone.
SELF_TEST, CORRECT = "self-test", "correct-code"
#: So many trials in a row share what they can, are taken by one process, and make one line of the journal.
CHUNK = 10
#: What must not become of a trial: a false verdict, a wrong answer, or a process that ended.
CRASHED = "crashed"
FAILURES = ("survived", "false alarm", "wrong", CRASHED)


@dataclass(frozen=True)
class Campaign:
    """A campaign: what is tried, and the seed that its trials follow from.

    A trial's problem, options and fault follow from the seed and the trial's number, and from nothing else: so trials
    can be taken in any order, anywhere, and as often as it takes. `subject` is "self-test", "correct-code", or where a
    subject is found; `source` is a digest of what is behind that name, and nothing where it is not known.
    """

    subject: str
    seed: int = 0
    orders: tuple[Order, ...] = ORDERS
    dtypes: tuple[str, ...] = DTYPES
    framework: str | None = None
    conventions: tuple[str, ...] = ()
    source: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """All that its results follow from, in plain types: the head of its journal."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {**plain, "refmaml": version("refmaml")}

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Campaign:
        """Return the campaign of an identity."""
        known = {entry.name for entry in fields(cls)}
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in identity.items()
        }
        return cls(**{name: value for name, value in plain.items() if name in known})

    def chance(self, *numbers: int) -> np.random.Generator:
        """Return the source of chance of a trial, or of a part of one."""
        return np.random.default_rng([self.seed, len(numbers), *numbers])


@dataclass(frozen=True)
class Record:
    """What became of a trial: its number, what was tried, what became of it, and the name that the judge gave it.

    `answers` counts the answers that the judge compared: one for each problem and precision.
    """

    number: int
    what: str
    became: str
    name: str = ""
    answers: int = 0

    @property
    def is_failure(self) -> bool:
        """Whether it is a false verdict, or for a subject a wrong answer."""
        return self.became in FAILURES


@dataclass(frozen=True)
class Failure:
    """A trial that failed, on the smallest problem that still fails, which one line of Python makes again."""

    record: Record
    problem: str
    said: str
