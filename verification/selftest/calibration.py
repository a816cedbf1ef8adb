"""Where the bound stands: the largest error of correct code below it, the faintest fault of the catalogue above it.

Both are measured in units of u · max(‖x‖, s) for each leaf x, as in `judging.tolerances`, so that one number C can
be held against them on every problem, in every precision. A ladder is one problem with one number of inner steps at
several learning rates: the smaller the rate, the less a fault in the inner loop changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from verification.faults import CATALOGUE, Fault
from verification.faults.question import AnswerFunction
from verification.judging import tolerances
from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import DECIDES, Standard
from verification.judging.tolerances import unit_roundoff
from verification.orders import DTYPES, Order
from verification.problems import suite
from verification.problems.problem import Problem
from verification.selftest.correct import Variant
from verification.selftest.lineup import Lineup
from verification.subjects import Subject, ask

PROBLEMS = ("quadratic", "logistic-regression", "mlp-tanh-mse", "bilinear")
#: Powers of two from 0.001 to 0.5: a learning rate that is rounded in float32 is another question, not an error.
RATES = tuple(2.0**-power for power in (10, 8, 6, 4, 3, 2, 1))
STEPS = (1, 3, 5, 20)

#: The rate of the built-in problems. A fault that changes nothing there cannot show on the problem at any rate.
OWN_RATE = 2.0**-3
#: What does not show moves an answer there by tens of roundings; the faintest that shows, single precision, by 2²⁶.
_SHOWS = 2.0**20


@dataclass(frozen=True)
class Ladder:
    """A built-in problem with another number of inner steps, at several learning rates."""

    problem: str
    order: Order
    steps: int
    rates: tuple[float, ...] = RATES

    @property
    def name(self) -> str:
        """What is measured, in words."""
        return f"{self.problem}, K = {self.steps}"


class Measured(NamedTuple):
    """A size in units u · max(‖x‖, s), and whose it is."""

    units: float
    by: str


#: Where no fault shows there is none to be hidden.
_NOTHING = Measured(float("inf"), "none")


@dataclass(frozen=True)
class Setting:
    """One problem at one learning rate in one precision: both measurements, and the judge's separation in bounds."""

    problem: str
    order: Order
    steps: int
    rate: float
    dtype: str
    correct: Measured
    faintest: Measured
    separation: float
    #: What both measurements are held against, in units.
    bound: float = tolerances.FACTOR

    def under(self, bound: float) -> Setting:
        """Return the same measurements under another bound; the separation is in bounds, and so it changes with it."""
        return replace(self, bound=bound, separation=self.separation * (self.bound / bound))

    @property
    def accused(self) -> bool:
        """Whether correct code is beyond the bound: the bound is too narrow."""
        return not self.correct.units <= self.bound

    @property
    def hidden(self) -> bool:
        """Whether a fault is within the bound: no verdict on this problem can exclude it."""
        return not self.faintest.units > self.bound

    @property
    def decided(self) -> bool:
        """Whether the judge would say "pass" to a right answer here, and not "inconclusive"."""
        return self.separation >= DECIDES

    @property
    def overlooked(self) -> bool:
        """Whether the judge would pass a fault here: it is hidden, and the judge's separation does not say so."""
        return self.hidden and self.decided

    def to_dict(self) -> dict[str, Any]:
        """Return the setting in plain types for JSON, where an infinite number is null."""
        return {
            "problem": self.problem,
            "order": self.order,
            "steps": self.steps,
            "rate": self.rate,
            "dtype": self.dtype,
            "correct": {"units": _finite(self.correct.units), "variant": self.correct.by},
            "faintest": {"units": _finite(self.faintest.units), "fault": self.faintest.by},
            "separation": _finite(self.separation),
            "accused": self.accused,
            "hidden": self.hidden,
            "overlooked": self.overlooked,
        }


def ladders(
    problems: Iterable[str] = PROBLEMS,
    orders: Iterable[Order] = (1,),
    steps: Iterable[int] = STEPS,
    rates: Iterable[float] = RATES,
) -> list[Ladder]:
    """Return a ladder for each problem, order and number of steps that make sense together."""
    names, counts, rungs = list(problems), list(steps), tuple(rates)
    return [
        Ladder(name, order, count, rungs)
        for order in orders
        for name in names
        if suite.is_asked(name, order)
        for count in counts
    ]


def measure(
    climbs: list[Ladder],
    jobs: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
    lineup: Lineup | None = None,
) -> list[Setting]:
    """Climb all ladders, in as many processes as asked, and return the settings in order."""
    found: list[Setting] = []
    for done, settings in enumerate(_climbed(climbs, jobs, lineup), 1):
        found += settings
        if progress:
            progress(done, len(climbs), climbs[done - 1].name)
    return found


def _climbed(climbs: list[Ladder], jobs: int, lineup: Lineup | None) -> Iterator[list[Setting]]:
    work = partial(climb, lineup=lineup)
    if jobs == 1:
        yield from map(work, climbs)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, climbs)


def climb(ladder: Ladder, lineup: Lineup | None = None) -> list[Setting]:
    """Measure one ladder in both precisions, at the catalogue's faults that show on its problem.

    The correct variants are those of a lineup, by default of the whole one.
    """
    variants = _plain(ladder.order, (lineup or Lineup()).correct())
    with np.errstate(over="ignore", invalid="ignore"):  # a fault may diverge where the right step does not
        distances = fault_distances(_at(ladder, OWN_RATE))
        showing = [name for name, units in distances.items() if units > _SHOWS]
        return [setting for rate in ladder.rates for setting in _settings(ladder, rate, showing, variants)]


def _at(ladder: Ladder, rate: float) -> Standard:
    made = suite.problem(ladder.problem, order=ladder.order)
    name = f"{ladder.name}, α = {rate:g}"
    return Standard(replace(made, name=name, inner_grad_steps=ladder.steps, inner_learning_rate=rate))


def _settings(ladder: Ladder, rate: float, showing: list[str], variants: list[Variant]) -> Iterator[Setting]:
    standard = _at(ladder, rate)
    distances = fault_distances(standard)
    for dtype in DTYPES:
        coarser = unit_roundoff("float64") / unit_roundoff(dtype)
        units = {name: coarser * distance for name, distance in distances.items() if dtype in _fault(name).dtypes}
        yield Setting(
            ladder.problem, ladder.order, ladder.steps, rate, dtype,
            correct=largest_error(standard, variants, dtype),
            faintest=min((Measured(units[name], name) for name in showing if name in units), default=_NOTHING),
            separation=standard.separation(dtype),
        )  # fmt: skip


def fault_distances(standard: Standard) -> dict[str, float]:
    """Return how far each fault's gradients are from the right ones, in float64 units, on the leaf that shows it best.

    Faults are worked in float64, to ten digits at least: what is measured is the fault, without rounding. Left out are
    faults whose gradients are right to the bit: a clip that nothing exceeds, and changes of the caller's arrays.
    """
    distances = {name: standard.distance(answer, "float64") for name, answer in _answers(standard.generic)}
    return {
        name: tolerances.FACTOR * distance
        for name, distance in distances.items()
        if distance and _fault(name).id != "E02"
    }


def _answers(problem: Problem) -> Iterator[tuple[str, AnswerFunction]]:
    for fault in CATALOGUE.values():
        if problem.order in fault.orders and problem.inner_grad_steps <= fault.most_steps:
            for variant, answer in fault.variants.items():
                yield _label(fault, variant), answer


def _label(fault: Fault, variant: str) -> str:
    return f"{fault.id} ({variant})" if variant else fault.id


def _fault(name: str) -> Fault:
    return CATALOGUE[name.partition(" ")[0]]


def largest_error(standard: Standard, variants: list[Variant], dtype: str) -> Measured:
    """Return the largest error of cost, gradients and adapted variables over correct variants, and the variant."""
    return max(Measured(_error(standard, variant, dtype), variant.name) for variant in variants)


def _plain(order: Order, variants: list[Variant]) -> list[Variant]:
    """Return the variants that need no extra and declare nothing."""
    return [
        variant
        for variant in variants
        if order in variant.orders and variant.framework != "torch" and not variant.conventions
    ]


def _error(standard: Standard, variant: Variant, dtype: str) -> float:
    subject = Subject(variant.make(standard.problem.order), variant.kind, variant.framework, variant.name)
    reply = ask(subject, standard.generic.native(variant.framework, dtype))
    if reply.findings:
        return float("inf")  # what is missing or misshapen is no rounding
    # Measured against the reference, and in units: C times the error over its bound.
    _, worst = compare(standard, dtype, reply, standard.truths(own=False), Declared())
    return tolerances.FACTOR * worst


@dataclass(frozen=True)
class Summary:
    """The settings of one precision together."""

    dtype: str
    settings: list[Setting]

    @property
    def correct(self) -> Setting:
        """The setting in which correct code errs most."""
        return max(self.settings, key=lambda setting: setting.correct.units)

    @property
    def faintest(self) -> Setting:
        """The setting in which a fault is faintest, of those that the judge decides; of all where it decides none."""
        decided = [setting for setting in self.settings if setting.decided]
        return min(decided or self.settings, key=lambda setting: setting.faintest.units)

    @property
    def separation(self) -> float:
        """How many times the faintest fault is as large as the largest error of correct code."""
        return self.faintest.faintest.units / self.correct.correct.units

    def count(self, what: str) -> int:
        """Count the settings of which a property is true."""
        return sum(bool(getattr(setting, what)) for setting in self.settings)


def summaries(settings: list[Setting]) -> list[Summary]:
    """Return a summary for each precision."""
    dtypes = dict.fromkeys(setting.dtype for setting in settings)
    return [Summary(dtype, [setting for setting in settings if setting.dtype == dtype]) for dtype in dtypes]


def objections(settings: list[Setting]) -> list[str]:
    """Return what speaks against the bound, in sentences; nothing where it stands between right and wrong."""
    found = []
    for setting in settings:
        faintest = setting.faintest
        where = f"{setting.problem}, order {setting.order}, K = {setting.steps}, α = {setting.rate:g}, {setting.dtype}"
        bound = f"the bound of {setting.bound:g} units"
        if setting.accused:
            found.append(
                f"{where}: expected correct code within {bound}, but {setting.correct.by!r} errs by "
                f"{setting.correct.units:.3g}. Widen the bound, or mend the variant."
            )
        if setting.overlooked:
            found.append(
                f"{where}: expected every fault outside {bound} or the judge to be undecided, but {faintest.by} "
                f"is {faintest.units:.3g} units away. Narrow the bound, or add this fault to those that the "
                "judge uses for the separation."
            )
    return found


def to_dict(settings: list[Setting]) -> dict[str, Any]:
    """Return everything measured in plain types for JSON."""
    text = [setting.to_dict() for setting in settings]
    return {"bound": tolerances.FACTOR, "settings": text, "objections": objections(settings)}


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
