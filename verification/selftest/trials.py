"""The judge judged: every fault and every correct variant by the same path as a user's subject.

A fault that passes is a survivor, a correct variant that fails a false alarm; either makes the self-test fail. Each
answer is computed in the precision that is asked, so that rounding has its part in it, and is named from predictions in
float64 that are computed in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from verification.faults import CATALOGUE
from verification.faults.subject import FaultySubject
from verification.judge import verify
from verification.judging.standard import Standards
from verification.naming.scaling import under
from verification.orders import Order
from verification.report import Report
from verification.selftest.correct import Variant
from verification.selftest.lineup import Lineup
from verification.verdicts import Verdict

#: What becomes of a subject: named right, named among equals, named wrong, found but not named, undecided, missed; or
#: a correct one that is passed, or accused.
Fate = Literal["named", "named wrong", "not named", "inconclusive", "survived", "correct", "false alarm"]
BAD = ("survived", "false alarm")
_OF_CORRECT: dict[Verdict, Fate] = {"pass": "correct", "fail": "false alarm", "inconclusive": "inconclusive"}

_SHARING = 10


@dataclass(frozen=True)
class Trial:
    """One subject to try: a fault with its variant, a pair, or a correct variant, in one order and precision."""

    faults: tuple[str, ...]
    variant: str
    order: Order
    dtype: str
    level: str = "quick"

    @property
    def name(self) -> str:
        """What is tried, in words."""
        name = " + ".join(self.faults) or "correct"
        return f"{name} ({self.variant})" if self.variant else name


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial: which checks caught it, what it was named first, and how many answers were compared."""

    trial: Trial
    outcome: Fate
    caught_by: tuple[str, ...]
    name: str
    answers: int = 0


def trials(orders: tuple[Order, ...], dtypes: tuple[str, ...], lineup: Lineup | None = None) -> list[Trial]:
    """Return every fault and every correct variant of a lineup, by default of the whole one."""
    lineup, found = lineup or Lineup(), []
    for order in orders:
        for dtype in dtypes:
            for fault in lineup.faults.values():
                if order in fault.orders and dtype in fault.dtypes:
                    found += [Trial((fault.id,), variant, order, dtype) for variant in fault.variants]
            found += [Trial((), variant.name, order, dtype) for variant in lineup.correct() if order in variant.orders]
    return found


def pair_trials(orders: tuple[Order, ...]) -> list[Trial]:
    """Return each structural fault under a sum over tasks, and under a wrong factor."""
    return [
        Trial((scale, fault.id), variant, order, "float64")
        for order in orders
        for fault in CATALOGUE.values()
        if fault.structural and order in fault.orders
        for variant in fault.variants
        for scale in ("D01", "D11")
    ]


def run(trial: Trial, standards: Standards, lineup: Lineup | None = None) -> TrialResult:
    """Try one subject of a lineup, on its problems or on those of the trial's level; standards serve the next trial."""
    lineup = lineup or Lineup()
    subject, options = _subject(trial, lineup)
    report = verify(
        subject, order=trial.order, dtypes=(trial.dtype,), level=trial.level, problems=lineup.problems,
        standards=standards, **options,
    )  # fmt: skip
    caught = dict.fromkeys(finding.what for case in report.cases for finding in case.findings)
    name = report.diagnosis[0].name if report.diagnosis else ""
    return TrialResult(trial, _outcome(trial, report), tuple(caught), name, len(report.cases))


def _subject(trial: Trial, lineup: Lineup) -> tuple[Callable[..., Any], dict[str, Any]]:
    if not trial.faults:
        variant: Variant = next(choice for choice in lineup.correct() if choice.name == trial.variant)
        options = {"framework": variant.framework, "kind": variant.kind, "conventions": variant.conventions}
        return variant.make(trial.order), options
    answer = lineup.faults[trial.faults[-1]].variants[trial.variant]
    if trial.faults[0] == "D01" and len(trial.faults) == 2:
        answer = under(lambda question: question.tasks, answer)
    elif len(trial.faults) == 2:
        answer = under(lambda _: 0.625, answer)
    return FaultySubject(answer), {"framework": "numpy", "kind": "problem"}


def _outcome(trial: Trial, report: Report) -> Fate:
    if not trial.faults:
        return _OF_CORRECT[report.verdict]
    if report.verdict != "fail":
        return "survived" if report.verdict == "pass" else "inconclusive"
    if not (report.diagnosis and report.diagnosis[0].convincing):
        return "not named"
    first = report.diagnosis[0]
    # Equal evidence for two names is told as such, and either is right.
    right = set(first.faults) == set(trial.faults) or " + ".join(trial.faults) in first.cannot_tell_from
    return "named" if right else "named wrong"


def run_all(
    all_trials: list[Trial],
    jobs: int,
    progress: Callable[[int, int, str], None] | None = None,
    lineup: Lineup | None = None,
) -> list[TrialResult]:
    """Try all subjects, in as many processes as asked, and return the results in order."""
    results: list[TrialResult] = []
    for result in _tried(all_trials, jobs, lineup):
        results.append(result)
        if progress:
            progress(len(results), len(all_trials), result.trial.name)
    return results


def _tried(all_trials: list[Trial], jobs: int, lineup: Lineup | None) -> Iterator[TrialResult]:
    if jobs == 1:
        standards = Standards()
        yield from (run(trial, standards, lineup) for trial in all_trials)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(_run_in_pool, lineup=lineup), all_trials, chunksize=_SHARING)


#: What a process of the pool keeps from one trial to the next.
_POOLED = Standards()


def _run_in_pool(trial: Trial, lineup: Lineup | None) -> TrialResult:
    return run(trial, _POOLED, lineup)
