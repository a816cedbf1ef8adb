"""What a campaign found: how often what became of a trial, and the first failure on the smallest problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from verification.campaigns.campaign import Campaign, Failure, Record
from verification.reports.tables import say

_SHOWN = 20


@dataclass(frozen=True)
class Found:
    """A campaign, what became of its trials in their order, and its first failure, where there is one."""

    campaign: Campaign
    records: Sequence[Record]
    first: Failure | None

    @property
    def failures(self) -> list[Record]:
        """The trials that failed."""
        return [trial for trial in self.records if trial.is_failure]

    @property
    def answers(self) -> int:
        """How many answers were compared, one for each problem and precision."""
        return sum(trial.answers for trial in self.records)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain types for JSON."""
        return {
            "campaign": self.campaign.identity,
            "trials": len(self.records),
            "answers": self.answers,
            "became": _counted(self.records),
            "failures": [asdict(trial) for trial in self.failures],
            "first": None if self.first is None else asdict(self.first),
        }


def show_campaign(found: Found, console: Console) -> None:
    """Print what became of the trials, the failures, and how to see the first one again."""
    counted = ", ".join(f"{count} {became}" for became, count in _counted(found.records).items())
    trials = f"{len(found.records)} trials of {found.campaign.subject}, seed {found.campaign.seed}"
    say(f"{trials}: {counted}. They had {found.answers} answers.", console)
    for trial in found.failures[:_SHOWN]:
        say(f"trial {trial.number}: {trial.what}: {trial.became}{f', named {trial.name}' * bool(trial.name)}", console)
    if len(found.failures) > _SHOWN:
        say(f"and {len(found.failures) - _SHOWN} more", console)
    if found.first is not None:
        say(f"Trial {found.first.record.number} on the smallest problem on which it fails:", console)
        names = "Selection, make_corner, make_problem"
        console.print(f"from verification.testing import {names}", markup=False, soft_wrap=True)
        console.print(f"problem = {found.first.problem}", markup=False, highlight=False, soft_wrap=True)
        for line in found.first.said.splitlines():
            say(line, console)


def _counted(records: Sequence[Record]) -> dict[str, int]:
    """Return how often what became of a trial, the most frequent first."""
    counted = Counter(trial.became for trial in records)
    return dict(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])))
