"""Takes trials, and shrinks the one that failed."""

from __future__ import annotations

from collections.abc import Sequence

from verification.campaigns.asked import Asked, Asking, Judged, asking
from verification.campaigns.campaign import CRASHED, FAILURES, Campaign, Failure, Tried
from verification.campaigns.choices import Choices, shrunk
from verification.judging.standard import Standards
from verification.problems.problem import Problem
from verification.selftest.lineup import Lineup


class Trier:
    """Takes the trials of a campaign, one after the other; what is known of problems serves those that share them."""

    def __init__(self, campaign: Campaign, lineup: Lineup | None = None) -> None:
        self._asking: Asking = asking(campaign, lineup)
        self._group: int | None = None
        self._problems: list[Problem] = []
        self._standards = Standards()

    def about(self, number: int) -> str:
        """Return what the trial of a number tries, in words."""
        return self._asking.about(number)

    def attempt(self, numbers: Sequence[int]) -> list[Tried]:
        """Take the trials of these numbers, and return what became of each."""
        return [self._attempt(number) for number in numbers]

    def _attempt(self, number: int) -> Tried:
        trial = self._asking.trial(number)
        if trial.group != self._group:
            self._group, self._standards = trial.group, Standards()
            self._problems = [trial.problem(Choices(made)) for made in trial.drawn()]
        judged = trial.judge(self._problems, self._standards)
        return Tried(number, self.about(number), judged.became, judged.name)

    def shrink(self, tried: Tried) -> Failure:
        """Return a trial that failed on the smallest problem on which it still fails.

        All of its problems are told where it fails on none alone, or where it ended its process.
        """
        trial = self._asking.trial(tried.number)
        if tried.became == CRASHED:
            return Failure(tried, _all_problems(trial), "The process that asks it ends.")
        for made in trial.drawn():
            if _failing(trial, made) is not None:
                problem = trial.problem(Choices(shrunk(made, lambda smaller: _failing(trial, smaller))))
                return Failure(tried, repr(problem), _alone(trial, problem).said)
        return Failure(tried, _all_problems(trial), "It fails on these problems together, and on none of them alone.")


def _all_problems(trial: Asked) -> str:
    return "; ".join(repr(trial.problem(Choices(made))) for made in trial.drawn())


def _alone(trial: Asked, problem: Problem) -> Judged:
    return trial.judge([problem], Standards())


def _failing(trial: Asked, numbers: list[int]) -> list[int] | None:
    """Return those of the numbers that were used, where the trial fails on the problem that they make."""
    choices = Choices(numbers)
    problem = trial.problem(choices)
    return choices.made if _alone(trial, problem).became in FAILURES else None
