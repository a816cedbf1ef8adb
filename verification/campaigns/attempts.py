"""One trial: what is asked of whom, and what the judge makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from verification.campaigns.campaign import CHUNK, CORRECT, SELF_TEST, Campaign
from verification.campaigns.choices import Choices
from verification.judge import report_on, subject_of
from verification.judging.separation import is_shown
from verification.judging.standard import Standards
from verification.orders import Order
from verification.problems.drawing import SMOOTH, drawn_corner, drawn_problem
from verification.problems.problem import EXTRAS, Problem
from verification.selftest.lineup import Lineup
from verification.selftest.trials import Trial, run, trials
from verification.subjects import SubjectError, search

#: The problems of a trial of the self-test: a fault is named from several. A subject gets one at a time.
_PROBLEMS = 3
#: In the place of a family: the problem is a corner.
_CORNER = "corner"
_KINDS = (*SMOOTH, _CORNER)
_OF_VERDICT = {"pass": "right", "fail": "wrong", "inconclusive": "undecided"}


class Judgement(NamedTuple):
    """What became of a trial, the first name given, how many answers were compared, and what there is to say."""

    became: str
    name: str
    answers: int
    said: str = ""


class Attempt(Protocol):
    """A trial."""

    @property
    def group(self) -> int:
        """A number that trials with the same problems share."""

    def drawn(self) -> list[list[int]]:
        """Return the choices that make each of its problems."""

    def problem(self, choices: Choices) -> Problem:
        """Return the problem that choices make."""

    def judge(self, problems: Sequence[Problem], standards: Standards) -> Judgement:
        """Ask these problems, and return what comes of it; `standards` has what is known of them."""


class Plan(Protocol):
    """The trials of a campaign."""

    @property
    def source(self) -> str:
        """A digest of what is tried."""

    def about(self, number: int) -> str:
        """Return what the trial of a number tries, in words."""

    def trial(self, number: int) -> Attempt:
        """Return the trial of a number."""


def plan_of(campaign: Campaign, lineup: Lineup | None = None) -> Plan:
    """Return the trials of a campaign; a lineup takes the place of the catalogue and of the correct code.

    Raises:
        SubjectError: what the campaign tries is not what it was when it began.
    """
    known = lineup or Lineup()
    if campaign.subject == CORRECT:
        known = replace(known, faults={})
    found = _SelfTest(campaign, known) if campaign.subject in (SELF_TEST, CORRECT) else _Judging(campaign)
    if campaign.source not in ("", found.source):
        raise SubjectError(
            f"{campaign.subject} is not the same here as where the campaign began: a file has changed, or other "
            "packages are installed."
        )
    return found


def _digest(content: bytes) -> str:
    return f"{crc32(content):08x}"


@dataclass(frozen=True)
class _SelfTest:
    """Faults of the catalogue and correct code, as subjects that are known to be wrong or right."""

    campaign: Campaign
    lineup: Lineup

    @cached_property
    def source(self) -> str:
        """A digest of their names: correct code in a framework is there where that is installed."""
        return _digest(
            repr([(trial.name, trial.dtype) for able in self._everything.values() for trial in able]).encode()
        )

    def about(self, number: int) -> str:
        """Return the fault or the correct code, the order and the precision."""
        trial = self._known(number)
        return f"{trial.name}, order {trial.order}, {trial.dtype}"

    def trial(self, number: int) -> Attempt:
        """Return a fault or correct code by chance; trials of one chunk have one order."""
        return _KnownTrial(self.campaign, self.lineup, number // CHUNK, self._known(number))

    def _known(self, number: int) -> Trial:
        orders = [order for order, able in self._everything.items() if able]
        able = self._everything[orders[int(self.campaign.chance(number // CHUNK).integers(len(orders)))]]
        return able[int(self.campaign.chance(0, number).integers(len(able)))]

    @cached_property
    def _everything(self) -> dict[Order, list[Trial]]:
        return {order: trials((order,), self.campaign.dtypes, self.lineup) for order in self.campaign.orders}


@dataclass(frozen=True)
class _KnownTrial:
    """A subject that is known to be wrong or right, on several problems."""

    campaign: Campaign
    lineup: Lineup
    group: int
    trial: Trial

    def drawn(self) -> list[list[int]]:
        """Return choices for problems of different families, since state is kept by the name of a problem.

        Where only correct code is tried, one is a corner: faults are named from problems that are none.
        """
        found: list[list[int]] = []
        families = list(SMOOTH)
        for index in range(_PROBLEMS):
            able = [_CORNER] if self.campaign.subject == CORRECT and not index else families
            choices = Choices(rng=self.campaign.chance(self.group, index, 0))
            self.problem(choices, able)
            found.append([_KINDS.index(able.pop(choices.made[0])), *choices.made[1:]])
        return found

    def problem(self, choices: Choices, kinds: Sequence[str] = _KINDS) -> Problem:
        """Return the problem that choices make, with any options: of a family, or a corner."""
        kind, order = choices(kinds), self.trial.order
        if kind == _CORNER:
            return drawn_corner(choices, order=order, supports=EXTRAS)
        return drawn_problem(choices, order=order, families=(kind,), dtypes=("float64",), supports=EXTRAS)

    def judge(self, problems: Sequence[Problem], standards: Standards) -> Judgement:
        """Return what became of it; a fault that no problem shows has not survived, but is "hidden".

        Code that supports none of the problems was "not asked".
        """
        result = run(self.trial, standards, replace(self.lineup, problems=tuple(problems)))
        if not result.answers:
            return Judgement("not asked", "", 0)
        if result.outcome != "survived":
            return Judgement(result.outcome, result.name, result.answers)
        answer = self.lineup.faults[self.trial.faults[-1]].variants[self.trial.variant]
        posed = [(standards.of(problem, self.trial.order), self.trial.dtype) for problem in problems]
        return Judgement("survived" if is_shown(answer, posed) else "hidden", "", result.answers)


@dataclass(frozen=True)
class _Judging:
    """Trials of one subject."""

    campaign: Campaign

    @cached_property
    def source(self) -> str:
        """A digest of the file that it is in; nothing where it is in none."""
        place = self.campaign.subject.rpartition(":")[0]
        search()
        try:
            spec = None if place.endswith(".py") else find_spec(place)
            path = Path(place if spec is None else spec.origin or "")
            # A pipe is no file, and reading one could take for ever.
            return _digest(path.read_bytes()) if path.is_file() else ""
        except (ImportError, OSError, ValueError):
            return ""  # where it is used, it is told why it cannot be

    def about(self, number: int) -> str:  # noqa: ARG002  # every trial has the same subject
        """Return the name of the subject."""
        return self.campaign.subject

    def trial(self, number: int) -> Attempt:
        """Return the subject with a problem of its own."""
        return _SubjectTrial(self.campaign, number, *self._subject)

    @cached_property
    def _subject(self) -> tuple[Any, dict[str, Any], frozenset[str]]:
        """The function, how it is asked, and what it supports."""
        campaign = self.campaign
        search()
        subject = subject_of(campaign.subject, framework=campaign.framework, order=campaign.orders[0])
        if subject.algorithm or subject.outer_step != (None, None):
            raise SubjectError("a campaign asks plain steps that return gradients; refmaml verify asks this one.")
        supports = (EXTRAS if subject.kind == "step" else frozenset()) if subject.declared is None else subject.declared
        options = {
            "framework": subject.framework, "kind": subject.kind, "order": campaign.orders[0],
            "dtypes": campaign.dtypes, "conventions": campaign.conventions,
        }  # fmt: skip
        return subject.function, options, supports & EXTRAS


@dataclass(frozen=True)
class _SubjectTrial:
    """A subject on one problem, of a kind that it supports."""

    campaign: Campaign
    group: int
    function: Any
    options: dict[str, Any]
    supports: frozenset[str]

    def drawn(self) -> list[list[int]]:
        """Return the choices that make its problem."""
        choices = Choices(rng=self.campaign.chance(self.group))
        self.problem(choices)
        return [choices.made]

    def problem(self, choices: Choices) -> Problem:
        """Return the problem that choices make: of a family, or a corner."""
        order = self.campaign.orders[0]
        if choices((False, True)):
            return drawn_corner(choices, order=order, supports=self.supports)
        return drawn_problem(choices, order=order, dtypes=("float64",), supports=self.supports)

    def judge(self, problems: Sequence[Problem], standards: Standards) -> Judgement:
        """Return the verdict, with the first name and the first finding."""
        report = report_on(self.function, problems, standards, **self.options)
        names, findings = report.diagnosis[:1], [finding for case in report.cases for finding in case.findings][:1]
        said = "\n".join(map(str, [*names, *findings]))
        became = _OF_VERDICT[report.verdict]
        return Judgement(became, names[0].name if names else "", len(report.cases), said)
