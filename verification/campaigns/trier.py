"""Takes trials, and shrinks the one that failed."""

from __future__ import annotations

from collections.abc import Sequence

from verification.campaigns.attempts import Attempt, Judgement, Plan, plan_of
from verification.campaigns.campaign import CRASHED, FAILURES, Campaign, Failure, Record
from verification.campaigns.choices import Choices, shrunk
from verification.judging.standard import Standards
from verification.problems.problem import Problem
from verification.selftest.lineup import Lineup


class Trier:
    """Takes the trials of a campaign, one after the other; what is known of problems serves those that share them."""

    def __init__(self, campaign: Campaign, lineup: Lineup | None = None) -> None:
        self._plan: Plan = plan_of(campaign, lineup)
        self._group: int | None = None
        self._problems: list[Problem] = []
        self._standards = Standards()

    def about(self, number: int) -> str:
        """Return what the trial of a number tries, in words."""
        return self._plan.about(number)

    def attempt(self, numbers: Sequence[int]) -> list[Record]:
        """Take the trials of these numbers, and return what became of each."""
        return [self._attempt(number) for number in numbers]

    def _attempt(self, number: int) -> Record:
        trial = self._plan.trial(number)
        if trial.group != self._group:
            self._group, self._standards = trial.group, Standards()
            self._problems = [trial.problem(Choices(made)) for made in trial.drawn()]
        judged = trial.judge(self._problems, self._standards)
        return Record(number, self.about(number), judged.became, judged.name, judged.answers)

    def shrink(self, record: Record) -> Failure:
        """Return a trial that failed on the smallest problem on which it still fails.

        All of its problems are told where it fails on none alone, or where it ended its process.
        """
        trial = self._plan.trial(record.number)
        if record.became == CRASHED:
            return Failure(record, _all_problems(trial), "The process that asks it ends.")
        for made in trial.drawn():
            if _failing(trial, made) is not None:
                problem = trial.problem(Choices(shrunk(made, lambda smaller: _failing(trial, smaller))))
                return Failure(record, repr(problem), _alone(trial, problem).said)
        return Failure(record, _all_problems(trial), "It fails on these problems together, and on none of them alone.")


def _all_problems(trial: Attempt) -> str:
    return "; ".join(repr(trial.problem(Choices(made))) for made in trial.drawn())


def _alone(trial: Attempt, problem: Problem) -> Judgement:
    return trial.judge([problem], Standards())


def _failing(trial: Attempt, numbers: list[int]) -> list[int] | None:
    """Return those of the numbers that were used, where the trial fails on the problem that they make."""
    choices = Choices(numbers)
    problem = trial.problem(choices)
    return choices.made if _alone(trial, problem).became in FAILURES else None
