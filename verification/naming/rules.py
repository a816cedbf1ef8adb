"""Rules by which a number follows from the problem: a constant, T, N, K, α, what divides by them, and their products.

A factor that is fitted on every wrong answer is one mistake where one rule gives all of them, and the simplest rule is
the one to tell: T before a number, a number before a number times T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

from verification.faults import Question
from verification.orders import Order

_STEADY = 1e-3  # relative; factors of float32 answers agree to 1e-5, those of a coincidence do not
_SIMPLE = 1e-6  # relative: so near to a short number, a fitted one is that number; what comes of it is tested anyway
_NEAR_SHORT = 1e-4  # relative: so near, a short number is tried; a fit that rounding disturbs may be no nearer to it
_DENOMINATORS = 12


@dataclass(frozen=True)
class Quantity:
    """A number that a problem has: its name, the value, and the fault that it is by itself as a factor, with words."""

    name: str
    of: Callable[[Question], float]
    fault: str = "D11"
    words: str = ""


def _rate(question: Question) -> float:
    """Return α where all variables have the same, else NaN, which no rule agrees with."""
    rates = question.works[0].view.rate
    return float(rates[0]) if np.all(rates == rates[0]) else float("nan")


def _inverse(quantity: Quantity, fault: str = "D11", words: str = "") -> Quantity:
    return Quantity(f"1/{quantity.name}", lambda question: 1 / quantity.of(question), fault, words)


_T = Quantity("T", lambda question: question.tasks, "D01")
_K = Quantity("K", lambda question: max(question.problem.inner_grad_steps, 1))
_COUNTS = (
    Quantity("N_q", lambda question: question.problem.query_examples),
    Quantity("N_s", lambda question: question.problem.examples),
    _K,
    Quantity("(K + 1)", lambda question: question.problem.inner_grad_steps + 1),
    Quantity("(T + 1)", lambda question: question.tasks + 1),
    Quantity("α", _rate),
)


def quantities(order: Order) -> tuple[Quantity, ...]:
    """Return what factors are made of, the likeliest first; what divides Reptile's displacement is a scale of its."""
    others = {part.name: part for count in _COUNTS for part in (count, _inverse(count))}
    if order == "reptile":
        others["α"] = Quantity("α", _rate, "G03", "not divided")
        others["1/K"] = _inverse(_K, "G03", "divided by Kα")
    return _T, _inverse(_T, "D02"), *others.values()


@dataclass(frozen=True)
class Rule:
    """A number times quantities: what a factor is on every problem."""

    constant: float
    quantities: tuple[Quantity, ...]

    def __call__(self, question: Question) -> float:
        """Return the number that the rule gives on a problem."""
        return self.constant * float(np.prod([quantity.of(question) for quantity in self.quantities]))

    @property
    def formula(self) -> str:
        """The number in words: "2 N_q", "1/K"."""
        names = [quantity.name for quantity in self.quantities]
        return " ".join([number(self.constant), *names] if self.constant != 1 or not names else names)

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """What faults the number is as a factor of a gradient, each with its words; nothing where it is 1."""
        own = [quantity for quantity in self.quantities if quantity.fault != "D11"]
        rest = Rule(self.constant, tuple(quantity for quantity in self.quantities if quantity.fault == "D11"))
        known = tuple((quantity.fault, quantity.words) for quantity in own)
        return known if rest.formula == "1" else (*known, ("D11", f"c = {rest.formula}"))


def number(value: float) -> str:
    """Return a number as a person would write it: 1/3, 0.1, 65536, or six digits."""
    fraction = Fraction(value).limit_denominator(_DENOMINATORS)
    if abs(value) < 1e3 and fraction.denominator in (3, 6, 7, 9, 11, 12) and abs(float(fraction) - value) < 1e-12:
        return str(fraction)
    near_one = abs(value - 1) < 1e-4
    return f"{value:.{12 if near_one else 6}g}"


def simple(value: float) -> float:
    """Return the short number that a fitted one is: a fraction, or a few digits; else the number itself."""
    if 0 < abs(value - 1) < _NEAR_SHORT:
        return value  # a factor of 1.00000001 is a mistake, and one of 1 is none
    return next(short_numbers(value, _SIMPLE), value)


def short_numbers(value: float, within: float = _NEAR_SHORT) -> Iterator[float]:
    """Yield the short numbers beside a fitted one: a few digits, a fraction. It is for the caller to test them."""
    fraction = Fraction(value).limit_denominator(_DENOMINATORS)
    for short in (float(f"{value:.3g}"), float(fraction), float(round(value))):
        if short and abs(value / short - 1) <= within:
            yield short


def rules(values: Sequence[tuple[float, Question]], order: Order) -> Iterator[Rule]:
    """Yield the rules that give every one of these numbers, the simplest first: it is for the caller to test them."""
    if not values or not all(np.isfinite(value) and value for value, _ in values):
        return
    for chosen, is_exact in _forms(quantities(order)):
        sizes = [float(np.prod([quantity.of(question) for quantity in chosen])) for _, question in values]
        shares = [value / size for (value, _), size in zip(values, sizes, strict=True)]
        if not np.all(np.isfinite(shares)) or max(shares) - min(shares) > _STEADY * abs(shares[0]):
            continue
        constant = simple(float(np.median(shares)))
        if abs(constant - 1) < _NEAR_SHORT:  # the answers decide whether it is 1: a share is as rounded as they are
            yield Rule(1.0, chosen)
        if not is_exact and constant != 1:
            yield Rule(constant, chosen)


def _forms(known: tuple[Quantity, ...]) -> Iterator[tuple[tuple[Quantity, ...], bool]]:
    """Yield the quantities of a rule, and whether no number stands before them; the simplest first."""
    named = [quantity for quantity in known if quantity.fault != "D11"]
    others = [quantity for quantity in known if quantity.fault == "D11"]
    yield (), True
    yield from (((quantity,), True) for quantity in named)
    yield (), False
    yield from (((quantity,), True) for quantity in others)
    yield from (((quantity,), False) for quantity in known)
    yield from ((pair, True) for pair in combinations(known, 2))
