"""Faults with one number that nobody knows beforehand: it is fitted on one answer and has to hold on all others.

A fit may leave a factor of the whole gradient free, and may be of a misread question: then it is one of several faults
at once. Numbers that people write come before a search, since an inner loop at 65,536 times its rate has no slope to
follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import chain, combinations, islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from verification.faults import AnswerFunction, Outcome, Question, jacobians, order, parameters, place, scales, state
from verification.faults.place import scaled
from verification.faults.question import Method, after, together
from verification.judging.tolerances import norm
from verification.naming.evidence import NEAR, Evidence, Observation
from verification.naming.rules import decimal, rules, short_numbers
from verification.naming.scaling import AS_ASKED, Product, Reading, alone, factor_of, is_same_choice, joined
from verification.naming.steps import MOST_STEPS, step_counts
from verification.naming.vectors import Named, first_wrong, ratio, returned, vector, wrong_ones
from verification.orders import Order

#: Powers of two and of ten, and what stands beside them: shots, batch sizes, the scale of a mixed-precision loop.
_FACTORS = tuple(
    sorted(
        {
            *(2.0**k for k in range(-16, 17)), *(10.0**k for k in range(-6, 7)),
            *(factor for count in (3, 5, 6, 15, 20, 25, 50, 75) for factor in (count, 1 / count)),
            0.3, 0.6, 1.6, -0.3, -1.0, -3.0,
        }
        - {1.0},
        key=lambda factor: abs(np.log(abs(factor))),
    )
)  # fmt: skip
_RATES = tuple(digit * 10.0**k for k in range(-5, 1) for digit in (1, 2, 3, 5))
_FACTORS_OF_ONE = (0.5, 2.0, 0.1, 10.0, -1.0)  # where a search for that of a single step begins
#: Variables that code gives a rate of their own, by (name, number of axes) of all that adapt, and the place of one.
_LEAVES: dict[str, Callable[[Sequence[tuple[str, int]], int], bool]] = {
    "variables with less than two axes": lambda known, place: known[place][1] < 2,
    "variables with two axes or more": lambda known, place: known[place][1] >= 2,
    "the last variable": lambda known, place: place == len(known) - 1,
    "the first variable": lambda _, place: place == 0,
}
_EPSILONS = (0.0, 1e-12, 1e-8, 1e-6)  # that people add to a norm
_LIMITS = (0.1, 1.0, 10.0, 100.0)  # where a search for a clip begins
_STEPS_OF_DIFFERENCES = (1e-2, 1e-3, 1e-4, 1e-1, 1e-5)
_EACH_TASK = "of each task,"
_SEEN = 2  # problems that a clip of a multiple acts on, and as many that it does not, at least
_BEST = 3  # starts from which a search goes on, those that come nearest
_PROMISING = 0.1  # of an answer: from farther away a search does not go on where there are many of them
_CLOSER, _PATIENCE = 0.9, 3  # a search that comes no closer than this part of the distance, so often, is given up
_ITERATIONS = 25
_LEAST = 1e-7  # a move that overflows nothing
_NEARLY = 1e-6  # relative: where a search by estimates ends, and one by predictions goes on
_SETTLED = 1e-13  # relative: a thousand roundings, less than any bound that the value is then held against


@dataclass(frozen=True)
class Family:
    """Faults that differ in a number: the id, words before the number, how one is made, and where to look for it.

    `turn` is the relative step of the slope: √u balances the step's error and rounding, unless rounding is amplified.
    `is_rate` tells that one inner step shows the number best: the gradient bends least there.
    """

    id: str
    words: str
    make: Callable[[float], AnswerFunction]
    starts: tuple[float, ...]
    turn: float = 1e-7
    is_rate: bool = False

    def at(self, value: float) -> AnswerFunction:
        """Return the fault with a number; the same object for the same number, so that what it answers is known."""
        return _made(self.make, value)


@lru_cache(maxsize=4096)
def _made(make: Callable[[float], AnswerFunction], value: float) -> AnswerFunction:
    return make(value)


def _rates() -> Iterator[Family]:
    yield Family("G10", "an effective learning rate of α times", scales.with_scaled_loss, _FACTORS, is_rate=True)
    yield Family("G01", "an inner learning rate of", scales.with_rate, _RATES, is_rate=True)


@cache
def _families(step: Order) -> tuple[Family, ...]:
    return tuple(_every_family(step))


def _every_family(step: Order) -> Iterator[Family]:
    yield from _rates()
    yield from _of_the_loop(step)
    yield Family("E04", "a momentum of", state.with_momentum, (0.9, 0.5))
    yield Family("E04", "within a call, a momentum of", _momentum_within_a_call, (0.9, 0.5))
    if step == 2:
        for words, relative, one_sided in (
            ("ε =", False, False), ("ε ‖u‖ =", True, False), ("one-sided, ε =", False, True),
            ("one-sided, ε ‖u‖ =", True, True),
        ):  # fmt: skip
            make = partial(order.by_differences, relative=relative, one_sided=one_sided)
            yield Family("A10", words, make, _STEPS_OF_DIFFERENCES, turn=1e-2)


def _decays() -> Iterator[Family]:
    yield Family("G06", "a weight decay of", scales.with_weight_decay, (0.001, 0.1, 1.0))
    yield Family("G06", "of φ − θ, a weight decay of", scales.with_pull, (0.01, 0.1, 1.0))


def _of_the_loop(step: Order) -> Iterator[Family]:
    """Yield rates of some steps or variables, and decays: what is in the inner loop of each task by itself."""
    yield Family("G10", "an effective learning rate of α γᵏ in step k, γ =", scales.falling, (0.9, 0.5, 0.1, 2.0))
    yield Family("G10", "an effective learning rate of α γᵗ⁻¹ in task t, γ =", scales.falling_by_task, (0.9, 0.5, 2.0))
    for words, of_step in (("last", scales.in_the_last_step), ("first", scales.in_the_first_step)):
        told = f"in the {words} step alone, an effective learning rate of α times"
        yield Family("G10", told, of_step, _FACTORS_OF_ONE)
    yield Family("G06", "γ =", scales.with_decay, (0.999, 0.95, 0.8))
    yield from _decays()
    used = scales.with_weight_decay_of_used
    yield Family("G06", "of the variables used, a weight decay of", used, (0.001, 0.1, 1.0))
    if step == 2:
        held = partial(scales.with_pull, held=True)
        yield Family("G06", "of φ − θ with θ held, a weight decay of", held, (0.01, 0.1, 1.0))
    for words, has in _LEAVES.items():
        told = f"for {words} alone, an effective learning rate of α times"
        yield Family("G10", told, partial(scales.of_some_leaves, has), _FACTORS_OF_ONE)


def fitted(evidence: Evidence, step: Order) -> Iterator[Named]:
    """Yield (id, what was fitted, answer) for each family of faults that can be fitted to the first telling answer."""
    first = first_wrong(evidence)
    if first is None:
        return
    clips = list(clips_read_off(evidence))
    yield from clips
    # Where one clip explains all, no other form of it is looked for; and a clip of the mean makes it smaller.
    explained = any(evidence.matched_by(answer) for _, _, answer in clips)
    got = returned(first)
    smaller = got is not None and norm(got) < norm(vector(evidence.right(first)))
    for family in (*_families(step), *_clips()):
        if family.id == "G07" and (explained or not (smaller or family.words.startswith(_EACH_TASK))):
            continue
        value = search(evidence, family)
        if value is not None and not (family.id == "G10" and abs(value) < _LEAST):  # what never moves is F03 or B12
            yield family.id, f"{family.words} {decimal(value)}", family.at(value)
    yield "G10", "an effective learning rate of α²", scales.with_rate_twice
    for _, words, answer in step_counts(evidence):
        yield "B12", words, answer
    # No problem of level quick shows these two: its inner costs fall from step to step.
    yield "B12", "up to the lowest support cost", place.lowest_support_cost
    yield "B12", "up to the lowest support cost after a step", place.lowest_support_cost_of_adapted
    if step == 2:
        most = max(observation.problem.inner_grad_steps for observation in evidence.deciding)
        for window in range(3, min(most, MOST_STEPS)):
            yield "A08", f"the last {window}", order.last_steps_only(window)
        yield from _left_out(evidence, "A01", "the inner gradients held of", jacobians.first_order_of)
    yield from _left_out(evidence, "F03", "never adapted:", parameters.never_adapted)


def under_a_free_scale(evidence: Evidence, step: Order, readings: Sequence[Reading] = (AS_ASKED,)) -> Iterator[Product]:
    """Yield fitted faults that leave a factor of each answer open: of the right question, or of a misread one."""
    for reading in readings:
        ids, detail, change = reading
        # Of a misread question, a rate alone: every other fit takes as long, and is less likely.
        for family in _families(step) if reading is AS_ASKED else _rates():
            if any(is_same_choice(family.id, id_) for id_ in ids):
                continue
            beside = alone if reading is AS_ASKED else partial(after, inner=change)
            value = search(evidence, family, beside, is_scaled=True)
            if value is not None:
                words = joined(detail, f"{family.words} {decimal(value)}")
                yield (*ids, family.id), words, after(family.at(value), change)
        if any(is_same_choice("B12", id_) for id_ in ids):
            continue
        for _, words, answer in step_counts(evidence, partial(after, inner=change), is_scaled=True):
            yield (*ids, "B12"), joined(detail, words), answer


def with_a_number(evidence: Evidence, faults: Sequence[Product]) -> Iterator[Product]:
    """Yield faults beside another rate, decay or number of steps, with a factor of each answer left open."""
    wrong = wrong_ones(evidence)
    for ids, detail, answer in faults:
        if not all(_is_whole(evidence, one, answer) for one in wrong):
            continue
        for _, words, whole in step_counts(evidence, partial(after, answer), is_scaled=True):
            yield (*ids, "B12"), joined(detail, words), whole
        has_its_loop = not isinstance(answer, Method) or answer.one_task is not None
        for family in _rates() if has_its_loop else chain(_rates(), _decays()):
            if any(is_same_choice(family.id, id_) for id_ in ids):
                continue
            beside = partial(_together, answer)
            value = search(evidence, family, beside, is_scaled=True)
            if value is not None:
                words = joined(detail, f"{family.words} {decimal(value)}")
                yield (*ids, family.id), words, beside(family.at(value))


def _together(one: AnswerFunction, other: AnswerFunction) -> AnswerFunction:
    """Return the step with two faults that are known to be of different choices."""
    return cast(AnswerFunction, together(one, other))


def _is_whole(evidence: Evidence, observation: Observation, answer: AnswerFunction) -> bool:
    """Return whether a fault gives every leaf in its shape, so that its answers can be followed to another number."""
    found = evidence.estimate(observation, answer, is_shared=True).gradients
    return all(leaf is not None and leaf.shape == observation.problem.shape(chain) for chain, leaf in found.items())


def _clips() -> Iterator[Family]:
    yield Family("G07", f"{_EACH_TASK} by value, at", scales.clip_each_by_value, _LIMITS)
    for words, clip in _NORMS.items():
        yield Family("G07", f"{words}, at", clip, _LIMITS)
        yield Family("G07", f"{words} as in PyTorch, at", partial(clip, added=scales.PYTORCH_CLIP), _LIMITS)


#: Clips that a search finds; those of the whole gradient by its norm can be read off.
_NORMS: dict[str, Callable[..., AnswerFunction]] = {
    "by the largest entry": scales.clip_by_largest,
    "of each leaf, by norm": scales.clip_leaves_by_norm,
    f"{_EACH_TASK} by norm": scales.clip_each_by_norm,
}


def _momentum_within_a_call(mu: float) -> AnswerFunction:
    return state.with_momentum(mu, across_calls=False)


def clips_read_off(evidence: Evidence, of: AnswerFunction = order.right) -> Iterator[Named]:
    """The clip is the largest entry, or the norm, of an answer that is smaller than the right one, or a fault's."""
    for name, make, size in (("value", scales.clip_by_value, _largest), ("norm", scales.clip_by_norm, norm)):
        for observation in evidence.deciding:
            got = returned(observation)
            whole = size(vector(evidence.predict(observation, of)))
            # Smaller by more than float32 can leave: where a clip does not act, its limit cannot be read off.
            if got is not None and size(got) < 0.999 * whole:
                yield "G07", f"by {name}, at {size(got):.6g}", make(size(got))
                if name == "norm":
                    # PyTorch multiplies by limit / (‖g‖ + ε), so that ‖got‖ = limit ‖g‖ / (‖g‖ + ε).
                    limit = size(got) * (1 + scales.PYTORCH_CLIP / whole)
                    yield (
                        "G07",
                        f"by norm as in PyTorch, at {limit:.6g}",
                        scales.clip_by_norm(limit, scales.PYTORCH_CLIP),
                    )
                    for added in _EPSILONS:
                        length = float(f"{size(got) * (1 + added / whole):.6g}")
                        yield "G07", f"to a norm of {length:g}, whatever it is", scales.set_norm(length, added)
                break


def clips_beside(evidence: Evidence, faults: Sequence[Product], step: Order) -> Iterator[Product]:
    """Yield faults whose answer is clipped, at a limit that is read off, and a multiple of the right one that is."""
    for ids, detail, answer in faults:
        if not all(_is_whole(evidence, one, answer) for one in evidence.deciding):
            continue
        for id_, words, clip in clips_read_off(evidence, answer):
            both = together(clip, answer)
            if id_ not in ids and both is not None:
                yield (*ids, id_), joined(detail, words), both
    for words, make, size in (("value", scales.clip_by_value, np.abs), ("norm", scales.clip_by_norm, norm)):
        limit, factors = _multiple(evidence, size)
        for rule in islice(rules(factors, step), _BEST):
            scale = Method(scale=lambda found, question, rule=rule: scaled(found, rule(question)))  # type: ignore[misc]
            told = joined(*(word for _, word in rule.faults), f"by {words}, at {limit:.6g}")
            if rule.faults:
                yield (*(id_ for id_, _ in rule.faults), "G07"), told, _together(scale, make(limit))


def _multiple(evidence: Evidence, size: Callable[..., Any]) -> tuple[float, list[tuple[float, Question]]]:
    """Return the largest size of an answer, and which multiples of the right ones those parts are that are below it."""
    known = [(one, got) for one in evidence.deciding if (got := returned(one)) is not None]
    limit = max((float(np.max(size(got), initial=0.0)) for _, got in known), default=0.0)
    clipped = {one.problem.name for one, got in known if np.max(size(got), initial=0.0) >= 0.999 * limit}
    whole = {one.problem.name for one, _ in known} - clipped
    if size is norm and min(len(clipped), len(whole)) < _SEEN:
        return limit, []  # two numbers explain what two problems have
    found = []
    for one, got in known:
        part = np.broadcast_to(size(got) < 0.999 * limit, got.shape)
        factor = ratio(got[part], vector(evidence.right(one))[part])
        if factor:
            found.append((factor, evidence.question(one)))
    return limit, found


def _largest(gradient: NDArray[Any]) -> float:
    return float(np.max(np.abs(gradient), initial=0.0))


def search(
    evidence: Evidence, family: Family, beside: Callable[[Any], AnswerFunction] = alone, *, is_scaled: bool = False
) -> float | None:
    """Return the number with which a family gives one wrong answer, or None; `is_scaled` leaves a factor open there.

    `beside` puts a member of the family together with another fault.
    """
    probe = _probe(evidence, family, beside)
    got = None if probe is None else returned(probe)
    if probe is None or got is None:
        return None

    def is_found(value: float) -> bool:
        answer = beside(family.at(value))
        if is_scaled:
            return factor_of(evidence, probe, answer) is not None
        return evidence.is_given_by(answer, probe)

    def residual(value: float, predict: Callable[..., Outcome] = evidence.predict) -> NDArray[Any]:
        predicted = vector(predict(probe, beside(family.at(value))))
        if predicted.size != got.size:
            return np.full_like(got, np.inf)  # at this number a leaf is lost
        return got - (ratio(got, predicted) or 0.0 if is_scaled else 1.0) * predicted

    distances = []
    for start in family.starts:
        with np.errstate(all="ignore"):  # a search may leave the region where the costs are finite
            distance = norm(residual(start, evidence.estimate))
        if np.isfinite(distance):
            if distance <= NEAR * norm(got) and is_found(start):
                return start
            distances.append((distance, start))
    for distance, start in sorted(distances)[:_BEST]:
        if distance > _PROMISING * norm(got) and beside is not alone:
            break
        value = _gauss_newton(partial(residual, predict=evidence.estimate), start, family.turn, _NEARLY)
        if value is not None:
            value = _gauss_newton(residual, value, family.turn)
        if value is not None:
            for exact in dict.fromkeys((*short_numbers(value), value)):
                if is_found(exact):
                    return exact
    return None


def _probe(evidence: Evidence, family: Family, beside: Callable[[Any], AnswerFunction]) -> Observation | None:
    """Return the wrong answer to fit to: one inner step shows a rate best, but in Reptile nothing but a scale.

    Beside one step too few it shows nothing: then the next answer is fitted.
    """
    whole = [one for one in wrong_ones(evidence) if returned(one) is not None]
    few = [one for one in whole if one.problem.inner_grad_steps == 1 and one.problem.order != "reptile"]
    if not family.is_rate or beside is alone:
        return next(iter([*few, *whole] if family.is_rate else whole), None)
    ends = [beside(family.at(value)) for value in (family.starts[0], family.starts[-1])]
    return next((one for one in (*few, *whole) if not evidence.agree(one, *ends)), None)


def _gauss_newton(
    residual: Callable[[float], NDArray[Any]], value: float, turn: float = 1e-7, settled: float = _SETTLED
) -> float | None:
    least, stalled = float("inf"), 0
    for _ in range(_ITERATIONS):
        with np.errstate(all="ignore"):  # a search may leave the region where the costs are finite
            here = residual(value)
            distance = norm(here)
            least, stalled = (distance, 0) if distance < _CLOSER * least else (least, stalled + 1)
            if stalled > _PATIENCE:
                return value if least < NEAR else None
            # Near 0 the step is that of a thousandth.
            step = turn * max(abs(value), 1e-3)
            slope = (residual(value + step) - here) / step
            square = float(slope @ slope)
        if not np.isfinite(square) or square == 0:
            return None
        # Gauss-Newton for one unknown: the least squares of residual − slope · move. A move is cut to |value|, so that
        # it at most doubles the value or brings it to 0, beyond which costs may overflow; from 0 small ones go on.
        move, most = float(here @ slope) / square, max(abs(value), _LEAST)
        value -= float(np.clip(move, -most, most))
        if abs(move) <= settled * abs(value):
            return value
    return value


def _left_out(evidence: Evidence, id_: str, words: str, of: Callable[..., AnswerFunction]) -> Iterator[Named]:
    """Find of which variables something is wrong, for each choice of variables that adapt: what `of` some makes."""
    found: dict[Adapting, tuple[str, ...]] = {}
    for observation in evidence.deciding:
        key = _adapting(evidence.question(observation))
        if key not in found and not evidence.is_right(observation):
            given = (some for some in _some(key[1]) if evidence.is_given_by(of(*some), observation))
            some = next(given, None)
            if some is None:
                return
            found[key] = some
    # Where it is so of all that adapt, wherever something is wrong, it is no matter of variables.
    if any(some != adapting for (_, adapting), some in found.items()):
        names = ", ".join(dict.fromkeys(name for some in found.values() for name in some))
        yield id_, f"{words} {names}", lambda question: of(*found.get(_adapting(question), ()))(question)


#: The variables of a problem and those of them that adapt.
Adapting = tuple[tuple[str, ...], tuple[str, ...]]


def _adapting(question: Question) -> Adapting:
    return tuple(question.problem.names), tuple(parameters.adapting(question))


def _some(adapting: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield every choice of some of the variables, fewest first."""
    for count in range(1, len(adapting) + 1):
        yield from combinations(adapting, count)
