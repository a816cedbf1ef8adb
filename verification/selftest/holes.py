"""What level quick shows: the problems on which each fault is far from right, and the holes where there is none.

A problem shows a fault where its answer is at least 1,000 bounds from the right one, in every precision that the fault
can be in: then nobody's rounding hides it. What no problem shows is a hole, wrong code that the level would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verification.algorithms import algorithm
from verification.faults import ALGORITHM_CATALOGUE, AnswerFunction, Fault
from verification.faults.order import last_steps_only
from verification.faults.place import with_steps
from verification.judging.standard import Standards
from verification.orders import Order
from verification.problems import levels, suite
from verification.selftest.lineup import Lineup

#: How many bounds away a fault has to be.
FAR = 1000.0
#: What is declared where a fault is in something that has to be declared.
DECLARED: dict[str, tuple[str, ...]] = {
    "O01": ("", "momentum(0.9)"),
    "O02": ("momentum(0.9)", "nesterov(0.9)"),
    "O03": ("adam",),
    "O04": ("adam", "clip-by-norm(0.5)", "clip-by-norm(0.5, eps=0)"),
    "O05": ("clip-by-norm(0.5)", "clip-by-norm(0.5) + adam", "adam + clip-by-norm(0.5)", "clip-by-value(0.5)"),
    "O06": ("momentum(0.9)", "momentum(0.9, held)", "adam"),
    "O07": ("weight-decay(0.1) + momentum(0.9)", "adam + weight-decay(0.1)"),
    "O08": ("multi-step-loss(5, 10)",),
    "O09": ("rates-by-step(1, 0.5, 0.25)",),
    "O10": ("meta-sgd", "meta-sgd(by-leaf)"),
    "O11": ("mldg(0.5)",),
    "O12": ("per-fedavg(0.001)",),
    "O13": ("anil", "cavia"),
    "O14": ("imaml(2)",),
}
#: Numbers that naming fits, and code has had: beyond the problem with most inner steps they cannot show.
_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 10)
#: The holes that there have to be, in one order or in all, with the reason.
_HELD, _NOTHING = "at first order the inner gradients are held", "nothing is differentiated"
_LONGER = "no problem takes more than 7 inner steps"
REASONS = {
    **{f"{name} {number})": _LONGER for name in ("A08 (the last", "B12 (K, but at most") for number in (7, 10)},
    "O10 (with the inner gradients held), order 1": _HELD,
    "O07 (differentiated at first order, times (1 − αλ)ᴷ), order 2": "at second order everything is differentiated",
    "O07 (differentiated at first order, times (1 − αλ)ᴷ), order reptile": _NOTHING,
    "O10 (right, but those by the variables at first order), order 1": _HELD,
    "O07 (held at second order), order 1": _HELD,
    "O07 (held at second order), order reptile": _NOTHING,
    "O07 (in the outer loss, too, ½λ‖φ‖²), order reptile": "there is no outer loss",
    "O13 (the others held in the inner gradients, at second order), order 1": _HELD,
    "O13 (the others held in the inner gradients, at second order), order reptile": _NOTHING,
}


@dataclass(frozen=True)
class Row:
    """A fault in one form and order, what is declared, and the problems that show it."""

    fault: str
    variant: str
    order: Order
    declared: str
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """The fault and its form, in words."""
        return f"{self.fault} ({self.variant})" if self.variant else self.fault

    @property
    def is_hole(self) -> bool:
        """Whether no problem shows it."""
        return not self.problems

    @property
    def reason(self) -> str:
        """Why it has to be a hole; nothing where it has not."""
        known = (f"{self.name}, order {self.order}", self.name)
        return next((REASONS[name] for name in known if name in REASONS), "") if self.is_hole else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row in plain types for JSON."""
        return {**asdict(self), "problems": list(self.problems), "reason": self.reason}


def shown(
    orders: Sequence[Order],
    lineup: Lineup | None = None,
    standards: Standards | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Row]:
    """Return a row for every fault, in every form and order: those of a lineup, by default of the whole one."""
    chosen, known = lineup or Lineup(), standards or Standards()
    forms = [form for order in orders for form in _forms(chosen, order, is_whole=lineup is None)]
    found = []
    for done, (fault, variant, answer, order) in enumerate(forms):
        if progress:
            progress(done, len(forms), f"{fault.id}: what shows it")
        declared = DECLARED.get(fault.id, ("",))
        rows = (_row(fault, variant, answer, order, text, chosen, known) for text in declared)
        found.append(next((row for row in rows if not row.is_hole), Row(fault.id, variant, order, declared[-1], ())))
    return found


def holes(rows: Iterable[Row]) -> list[Row]:
    """Return the holes that have no reason."""
    return [row for row in rows if row.is_hole and not row.reason]


Form = tuple[Fault, str, AnswerFunction, Order]


def _forms(lineup: Lineup, order: Order, *, is_whole: bool) -> Iterator[Form]:
    """Yield the faults of a lineup, and of the whole one those that can be declared, and those with numbers."""
    faults = [*lineup.faults.values(), *(ALGORITHM_CATALOGUE.values() if is_whole else ())]
    for fault in faults:
        if order in fault.orders:
            yield from ((fault, variant, answer, order) for variant, answer in fault.variants.items())
            if is_whole:
                yield from ((fault, variant, answer, order) for variant, answer in _with_numbers(fault))


def _with_numbers(fault: Fault) -> Iterator[tuple[str, AnswerFunction]]:
    for number in _NUMBERS:
        if fault.id == "A08" and number > 2:
            yield f"the last {number}", last_steps_only(number)
        if fault.id == "B12":
            yield f"K, but at most {number}", with_steps(lambda steps, most=number: min(steps, most))  # type: ignore[misc]


def _row(
    fault: Fault, variant: str, answer: AnswerFunction, order: Order, declared: str, lineup: Lineup, known: Standards
) -> Row:
    means = algorithm(declared)
    names = levels.names("quick", order, 0, means) if lineup.problems is None else lineup.problems
    dtype = fault.dtypes[-1]  # the coarser one, where it can be in both
    far = []
    for name in names:
        used = suite.with_all_used(name) if means.needs_all_used and isinstance(name, str) else name
        standard = known.of(used, order, None, means)
        calls = range(1 + levels.is_asked_twice(standard.problem))
        if standard.problem.inner_grad_steps <= fault.most_steps and any(
            standard.distance(answer, dtype, call=call) >= FAR for call in calls
        ):
            far.append(standard.problem.name)
    return Row(fault.id, variant, order, declared, tuple(far))
