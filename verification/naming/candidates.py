"""What could have given a subject's answers: single faults, fitted ones, faults in one mode alone, and pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from verification.faults import CATALOGUE, ENTRIES, AnswerFunction
from verification.faults.order import right
from verification.faults.question import Misreading
from verification.naming.evidence import Evidence
from verification.naming.fits import fitted
from verification.naming.pairs import pairs
from verification.naming.precisions import SINGLE, precision_of
from verification.orders import Order
from verification.problems.setting import Setting


@dataclass(frozen=True)
class Candidate:
    """A fault, or a pair, with the answers it gives; `detail` names the variant or the fitted value."""

    faults: tuple[str, ...]
    detail: str
    answer: AnswerFunction

    @property
    def most_steps(self) -> float:
        """The inner steps up to which the answers take a reasonable time."""
        return min(ENTRIES[id_].most_steps for id_ in self.faults)


def candidates(order: Order) -> Iterator[Candidate]:
    """Yield every variant of every fault that a step of this order can have."""
    for fault in CATALOGUE.values():
        if order in fault.orders:
            for variant, answer in fault.variants.items():
                yield Candidate((fault.id,), variant, answer)


def single(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield every fault of the catalogue; a lower precision, which no formula gives, where the numbers show one."""
    for candidate in candidates(order):
        if candidate.faults[0] != "G11":
            yield candidate
    found = precision_of(evidence)
    if found:
        yield Candidate(("G11",), found, CATALOGUE["G11"].variants["" if found == SINGLE else "half precision"])


#: Parts of an implementation that a fault may be in alone, by the problems that reach it.
_MODES: dict[str, Callable[[Setting], bool]] = {
    "in batched mode alone": lambda problem: problem.options.batched,
    "in loop mode alone": lambda problem: not problem.options.batched,
    "with averaging alone": lambda problem: problem.options.average_across_steps,
    "without averaging alone": lambda problem: not problem.options.average_across_steps,
}


def in_one_mode(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield single faults in one mode, where only answers of that mode are wrong."""
    wrong = [observation.problem for observation in evidence.deciding if not evidence.is_right(observation)]
    for words, has in _MODES.items():
        if not wrong or not all(has(problem) for problem in wrong):
            continue
        for candidate in candidates(order):
            if candidate.faults[0] != "G11":
                detail = ", ".join(word for word in (candidate.detail, words) if word)
                yield Candidate(candidate.faults, detail, _confined(candidate.answer, words))


@cache
def _confined(answer: AnswerFunction, mode: str) -> AnswerFunction:
    """Return a fault that is in one mode alone."""
    return lambda question: answer(question) if _MODES[mode](question.problem) else right(question)


def fitted_ones(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield faults with one number that nobody knows beforehand, fitted to the answers."""
    for id_, detail, answer in fitted(evidence):
        if order in CATALOGUE[id_].orders:
            yield Candidate((id_,), detail, answer)


def paired(evidence: Evidence, order: Order) -> Iterator[Candidate]:
    """Yield pairs: a scale on any fault, and any fault that answers a misread question."""
    longest = max((observation.problem.inner_grad_steps for observation in evidence.deciding), default=0)
    able = [c for c in candidates(order) if c.faults[0] != "G11" and longest <= c.most_steps]
    singles = [(c.faults[0], c.detail, c.answer) for c in able]
    misreadings = [(id_, detail, answer) for id_, detail, answer in singles if isinstance(answer, Misreading)]
    for ids, detail, answer in pairs(evidence, singles, misreadings):
        yield Candidate(ids, detail, answer)
