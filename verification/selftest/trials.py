"""The judge judged: every fault and every correct variant by the same path as a user's subject.

A fault that passes is a survivor, a correct variant that fails a false alarm; either makes the self-test fail. Each
answer is computed in the precision that is asked, so that rounding has its part in it, and is named from predictions in
float64 that are computed in another way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from typing import Any, Literal

import numpy as np

from verification.faults import AnswerFunction, Fault
from verification.faults.question import together
from verification.faults.subject import FaultySubject
from verification.judge import report_on, run_of
from verification.judging.separation import is_shown
from verification.judging.standard import Standards
from verification.naming.scaling import is_same_choice
from verification.orders import Order
from verification.report import Report
from verification.selftest.correct import Variant
from verification.selftest.lineup import Lineup
from verification.verdicts import Verdict

#: What becomes of a subject: named right, named among equals, named wrong, found but not named, undecided, missed; or
#: a correct one that is passed, or accused. Two faults at once may give every answer of one, or the right ones.
Fate = Literal["named", "named wrong", "not named", "inconclusive", "survived", "correct", "false alarm",
               "as one", "hidden"]  # fmt: skip
BAD = ("survived", "false alarm")
_OF_CORRECT: dict[Verdict, Fate] = {"pass": "correct", "fail": "false alarm", "inconclusive": "inconclusive"}

_SHARING = 10


@dataclass(frozen=True)
class Trial:
    """One subject to try: a fault with its variant, two faults, or a correct variant, in one order and precision.

    `beside` is the variant of the second fault.
    """

    faults: tuple[str, ...]
    variant: str
    order: Order
    dtype: str
    level: str = "quick"
    beside: str = ""

    @property
    def name(self) -> str:
        """What is tried, in words."""
        variants = (self.variant, self.beside)
        forms = [f"{id_} ({variant})" if variant else id_ for id_, variant in zip(self.faults, variants, strict=False)]
        return " + ".join(forms) or f"correct ({self.variant})"


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


def pair_trials(orders: tuple[Order, ...], dtypes: tuple[str, ...], lineup: Lineup | None = None) -> list[Trial]:
    """Return every two faults of a lineup that a step can have at once, each in each form.

    What takes 3ᴷ times as long as a right step is left out: naming leaves it out beside others, too.
    """
    lineup = lineup or Lineup()
    return [
        Trial((one.id, other.id), variant, order, dtype, beside=beside)
        for order in orders
        for dtype in dtypes
        for one, other in combinations(_of(lineup, order, dtype), 2)
        if not is_same_choice(one.id, other.id)
        for variant, beside in product(one.variants, other.variants)
        if together(one.variants[variant], other.variants[beside]) is not None
    ]


def _of(lineup: Lineup, order: Order, dtype: str) -> list[Fault]:
    """Return the faults that can be in an order and a precision; a lower one is no formula to combine with."""
    able = [fault for fault in lineup.faults.values() if order in fault.orders and dtype in fault.dtypes]
    return [fault for fault in able if fault.id != "G11" and fault.most_steps == float("inf")]


def sample(all_trials: list[Trial], count: int, seed: int) -> list[Trial]:
    """Return some of the trials by chance, of as many different faults, orders and precisions as there can be."""
    shuffled = [all_trials[index] for index in np.random.default_rng(seed).permutation(len(all_trials))]
    seen: Counter[tuple[object, ...]] = Counter()
    turns = []
    for place, trial in enumerate(shuffled):
        turns.append((seen[trial.faults, trial.order], place))
        seen[trial.faults, trial.order] += 1
    return [shuffled[place] for _, place in sorted(turns)[:count]]


def run(trial: Trial, standards: Standards, lineup: Lineup | None = None) -> TrialResult:
    """Try one subject of a lineup, on its problems or on those of the trial's level; standards serve the next trial."""
    lineup = lineup or Lineup()
    subject, options = _subject(trial, lineup)
    report = report_on(
        subject, lineup.problems, standards, order=trial.order, dtypes=(trial.dtype,), level=trial.level, **options
    )
    caught = dict.fromkeys(finding.what for case in report.cases for finding in case.findings)
    name = report.diagnosis[0].name if report.diagnosis else ""
    became = _outcome(trial, report)
    if became == "survived" and len(trial.faults) == 2 and not _is_shown(trial, standards, lineup):
        became = "hidden"
    return TrialResult(trial, became, tuple(caught), name, len(report.cases))


def _is_shown(trial: Trial, standards: Standards, lineup: Lineup) -> bool:
    """Return whether a problem of the run tells two faults at once from a right step."""
    asked = run_of((trial.dtype,), (), trial.level, 0, problems=lineup.problems, standards=standards)
    return is_shown(_planted(trial, lineup), [(one, trial.dtype) for one in asked.standards_of(trial.order)])


def _subject(trial: Trial, lineup: Lineup) -> tuple[Callable[..., Any], dict[str, Any]]:
    if not trial.faults:
        variant: Variant = next(choice for choice in lineup.correct() if choice.name == trial.variant)
        options = {"framework": variant.framework, "kind": variant.kind, "conventions": variant.conventions}
        return variant.make(trial.order), options
    return FaultySubject(_planted(trial, lineup)), {"framework": "numpy", "kind": "problem"}


def _planted(trial: Trial, lineup: Lineup) -> AnswerFunction:
    """Return the answer of a fault, or of two at once."""
    variants = zip(trial.faults, (trial.variant, trial.beside), strict=False)
    first, *others = (lineup.faults[id_].variants[variant] for id_, variant in variants)
    both = together(first, *others) if others else first
    if both is None:
        raise ValueError(f"{trial.name}: expected faults of different choices.")
    return both


def _outcome(trial: Trial, report: Report) -> Fate:
    if not trial.faults:
        return _OF_CORRECT[report.verdict]
    if report.verdict != "fail":
        return "survived" if report.verdict == "pass" else "inconclusive"
    if not (report.diagnosis and report.diagnosis[0].convincing):
        return "not named"
    first = report.diagnosis[0]
    if len(first.faults) < len(trial.faults):
        return "as one"  # it gives every answer
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
